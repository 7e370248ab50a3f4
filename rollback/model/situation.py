"""The state of an environment and its records, as far as needed to decide what to type next. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from rollback.model.record import Approval, Record, Status, seconds_between
from rollback.model.release import Freeze
from rollback.util.process_identity import Process
from rollback.util.times import ago, shown_time

Policy = Literal["none", "confirm", "identity"]

# Characters of a text in a lease: anybody who can write it could fill the screen.
_SHOWN = 200


class State(StrEnum):
    """The state of an environment or a record. `HEALTHY`, `MIXED` and `ENDED` need no action."""

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
    """Whether the process that holds a lease is alive. `FREE`: the lease is not held."""

    FREE = "FREE"
    RUNNING = "RUNNING"
    INTERRUPTED = "INTERRUPTED"
    DEAD = "DEAD"


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseSeen:
    """A held lease: its domain, its record, and whether its process is alive."""

    domain: str
    owner: str
    life: Life
    holder: str = ""
    beat_at: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordSeen:
    """A record, and the facts that decide what can be done with it.

    `life` is that of its lease's holder. `required` is the approval that the environment requires, `approval` the one
    that is valid now. `undoing`: it is being undone, according to its journal. `damaged`: it was changed by something else than this command.
    `way_back`: its initial state is known. `ended` is why a standby is no longer valid. `outdated` is what has changed since it was planned. `approver` is
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
        """The displayed status: a record that waits for a confirmation is stored like one that waits for
        an approval.
        """
        if self.record.status is Status.AWAITING_APPROVAL and self.required != "identity":
            return State.AWAITING_CONFIRMATION
        if self.record.status is Status.STANDBY and self.ended:
            return State.EXPIRED
        return self.record.status

    @property
    def approved(self) -> bool:
        """Whether it needs no further approval."""
        return self.required != "identity" or self.approval is not None

    @property
    def can_be_taken(self) -> bool:
        """Whether it is on standby and can be taken, as far as known."""
        waits = self.record.status is Status.STANDBY and self.life is not Life.RUNNING
        return waits and self.approved and not (self.ended or self.outdated or self.damaged)

    @property
    def shown(self) -> dict[str, Any]:
        """What is displayed differently from the stored record: its status, and a given approval."""
        given = self.record.approved_by or (self.approval.by if self.approval else None)
        return {"status": self.status, "approved_by": given}


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionStatus:
    """A function's state: its alias's version, weights (version → share, 0 to 1) if they
    were read, the recorded version (`expected` is None if nothing was recorded), and its deployed
    release (None if unknown). `moved_by` is the running or interrupted record that
    explains its version; empty if it is as recorded, or unexplained.
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
        """Whether it is as recorded, or changed by an unfinished record."""
        return bool(self.moved_by) or self.as_recorded

    @property
    def as_recorded(self) -> bool:
        at_version = self.version is not None and self.expected in (None, self.version)
        return at_version and self.weights in ({}, self.expected_weights)


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A service's state: the deployed release, and the one that `--to previous` would select.

    `apart` maps its functions at other releases to these: then the service is mixed.
    """

    name: str
    stands: str | None
    previous: str | None
    functions: tuple[FunctionStatus, ...]
    quarantined: tuple[str, ...]
    apart: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionSeen:
    """A function's state. `version` is None without an alias; `drifted`: its version or weights are not as recorded;
    `releases` are the recorded releases that contain exactly this version, `release` is the deployed one according to
    the ledger.
    """

    name: str
    version: str | None
    drifted: bool
    releases: frozenset[str] = frozenset()
    release: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSeen:
    """A service's state: the release that is `deployed` according to the ledger, None if unknown, and the newest one from
    there that is `good`: neither quarantined nor failed in verification. `recorded`: the ledger has it
    at all. `lacking` are functions that `good` does not contain. If only a floor (`model.floors`) prevents it, `below`
    is the release that would be good, and `floor` the floor as text. `older` is the next good release before `good`, and
    `older_lacking` are functions that it does not contain.
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
    """A recorded release, its commit, if known, and how many seconds ago it was
    recorded (None if unknown).
    """

    version: str
    commit: str = ""
    age: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """An environment, as far as what to type next depends on it. `person` is the caller. `releases` are newest first; `bad` are
    those that are quarantined, a drill's, or failed in verification, as (service, release). `driller`: as text, how the
    caller gets the drill role. `drills`: whether drills may change anything there.

    `journals` are the files of emergencies on this machine that are not imported yet, oldest first.

    `ledger` is HEALTHY, or the state of a ledger that cannot be read. `damaged` are the parts of the
    ledger that were changed by something else than this command, `lost` names a missing record, `trail` is why the archive cannot be read. `records` are those that wait, run,
    or failed and were not superseded.
    """

    environment: str
    person: str = ""
    ledger: State = State.HEALTHY
    damaged: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    trail: str = ""
    frozen: Freeze | None = None
    leases: tuple[LeaseSeen, ...] = ()
    records: tuple[RecordSeen, ...] = ()
    services: tuple[ServiceSeen, ...] = ()
    releases: tuple[ReleaseSeen, ...] = ()
    bad: frozenset[tuple[str, str]] = frozenset()
    break_glass: str = ""
    deployer: str = ""
    driller: str = ""
    drills: bool = True
    journals: tuple[str, ...] = ()


def lease_seen(domain: str, item: Mapping[str, Any], now: str) -> LeaseSeen:
    """A lease item (`ledger.lease`) at the time `now` (ISO 8601 in UTC)."""
    holder = item.get("holder", {})
    return LeaseSeen(
        domain=domain,
        owner=str(item["owner"])[:_SHOWN],
        life=life(item, now),
        holder=f"{holder.get('person', '?')} on {holder.get('host', '?')}"[:_SHOWN],
        beat_at=str(item.get("beat_at", ""))[:_SHOWN],
    )


def heartbeat(beat_at: str, now: str) -> str:
    """When a lease's holder was last heard of, as text. Both are ISO 8601 in UTC."""
    try:
        return f"last heartbeat {shown_time(beat_at)} ({ago(seconds_between(beat_at, now))})"
    except (TypeError, ValueError):  # not written by this command
        return f"last heartbeat {shown_time(beat_at) or 'unknown'}"


def life(item: Mapping[str, Any], now: str) -> Life:
    """Whether the holder of a lease item (`ledger.lease`) is alive at the time `now` (ISO 8601 in UTC).

    On the holder's machine its process is checked. Elsewhere it counts as dead if its heartbeat is older than
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
    except (KeyError, TypeError, ValueError):  # not written by this command: counts as dead
        return Life.DEAD
    return Life.DEAD if silent > item.get("lease_seconds", 0) else Life.RUNNING
