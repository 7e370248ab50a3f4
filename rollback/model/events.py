"""What the events of journals say: a type for each kind, read from its stored data and turned back into it here.

Kinds of different targets can have one name ("changed", "ended"): a reader knows whose journal it reads, and asks
for the type that it means. A field that is None is not stored, and `from_` is stored as `from`.

It is longer than 400 lines: a type for each kind of event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from keyword import iskeyword
from typing import Any, ClassVar, TypeVar

from rollback.core.canonical import plain
from rollback.core.process_identity import Process
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


# -- the stack ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineBegan(Happened):
    """An engine runs: its process, the attempt of a CI run that it belongs to (`4711/attempts/2`) or empty, and
    whether it goes `back`.
    """

    kind = "began"
    process: Process
    run: str
    back: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineLocked(Happened):
    """The lock that it holds."""

    kind = "lock"
    uuid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineEnded(Happened):
    """Its exit code, and whether it did nothing because of another's lock."""

    kind = "ended"
    code: int
    locked_out: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StackResource:
    """A resource, or a part of its replacement, that an engine is through with."""

    urn: str
    op: str
    ok: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StackChanged(Happened):
    """Resources on the way to the commit."""

    kind = "changed"
    resources: tuple[StackResource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StackRestored(Happened):
    """Resources while it is undone."""

    kind = "restored"
    resources: tuple[StackResource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineUnlocked(Happened):
    """The lock of a dead engine is removed: its `holder`, HOST:PID, and the `proof` that it is dead."""

    kind = "unlocked"
    uuid: str
    holder: str
    proof: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StackRenamed(Happened):
    """Resources that get another name in the checkpoint, as the same objects have in the program: URN → URN."""

    kind = "renamed"
    urns: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class StackAdopted(Happened):
    """The resources that a dead engine had begun: those now in the checkpoint, those that were not there, and
    those of which nobody knows.
    """

    kind = "adopted"
    urns: tuple[str, ...]
    gone: tuple[str, ...]
    unknown: tuple[str, ...]


# -- Terraform ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Applying(Happened):
    """An apply runs: its process, the hash of its saved plan, the kind of its changes, and its CI run as in
    `EngineBegan`.
    """

    kind = "applying"
    process: Process
    sha256: str
    towards: str
    run: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StateLocked(Happened):
    """Terraform's lock on the state."""

    kind = "locked"
    id: str
    who: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StateUnlocked(Happened):
    """The lock of a dead apply is removed: why it is known to be dead (`proof`), and what a person says is dead
    (`confirmed`, HOST:PID or the lock's id), or empty.
    """

    kind = "unlocked"
    id: str
    who: str
    process: str
    confirmed: str
    proof: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplyEnded(Happened):
    """Its exit code, whether it touched anything or did `all`, and the state that it left (`state_bucket.position`)."""

    kind = "ended"
    code: int
    touched: bool
    all: bool
    serial: str | None = None
    lineage: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TerraformResource:
    """A resource that was created, updated or deleted; `id` where the provider has told one."""

    address: str
    action: str
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TerraformChanged(Happened):
    """Resources on the way to the commit."""

    kind = "changed"
    resources: tuple[TerraformResource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TerraformPutBack(Happened):
    """Resources while it is undone."""

    kind = "put-back"
    resources: tuple[TerraformResource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Replanned(Happened):
    """What was left after an interruption, and the hash of the plan for it."""

    kind = "replanned"
    remaining: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TerraformReverted(Happened):
    """The commit that is applied again."""

    kind = "reverted"
    commit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TerraformAdopted(Happened):
    """What a killed apply had made is in the state now, or why it is not."""

    kind = "adopted"
    address: str
    id: str
    failed: str


# -- tables ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDone(Happened):
    """A step of a table's plan is through, with what it gave: the `copy`, the settings `given` to it, the
    `backup`, the `items` that were written, the `parameter`; of a comparison the loss `report`, its `counts`,
    the same in words (`loss`), where it is `kept`, and what to type `next`.
    """

    kind = "done"
    step: str
    copy: str | None = None
    given: str | None = None
    backup: str | None = None
    items: str | None = None
    parameter: str | None = None
    report: Mapping[str, Any] | None = None
    counts: Mapping[str, int] | None = None
    loss: str | None = None
    kept: str | None = None
    next: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Restoring(Happened):
    """`copy` is about to be restored from `table` as of `at`, ISO 8601 in UTC."""

    kind = "restoring"
    table: str
    copy: str
    at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored(Happened):
    """The restore has begun; nobody else made `copy`."""

    kind = "restored"
    copy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreUndone(Happened):
    """The restored table is deleted."""

    kind = "undone"
    deleted: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Writing(Happened):
    """Items are about to be copied back; `report` is the key of the loss report."""

    kind = "writing"
    report: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrote(Happened):
    """How many lines of the loss report are `through`; those `left` alone and `already` so, by number."""

    kind = "wrote"
    through: int
    written: int
    left: tuple[int, ...]
    already: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointing(Happened):
    """The parameter is about to be changed."""

    kind = "pointing"
    from_: str
    to: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointed(Happened):
    """The parameter is changed."""

    kind = "pointed"
    to: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CutoverUndone(Happened):
    """A cutover is undone, but for what was `left`, in words."""

    kind = "undone"
    left: tuple[str, ...]
