"""What a call of a process is: its operation, what it is about, and the phase that its process is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WRITES = frozenset({"update_alias", "put_parameter", "transact_write_items", "update_item"})
# The phases of a rollback, in the order in which a person meets them.
PHASES = (
    "plan",
    "lease",
    "beat",
    "open",
    "approve",
    "apply",
    "execute",
    "verify",
    "publish",
    "close",
    "undo",
    "resume",
    "abort",
    "record",
)
# How many calls a process makes at least in a phase; of these, how many write.
LEAST = {
    "plan": (6, 0),
    "lease": (1, 1),
    "beat": (1, 1),
    "open": (3, 2),
    "approve": (2, 1),
    "apply": (4, 1),
    "execute": (4, 4),
    "verify": (3, 0),
    "publish": (1, 1),
    "close": (3, 1),
    "undo": (1, 1),
    "resume": (3, 1),
    "abort": (3, 1),
    "record": (4, 2),
}
# What the flow says that it is doing, and the phase that this is; and what comes once it has done that.
_STAGES = {
    "Planning": "plan",
    "Planning again": "apply",
    "Updating aliases": "execute",
    "Verifying": "verify",
    "Reverting": "undo",
    "Reading aliases": "record",
}
_AFTERWARDS = {"Updating aliases": "execute", "Verifying": "close", "Reverting": "close"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a process means to send it. `about` is a function, a parameter or an item's key."""

    operation: str
    about: str
    phase: str

    @property
    def writes(self) -> bool:
        return self.operation in WRITES

    def __str__(self) -> str:
        return f"{self.operation} of {self.about} ({self.phase})"


@dataclass(slots=True)
class Stage:
    """What a process is busy with: its verb, and what the flow last said that it does."""

    verb: str
    said: str = ""
    after: str = ""

    def begins(self, announced: str) -> None:
        self.said = announced

    def ends(self) -> None:
        self.after, self.said = _AFTERWARDS.get(self.said, self.after), ""

    def phase(self, operation: str, about: str, *, beat: bool) -> str:
        if beat:
            return "beat"
        if about.startswith("LOCK#") and operation != "transact_write_items":
            return "lease"
        if operation in ("put_parameter", "get_parameter"):
            return "publish"
        if "/SEQ#" in about and operation == "transact_write_items" and self.verb != "record":
            return "open" if "/PLAN#0001" in about else "close"
        announced = _STAGES.get(self.said) or self.after
        return announced or ("open" if self.verb == "rollback" else self.verb)


def about(operation: str, request: Mapping[str, Any]) -> str:
    """What a request is about, in few words."""
    if "FunctionName" in request:
        return str(request["FunctionName"]).rpartition("-lambda-")[2]
    if operation == "transact_write_items":
        keys = [key(member) for member in request["TransactItems"]]
        return " ".join(f"{pk}/{sk}" for pk, sk in keys)
    if operation == "update_item" or operation == "get_item":  # noqa: PLR1714 - as it is sent
        return f"{request['Key']['PK']['S']}/{request['Key']['SK']['S']}"
    if operation == "query":
        values = request["ExpressionAttributeValues"]
        return f"{values[':pk']['S']}/{values.get(':sk', {}).get('S', '')}"
    return str(request.get("Name", "all"))


def key(member: Mapping[str, Any]) -> tuple[str, str]:
    """The key that a member of a transaction writes or checks."""
    ((_, write),) = member.items()
    item = write.get("Item") or write["Key"]
    return item["PK"]["S"], item["SK"]["S"]
