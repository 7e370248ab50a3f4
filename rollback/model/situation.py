"""What an environment and its records are like, as far as it decides what to type next. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from rollback.core.process_identity import Process
from rollback.model.record import Approval, Record, Status, seconds_between
from rollback.model.release import Freeze

Policy = Literal["none", "confirm", "identity"]


class State(StrEnum):
    """What an environment or a record is in. `HEALTHY`, `MIXED` and `ENDED` ask for nothing."""

    NOT_DECLARED = "NOT_DECLARED"
    NO_LEDGER = "NO_LEDGER"
    LEDGER_LOST = "LEDGER_LOST"
    LEDGER_BEHIND = "LEDGER_BEHIND"
    LEDGER_UNREACHABLE = "LEDGER_UNREACHABLE"
    LEDGER_TAMPERED = "LEDGER_TAMPERED"
    TRAIL_UNREADABLE = "TRAIL_UNREADABLE"
    RUNNING = "RUNNING"
    INTERRUPTED = "INTERRUPTED"
    DEAD = "DEAD"
    ORPHANED = "ORPHANED"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    APPROVED = "APPROVED"
    AWAITING_CONFIRMATION = "AWAITING_CONFIRMATION"
    STANDBY = "STANDBY"
    EXPIRED = "EXPIRED"
    OUTDATED = "OUTDATED"
    NOT_VERIFIED = "NOT_VERIFIED"
    FAILED = "FAILED"
    UNDO_FAILED = "UNDO_FAILED"
    REVERTED = "REVERTED"
    ENDED = "ENDED"
    NO_RELEASE = "NO_RELEASE"
    DRIFT = "DRIFT"
    DRIFT_TO_RECORDED = "DRIFT_TO_RECORDED"
    DRIFT_TO_QUARANTINED = "DRIFT_TO_QUARANTINED"
    QUARANTINED = "QUARANTINED"
    NOTHING_OLDER = "NOTHING_OLDER"
    FROZEN = "FROZEN"
    MIXED = "MIXED"
    HEALTHY = "HEALTHY"


class Life(StrEnum):
    """Whether the process that holds a lease goes on. `FREE`: nobody holds it."""

    FREE = "FREE"
    RUNNING = "RUNNING"
    INTERRUPTED = "INTERRUPTED"
    DEAD = "DEAD"


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseSeen:
    """A lease that somebody holds: on which domain, on behalf of which record, and whether its process lives."""

    domain: str
    owner: str
    life: Life
    holder: str = ""
    beat_at: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordSeen:
    """A record, and what decides what can be done with it.

    `life` is that of its lease's holder. `required` is the approval that the environment asks for, `approval` the one
    that holds now. `undoing`: its journal says that it is undone. `damaged`: it is not as this command wrote it.
    `way_back`: where it began is known. `ended` says in words why a standby has ended by itself. `outdated` says in words what has changed since it was planned. `approver` is
    the role that approves.
    """

    record: Record
    life: Life = Life.FREE
    required: Policy = "identity"
    approval: Approval | None = None
    undoing: bool = False
    damaged: bool = False
    way_back: bool = True
    outdated: str = ""
    ended: str = ""
    approver: str = ""

    @property
    def status(self) -> str:
        """Its status as it is shown: one that waits for its own person's word is stored like one that waits for
        another's.
        """
        if self.record.status is Status.AWAITING_APPROVAL and self.required != "identity":
            return State.AWAITING_CONFIRMATION
        if self.record.status is Status.STANDBY and self.ended:
            return State.EXPIRED
        return self.record.status

    @property
    def approved(self) -> bool:
        """Whether nobody has to approve it any more."""
        return self.required != "identity" or self.approval is not None

    @property
    def can_be_taken(self) -> bool:
        """Whether it is on standby, and nothing is known that keeps it from being taken."""
        waits = self.record.status is Status.STANDBY and self.life is not Life.RUNNING
        return waits and self.approved and not (self.ended or self.outdated or self.damaged)

    @property
    def shown(self) -> dict[str, Any]:
        """What is shown of it otherwise than it is stored: its status, and an approval that was given."""
        given = self.record.approved_by or (self.approval.by if self.approval else None)
        return {"status": self.status, "approved_by": given}


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionStatus:
    """One function now: the version that its alias points at, weights (version → share, 0 to 1) where they
    were read, what the ledger says they should be (`expected` is None where nothing was recorded), and the release that
    is deployed of it (None where that is not known). `moved_by` is the record that is under way, or was interrupted, and
    by whose plan it is where it is; empty where it is as recorded, and where nothing explains it.
    """

    function: str
    service: str
    version: str | None
    weights: Mapping[str, float]
    expected: str | None
    expected_weights: Mapping[str, float] = field(default_factory=dict)
    release: str | None = None
    moved_by: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is as recorded, or where a record that has not ended has moved it."""
        return bool(self.moved_by) or self.as_recorded

    @property
    def as_recorded(self) -> bool:
        at_version = self.version is not None and self.expected in (None, self.version)
        return at_version and self.weights in ({}, self.expected_weights)


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One service now: the release that is deployed, and the one that `--to previous` would give.

    `apart` maps those of its functions that are at another release to that: the service is mixed.
    """

    name: str
    stands: str | None
    previous: str | None
    functions: tuple[FunctionStatus, ...]
    quarantined: tuple[str, ...]
    apart: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionSeen:
    """A function now. `version` is None where it has no alias; `drifted`: its version or weights are not as recorded;
    `releases` are the recorded releases that have exactly this version of it, `release` is the one that is deployed by
    the ledger.
    """

    name: str
    version: str | None
    drifted: bool
    releases: frozenset[str] = frozenset()
    release: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSeen:
    """A service now: the release that is `deployed` by the ledger, None where that is unknown, and the newest one from
    there on down that is `good`: neither quarantined nor failed in verification. `recorded`: the ledger knows it at
    all. `lacking` are functions of which `good` has no version. Where only a floor (`model.floors`) is in the way, `below`
    is the release that would be good, and `floor` says which floor. `older` is the next good release before `good`, and
    `older_lacking` are functions of which that has no version.
    """

    name: str
    deployed: str | None
    good: str | None
    functions: tuple[FunctionSeen, ...]
    recorded: bool = True
    lacking: frozenset[str] = frozenset()
    below: str = ""
    floor: str = ""
    older: str | None = None
    older_lacking: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseSeen:
    """A recorded release, the commit that it was made from, where that is known, and how many seconds ago it was
    recorded (None where that is not known).
    """

    version: str
    commit: str = ""
    age: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """An environment, as far as what to type next depends on it. `person` asks. `releases` are newest first; `bad` are
    those that are quarantined or failed in verification, as (service, release).

    `ledger` is HEALTHY, or the state of the ledger that keeps anything else from being read. `damaged` says what of the
    ledger is not as this command wrote it, `trail` why the archive cannot be read. `records` are those that wait, run,
    or have failed, and are not past.
    """

    environment: str
    person: str = ""
    ledger: State = State.HEALTHY
    damaged: tuple[str, ...] = ()
    trail: str = ""
    frozen: Freeze | None = None
    leases: tuple[LeaseSeen, ...] = ()
    records: tuple[RecordSeen, ...] = ()
    services: tuple[ServiceSeen, ...] = ()
    releases: tuple[ReleaseSeen, ...] = ()
    bad: frozenset[tuple[str, str]] = frozenset()
    break_glass: str = ""
    deployer: str = ""


def lease_seen(domain: str, item: Mapping[str, Any], now: str) -> LeaseSeen:
    """A lease item (`ledger.lease`) at the time `now` (ISO 8601 in UTC)."""
    holder = item.get("holder", {})
    return LeaseSeen(
        domain=domain,
        owner=str(item["owner"]),
        life=life(item, now),
        holder=f"{holder.get('person', '?')} on {holder.get('host', '?')}",
        beat_at=str(item.get("beat_at", "")),
    )


def life(item: Mapping[str, Any], now: str) -> Life:
    """Whether the holder of a lease item (`ledger.lease`) goes on at the time `now` (ISO 8601 in UTC).

    On its own machine the process is looked for. Anywhere else it is taken for dead once its heartbeat is older than
    the lease.
    """
    if item.get("parked_at"):
        return Life.INTERRUPTED
    holder = item.get("holder", {})
    try:
        if holder.get("began"):
            process = Process(user="", **{name: holder[name] for name in ("host", "pid", "began", "space")})
            if process.is_here and not process.alive():
                return Life.DEAD
        silent = seconds_between(item["beat_at"], now)
    except (KeyError, TypeError, ValueError):  # none of this command's: what is not renewed is dead
        return Life.DEAD
    return Life.DEAD if silent > item.get("lease_seconds", 0) else Life.RUNNING
