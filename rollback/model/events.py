"""What the events of journals say: a type for each kind, read from its stored data and turned back into it here.

Those of one target alone are in `events` of its package (`targets.stack`, `targets.table`, `targets.terraform`).

Kinds of different targets can have one name ("changed", "ended"): a reader knows whose journal it reads, and asks
for the type that it means. A field that is None is not stored, and `from_` is stored as `from`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from keyword import iskeyword
from typing import Any, ClassVar, TypeVar

from rollback.core.canonical import plain
from rollback.model.identity import Actor
from rollback.model.plan import reader
from rollback.model.record import ADOPTED, Approval, Check, Entered, Event, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Happened:
    """An event's data; `kind` is how the event is stored. `part` is the one of a full rollback that it is of."""

    kind: ClassVar[str]
    part: str | None = None

    def entered(self, *, at: str, by: Actor) -> Entered:
        """The event as a journal takes it. `at` is ISO 8601 in UTC."""
        return Entered(kind=self.kind, at=at, by=by, data=stored(self))


H = TypeVar("H", bound=Happened)


def typed(event: Entered | Event, kind: type[H]) -> H:
    """The data of an event. Raises `pydantic.ValidationError` where it is not that of `kind`."""
    data = {f"{name}_" if iskeyword(name) else name: value for name, value in event.data.items()}
    found: H = reader(kind).validate_python(data)  # type: ignore[arg-type] # every class is hashable
    return found


def happened(events: Iterable[Event], kind: type[H]) -> Iterator[H]:
    """The data of every event of one kind, oldest first. Raises as `typed` does."""
    return (typed(event, kind) for event in events if event.kind == kind.kind)


def approvals(rollback_id: str, events: Iterable[Event]) -> list[Approval]:
    """The approvals by which a record went ahead, as its journal names them. Raises as `typed` does."""
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
    """The subjects of the steps that failed, by a journal."""
    return {step.subject for failed in happened(events, Failed) for step in failed.failures}


def failed_in_verification(events: Iterable[Event], head: str) -> bool:
    """Whether a journal's newest end, up to the event with the hash `head`, says that a check failed. A record that was
    undone ends without checks. Raises as `typed` does.
    """
    checks: Sequence[Check] = ()
    for event in events:
        if event.kind == Closed.kind:
            checks = typed(event, Closed).checks
        if event.hash == head:
            break
    return any(not check.ok for check in checks)


# -- every record's ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned(Happened):
    """The first event: `digest` is what an approval is bound to, `plan` the hash of the stored plan, which the
    ledger adds by itself.
    """

    kind = "planned"
    digest: str
    reason: str
    steps: int
    plan: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Notified(Happened):
    """Where the message of a waiting record is on Slack."""

    kind = "notified"
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Approved(Happened):
    """It goes ahead by the approval of another identity. Times are ISO 8601 in UTC. `reason` is why a standby is taken,
    `alarm` the alarm for which that is done without a person.
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
    """It goes ahead by the caller's own confirmation; `reason` and `alarm` as in `Approved`."""

    kind = "confirmed"
    digest: str
    reason: str | None = None
    alarm: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedStep:
    """A step that did not go: its failure (`rollback.targets.base.Failure`), as far as journals keep it."""

    subject: str
    reason: str
    foreign: bool = False
    refused: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed(Happened):
    """What did not go."""

    kind = "failed"
    failures: tuple[FailedStep, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Interrupted(Happened):
    """It ended gracefully, before its end."""

    kind = "interrupted"
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed(Happened):
    """Somebody continues it; without a ledger there is no fencing number."""

    kind = "resumed"
    fence: int | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Aborting(Happened):
    """Somebody undoes it."""

    kind = "aborting"
    fence: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reverting(Happened):
    """It is undone; `why` is empty where a person asked for it."""

    kind = "reverting"
    why: str = ""
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Closed(Happened):
    """Its end. `stands` maps subjects to what is deployed, as stored (`deployed.stored`); not in emergencies, which
    have `relieved_seconds` here as the ledger has them in the record (`Record`).
    """

    kind = "closed"
    status: Status
    counts: Mapping[str, int]
    checks: tuple[Check, ...]
    stands: Mapping[str, str] | None = None
    relieved_seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Aborted(Happened):
    """It was given up before it began to act."""

    kind = "aborted"
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Expired(Happened):
    """A standby has ended by itself (`standby.Ended`)."""

    kind = "expired"
    why: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Abandoned(Happened):
    """It was ended although its plan is damaged."""

    kind = "abandoned"
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported(Happened):
    """The journal of an emergency is here as a whole: its file, length and last hash."""

    kind = ADOPTED
    file: str
    events: int
    head: str
    moved_since: tuple[str, ...]
    stands: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class PartDone(Happened):
    """One part of a full rollback is through."""

    kind = "part done"
    part: str


# -- aliases and versions ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Found(Happened):
    """An alias is not as it was planned: where it is, and whether a way back ends there (`start`)."""

    kind = "found"
    function: str
    version: str
    weights: Mapping[str, float]
    revision: str
    start: bool
    tag: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Waking(Happened):
    """Function → a version that its alias goes to, or back to, which cannot be invoked yet: it is woken before the alias
    moves.
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
    """Function → the RevisionId of its alias, back where it began."""

    kind = "reverted"
    functions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deleted(Happened):
    """Function → the versions that are deleted."""

    kind = "deleted"
    versions: Mapping[str, tuple[int, ...]]
    count: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Spared(Happened):
    """Function → the versions that turned out to be in use."""

    kind = "spared"
    versions: Mapping[str, tuple[int, ...]]
    count: int | None = None
