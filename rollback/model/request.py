"""Requests: one type for each kind of rollback, and the common form in which plans store them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, TypeVar

from rollback.model.kind import Kind
from rollback.model.release import PREVIOUS
from rollback.util.errors import Code, RollbackError

R = TypeVar("R", bound="Request")
_RESTORED = "restored:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """The base of all requests.

    `rest` (field name → JSON value, as in `StoredRequest`) are stored values besides its own
    fields, so that it is stored again unchanged and its plan keeps its digest: the options of a full rollback
    in the request of one of its parts.
    """

    kind: ClassVar[Kind]
    rest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def without(self) -> tuple[str, ...]:
        """What is excluded: functions by name, resources by URN."""
        return ()

    @property
    def adopt_current(self) -> bool:
        """Whether the deployed version may differ from the recorded one."""
        return False

    @property
    def allow_below(self) -> bool:
        """Whether it may go below a floor (`floors`): an exception."""
        return False

    def expected(self, kind: type[R]) -> R:
        """Returns the request. Raises `RollbackError` where a plan is not of the record's kind."""
        if not isinstance(self, kind):
            raise RollbackError(
                f"The plan's request is {self.kind}, not {kind.kind}: the plan was changed.",
                code=Code.LEDGER_DAMAGED,
            )
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class AliasesRequest(Request):
    """The aliases of `services` (all where empty) back to a `release`; `without` has functions to exclude."""

    kind = Kind.ALIASES
    release: str = PREVIOUS
    services: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    adopt_current: bool = False
    allow_below: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class StackRequest(Request):
    """A Pulumi stack back to a `commit`.

    `stack` and `project` (a folder below the repository's root) are for another stack than the environment's own;
    `without` has URNs to exclude, `allow_destroy` those that may be deleted or replaced although they hold data.
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
    """The Terraform configuration back to a `commit`; `allow_destroy` has addresses, as in `StackRequest`."""

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


# The prefix for the start of the record with the following id.
BEFORE = "before:"


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRequest(Request):
    """A `table` restored as a new table, to the time `at`: a time, `before:ROLLBACK_ID` or `release:VERSION`."""

    kind = Kind.TABLE
    table: str
    at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CutoverRequest(Request):
    """A cutover of `table` to the restored table of `restore`, a record's id: `cutover` is copy-back or parameter.

    `delete_new` deletes what only the live table has.
    """

    kind = Kind.CUTOVER
    table: str
    restore: str
    cutover: str = "none"
    delete_new: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PruneRequest(Request):
    """Deletes versions older than the newest `keep` releases of their service."""

    kind = Kind.PRUNE
    keep: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredRequest:
    """A request of any kind, as stored in a plan. `to` is a release, a commit, a time, a restore or a number."""

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
    """A request in the stored form."""
    _, name, write, _ = _TO[request.kind]
    own = {one.name: getattr(request, one.name) for one in fields(request) if one.name != "rest"}
    to = write(own.pop(name))
    return StoredRequest(**{**request.rest, **own}, to=to)


def read(kind: str, message: StoredRequest) -> Request:
    """Parses a stored request of `kind`. Raises `ValueError` where it is malformed."""
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
    """The request of one part of a full rollback: with all options, but the part's own target `to`."""
    return read(kind, replace(stored(request), to=to))
