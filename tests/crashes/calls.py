"""Names for the calls that leave a process: the same in every run, whatever ids and threads make of it.

A call's name is its operation and what it is about; where the same is asked for again, a number follows.
Ids of the run itself are called `<run>`, those of what was recorded before by what they are.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.proxy import Request

_ULID = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b")
# What is another in each run: a lock's name, a time in nanoseconds, a second, an account, a number.
_PASSING = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\b\d{16,}\b"), "<time>"),
    (re.compile(r"\b\d{8}t\d{6}\b"), "<second>"),
    (re.compile(r"\b\d{12}\b"), "<account>"),
    (re.compile(r"SEQ-\d{10}(-[0-9a-f]{64})?"), "SEQ"),
    (re.compile(r"(?<=/restapis/)[0-9a-z]+"), "<api>"),
)
_BATCHES = ("moved", "reverted", "progress")


@dataclass(frozen=True, order=True)
class Point:
    """Where a process is ended: at which call, and whether AWS has carried that one out."""

    call: str
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.call}"


def name(request: Request, known: Mapping[str, str]) -> str | None:
    """The name of a call; None for a lease's renewal.

    `known` maps ids to what they are called.
    """
    if is_renewal(request):
        return None
    called = f"{request.operation} {_about(request)}".strip()
    for pattern, text in _PASSING:
        called = pattern.sub(text, called)
    return named(called, known)


def named(text: str, known: Mapping[str, str]) -> str:
    """A text with ids by what they are called."""
    return _ULID.sub(lambda found: known.get(found[0], "<run>"), text)


def is_renewal(request: Request) -> bool:
    """Whether it is a lease's beat, which comes when it comes."""
    return request.operation == "UpdateItem" and b"beat = beat +" in request.body


def single(called: str) -> bool:
    """Whether further calls of that name are parts of the first: how many there are depends on time."""
    return called.startswith("TransactWriteItems") and called.rpartition(" ")[2] in _BATCHES


def _about(request: Request) -> str:
    """What a call is about: the function, the item, the parameter."""
    if request.function:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        return ":".join([_tail(request.function), *query.get("Qualifier", [])])
    body = json.loads(request.body) if request.body.startswith(b"{") and request.method == "POST" else {}
    if "TransactItems" in body:
        return _transaction([_member(one) for one in body["TransactItems"]])
    if "KeyConditionExpression" in body:
        values = {key: _value(value) for key, value in body["ExpressionAttributeValues"].items()}
        return "/".join(
            filter(None, [body.get("IndexName", ""), values.get(":pk", ""), values.get(":sk", "")])
        )
    if "Key" in body:
        keys = "/".join(map(_value, body["Key"].values()))
        return f"{keys} {_doing(body.get('UpdateExpression', ''))}"
    asked = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
    if request.body.startswith(b"Action="):
        asked = urllib.parse.parse_qs(request.body.decode())
    fields = ("prefix", "RoleName", "PolicyArn", "OpenIDConnectProviderArn")
    return _named(body) or " ".join(_tail(value) for field in fields for value in asked.get(field, []))


def _named(body: Mapping[str, Any]) -> str:
    """What a request names, in the order of what is most telling."""
    for field in ("Name", "TargetTableName", "TableName", "ResourceArn", "ResourceId", "RoleArn"):
        if field in body:
            return _tail(str(body[field]))
    return ""


def _tail(text: str) -> str:
    """A name without what all names of an environment begin with."""
    return re.sub(r"^.*bbws-access-[a-z]+-(lambda-|ddb-)?", "", text).removeprefix("/bbws-access/")


def _member(member: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, content),) = member.items()
    return {"kind": kind, **content}


def _transaction(members: Sequence[Mapping[str, Any]]) -> str:
    """A transaction is called by the event that it journals, or by what it puts."""
    for member in members:
        item = member.get("Item", {})
        if item.get("SK", {}).get("S", "").startswith("EVENT#"):
            kind, data = _value(item["kind"]), json.loads(_value(item["data"]))
            return " ".join(filter(None, [_value(item["PK"]), _tail(data.get("function", "")), kind]))
    keys = [member.get("Item") or member.get("Key") or {} for member in members]
    return "+".join("/".join(_value(key[name]) for name in ("PK", "SK")) for key in keys)


def _doing(update: str) -> str:
    """What is done to a lease."""
    for parts, doing in (
        ("nonce = :nonce, holder", "take"),
        ("parked_at = :now", "park"),
        ("released_at", "free"),
    ):
        if parts in update:
            return doing
    return ""


def _value(value: Mapping[str, Any]) -> str:
    return str(next(iter(value.values())))


# -- phases --------------------------------------------------------------------------------------------------

Phases = Sequence[tuple[str, Callable[[str], bool]]]


def phases(called: Sequence[str], order: Phases) -> dict[str, str]:
    """Call → the phase that it first came in. A phase begins with the first call that `order` says of it."""
    found: dict[str, str] = {}
    at = 0
    for call in called:
        while at + 1 < len(order) and order[at + 1][1](call):
            at += 1
        found.setdefault(call, order[at][0])
    return found
