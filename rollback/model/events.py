"""The data of journal events: one type per kind, and its conversion from and to stored data.

Those of one target alone are in `events` of its package (`targets.stack`, `targets.table`, `targets.terraform`).

Kinds of different targets can have the same name ("changed", "ended"): a reader knows the journal's target, and asks
for a type. A field that is None is not stored, and `from_` is stored as `from`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from keyword import iskeyword
from typing import Any, ClassVar, TypeVar

from rollback.model.identity import Actor
from rollback.model.plan import reader
from rollback.model.record import ADOPTED, Approval, Check, Entered, Event, Status
from rollback.util.canonical import plain


@dataclass(frozen=True, kw_only=True, slots=True)
class Happened:
    """An event's data; `kind` is the stored name. `part` is its part of a full rollback."""

    kind: ClassVar[str]
    part: str | None = None

    def entered(self, *, at: str, by: Actor) -> Entered:
        """The event for a journal. `at` is ISO 8601 in UTC."""
        return Entered(kind=self.kind, at=at, by=by, data=stored(self))


H = TypeVar("H", bound=Happened)


def typed(event: Entered | Event, kind: type[H]) -> H:
    """The data of an event. Raises `pydantic.ValidationError` where it is not of `kind`."""
    data = {f"{name}_" if iskeyword(name) else name: value for name, value in event.data.items()}
    found: H = reader(kind).validate_python(data)  # type: ignore[arg-type] # every class is hashable
    return found


def happened(events: Iterable[Event], kind: type[H]) -> Iterator[H]:
    """The data of every event of one kind, oldest first. Raises as `typed` does."""
    return (typed(event, kind) for event in events if event.kind == kind.kind)


def approvals(rollback_id: str, events: Iterable[Event]) -> list[Approval]:
    """The approvals with which a record was applied, from its journal. Raises as `typed` does."""
    return [
        Approval(
            rollback_id=rollback_id,
            digest=given.digest,
            by=given.by,
            at=given.at,
            expires_at=given.expires_at,
        )
        for given in happened(events, Approved)
    ]


def has(events: Iterable[Event], kind: type[Happened]) -> bool:
    """Whether there is an event of this kind."""
    return any(event.kind == kind.kind for event in events)


def stored(data: Happened) -> dict[str, Any]:
    """The data as an event stores it."""
    values = {one.name: getattr(data, one.name) for one in fields(data)}
    return {name.rstrip("_"): plain(value) for name, value in values.items() if value is not None}


def failed_subjects(events: Iterable[Event]) -> set[str]:
    """The subjects of the failed steps in a journal."""
    return {step.subject for failed in happened(events, Failed) for step in failed.failures}


def failed_in_verification(events: Iterable[Event], head: str) -> bool:
    """Whether a check failed at a journal's newest end, up to the event with the hash `head`. A record that was
    undone ends without checks. Raises as `typed` does.
    """
    checks: Sequence[Check] = ()
    for event in events:
        if event.kind == Closed.kind:
            checks = typed(event, Closed).checks
        if event.hash == head:
            break
    return any(not check.ok for check in checks)


# -- of every record ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned(Happened):
    """The first event: `digest` is the one that an approval is bound to, `plan` the hash of the stored plan, which the
    ledger adds.
    """

    kind = "planned"
    digest: str
    reason: str
    steps: int
    plan: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Notified(Happened):
    """The location of a waiting record's Slack message."""

    kind = "notified"
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Approved(Happened):
    """Applied with the approval of another identity. Times are ISO 8601 in UTC. `reason` is why a standby is taken,
    `alarm` the alarm if it is taken without a person.
    """

    kind = "approved"
    digest: str
    by: Actor
    at: str
    expires_at: str
    reason: str | None = None
    alarm: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmed(Happened):
    """Applied with the caller's own confirmation; `reason` and `alarm` as in `Approved`."""

    kind = "confirmed"
    digest: str
    reason: str | None = None
    alarm: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedStep:
    """A failed step: the stored part of `rollback.targets.base.Failure`."""

    subject: str
    reason: str
    foreign: bool = False
    refused: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed(Happened):
    """The failed steps."""

    kind = "failed"
    failures: tuple[FailedStep, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Interrupted(Happened):
    """The run was stopped gracefully before its end."""

    kind = "interrupted"
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed(Happened):
    """The run is resumed; without a ledger there is no fencing token."""

    kind = "resumed"
    fence: int | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Aborting(Happened):
    """A person undoes it."""

    kind = "aborting"
    fence: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reverting(Happened):
    """It is being undone; `why` is empty if a person asked for it."""

    kind = "reverting"
    why: str = ""
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Closed(Happened):
    """The end. `stands` maps subjects to what is deployed, as stored (`deployed.stored`); not in emergencies, which
    have `relieved_seconds` here, which the ledger has in the record (`Record`).
    """

    kind = "closed"
    status: Status
    counts: Mapping[str, int]
    checks: tuple[Check, ...]
    stands: Mapping[str, str] | None = None
    relieved_seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Aborted(Happened):
    """It was aborted before anything was changed."""

    kind = "aborted"
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Expired(Happened):
    """A standby is no longer valid (`standby.Ended`)."""

    kind = "expired"
    why: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Abandoned(Happened):
    """It was ended despite its damaged plan."""

    kind = "abandoned"
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported(Happened):
    """The journal of an emergency was completely imported: its file, length and last hash."""

    kind = ADOPTED
    file: str
    events: int
    head: str
    moved_since: tuple[str, ...]
    stands: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class PartDone(Happened):
    """One part of a full rollback is done."""

    kind = "part done"
    part: str


# -- aliases and versions ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Found(Happened):
    """An alias is not as planned: its state, and whether an undo returns to it (`start`)."""

    kind = "found"
    function: str
    version: str
    weights: Mapping[str, float]
    revision: str
    start: bool
    tag: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Waking(Happened):
    """Function → an Inactive target version, of execution or undo, which is activated before the alias
    is updated.
    """

    kind = "waking"
    functions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class AliasesMoved(Happened):
    """Function → the RevisionId of its alias, now at the target version."""

    kind = "moved"
    functions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class AliasesReverted(Happened):
    """Function → the RevisionId of its alias, back in its initial state."""

    kind = "reverted"
    functions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deleted(Happened):
    """Function → the deleted versions."""

    kind = "deleted"
    versions: Mapping[str, tuple[int, ...]]
    count: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Spared(Happened):
    """Function → the versions that were found to be in use."""

    kind = "spared"
    versions: Mapping[str, tuple[int, ...]]
    count: int | None = None
