"""What a person asked for: one type for each kind of rollback, and the one form in which plans store them
all. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, TypeVar

from rollback.core.errors import Code, RollbackError
from rollback.model.kind import Kind
from rollback.model.release import PREVIOUS

R = TypeVar("R", bound="Request")
_RESTORED = "restored:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What all requests have in common.

    `rest` (field name → JSON value, as in `StoredRequest`) is what was stored with a request beyond its own
    fields, so that it is stored again byte for byte and its plan keeps its digest: what a full rollback was
    asked for, in the request of one of its parts.
    """

    kind: ClassVar[Kind]
    rest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def without(self) -> tuple[str, ...]:
        """What is left out: functions by name, resources by URN."""
        return ()

    @property
    def adopt_current(self) -> bool:
        """Whether what is deployed may be another version than the recorded one."""
        return False

    @property
    def allow_below(self) -> bool:
        """Whether it may go below a release that must not be rolled back past (`floors`): an exception."""
        return False

    def expected(self, kind: type[R]) -> R:
        """The request itself. Raises `RollbackError` where a plan is not of the `kind` that its record says."""
        if not isinstance(self, kind):
            raise RollbackError(
                f"A request of {self.kind} is none of {kind.kind}: its plan was changed.",
                code=Code.LEDGER_DAMAGED,
            )
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class AliasesRequest(Request):
    """The aliases of `services` (all where empty) back to a `release`; `without` names functions to leave out."""

    kind = Kind.ALIASES
    release: str = PREVIOUS
    services: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    adopt_current: bool = False
    allow_below: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class StackRequest(Request):
    """A Pulumi stack back to a `commit`.

    `stack` and `project` (a folder below the repository's root) are of another stack than the environment's own;
    `without` names URNs to leave out, `allow_destroy` those that may be deleted or replaced though they hold data.
    """

    kind = Kind.STACK
    commit: str = PREVIOUS
    stack: str = ""
    project: str = ""
    without: tuple[str, ...] = ()
    allow_destroy: tuple[str, ...] = ()
    allow_below: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TerraformRequest(Request):
    """The Terraform configuration back to a `commit`; `allow_destroy` names addresses, as in `StackRequest`."""

    kind = Kind.TERRAFORM
    commit: str = PREVIOUS
    allow_destroy: tuple[str, ...] = ()
    allow_below: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FullRequest(Request):
    """Aliases, stack and Terraform configuration back to a `release`; `allow_destroy` as in `StackRequest`."""

    kind = Kind.FULL
    release: str = PREVIOUS
    allow_destroy: tuple[str, ...] = ()
    allow_below: bool = False


# Of a moment: when the record began whose id follows.
BEFORE = "before:"


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRequest(Request):
    """A `table` restored beside the live one, as it was `at`: a time, `before:ROLLBACK_ID` or `release:VERSION`."""

    kind = Kind.TABLE
    table: str
    at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CutoverRequest(Request):
    """A cutover of `table` to what `restore`, a record's id, has restored: `cutover` is copy-back or parameter.

    `delete_new` deletes what only the live table has.
    """

    kind = Kind.CUTOVER
    table: str
    restore: str
    cutover: str = "none"
    delete_new: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PruneRequest(Request):
    """Versions deleted that are older than the newest `keep` releases of their service."""

    kind = Kind.PRUNE
    keep: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredRequest:
    """A request of any kind as a plan stores it. `to` is a release, a commit, a time, a restore or a number."""

    LATER: ClassVar = frozenset({"allow_below"})

    to: str = PREVIOUS
    services: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    adopt_current: bool = False
    allow_destroy: tuple[str, ...] = ()
    stack: str = ""
    project: str = ""
    table: str = ""
    cutover: str = "none"
    delete_new: bool = False
    allow_below: bool = False


def _number(text: str) -> int:
    if not text.isdecimal() or str(int(text)) != text:
        raise ValueError(f"{text[:20]!a} is not a number")
    return int(text)


def _restore(text: str) -> str:
    if not text.startswith(_RESTORED):
        raise ValueError(f"{text[:80]!a} is not a restore")
    return text.removeprefix(_RESTORED)


# Each type, the field that is stored as `to`, and how that is written and read.
_TO: Mapping[Kind, tuple[type[Any], str, Callable[[Any], str], Callable[[str], Any]]] = {
    Kind.ALIASES: (AliasesRequest, "release", str, str),
    Kind.STACK: (StackRequest, "commit", str, str),
    Kind.TERRAFORM: (TerraformRequest, "commit", str, str),
    Kind.FULL: (FullRequest, "release", str, str),
    Kind.TABLE: (TableRequest, "at", str, str),
    Kind.CUTOVER: (CutoverRequest, "restore", lambda restore: f"{_RESTORED}{restore}", _restore),
    Kind.PRUNE: (PruneRequest, "keep", str, _number),
}


def stored(request: Request) -> StoredRequest:
    """A request as a plan stores it."""
    _, name, write, _ = _TO[request.kind]
    own = {one.name: getattr(request, one.name) for one in fields(request) if one.name != "rest"}
    to = write(own.pop(name))
    return StoredRequest(**{**request.rest, **own}, to=to)


def read(kind: str, message: StoredRequest) -> Request:
    """The request of `kind` that was stored. Raises `ValueError` where it is none."""
    made, name, _, reads = _TO[Kind(kind)]
    own = {one.name for one in fields(made)}
    has = {one.name: getattr(message, one.name) for one in fields(message) if one.name != "to"}
    rest = {
        one.name: has.pop(one.name) for one in fields(message) if one.name != "to" and one.name not in own
    }
    usual = {one.name: one.default for one in fields(message)}
    kept = {field_: value for field_, value in rest.items() if value != usual[field_]}
    request: Request = made(rest=kept, **{name: reads(message.to)}, **has)
    return request


def part_of(request: FullRequest, kind: Kind, to: str) -> Request:
    """The request of one part of a full rollback: all that was asked for, but back `to` the part's own."""
    return read(kind, replace(stored(request), to=to))
