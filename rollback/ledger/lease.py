"""The lock on one domain of an environment: a lease with a heartbeat and a fencing token.

A holder renews its heartbeat every quarter of the lease. A lease is never taken by wall-clock time: a
taker watches the heartbeat for the length of a lease on its monotonic clock, and takes it only if it did not
change. Every take increases the fencing token, and every write of the ledger under a lease is conditional on
it, so that an old holder that wakes up cannot write anything.

A lease item is `{"PK": "LOCK#<env>", "SK": <domain>, "owner": <record id>, "nonce", "holder": {"host", "pid",
"person", "role", "began", "space"}, "lease_seconds", "taken_at", "beat_at", "beat", "fence", "parked_at"}`: times are ISO 8601
in UTC, `parked_at` exists only while it is parked, and `owner` only while it is held.

It is longer than 400 lines: taking, renewing, parking and releasing a lease are one protocol.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from rollback.ledger.schema import METADATA, model
from rollback.ledger.store import Conflict, Item, LedgerTable, Write
from rollback.model.advice import for_lease, for_record
from rollback.model.identity import Actor
from rollback.model.record import Record, Status
from rollback.model.situation import Life, RecordSeen, heartbeat, lease_seen
from rollback.util.clocks import Clocks
from rollback.util.errors import Code, Refused, RollbackError
from rollback.util.process_identity import Process
from rollback.util.times import shown_time

ALIASES, STACK, TERRAFORM = "aliases", "stack", "terraform"
# Several leases are always taken in this order, to avoid deadlocks.
_ORDER = (ALIASES, STACK, TERRAFORM)
# The owner of a lease while a release is recorded: this prefix and the release's id.
RECORDING = "deployment-"


# The attributes of a held lease's item, and their types.
_FIELDS: Mapping[str, type] = {"owner": str, "beat": int, "fence": int}
_MORE: Mapping[str, type] = {"holder": dict, "lease_seconds": int, "beat_at": str, "parked_at": str}
# In seconds; the longest lease that can be configured. Longer ones in the table are not waited for.
_LONGEST = 3600
# How often an overdue lease is renewed before it is lost: a machine that stands still may do so in a renewal, too.
_RENEWALS = 3
# In seconds; a taker that has not looked for so long, or for a quarter of a lease, was itself paused.
_PAUSE = 5.0


class LeaseLost(RollbackError):
    """Another process holds the lease now, or it could not be renewed: stop at once."""

    code_default = Code.LEASE_LOST


class LeaseHeld(Refused):
    """The lease is held. `owner` is the holder's record."""

    code_default = Code.LEASE_HELD

    def __init__(self, item: Item, domain: str, environment: str, record: Record | None, now: str) -> None:
        lease = lease_seen(domain, item, now)
        self.owner = lease.owner
        pid = item.get("holder", {}).get("pid", "?")
        since = heartbeat(lease.beat_at, now)
        if lease.life is Life.INTERRUPTED:
            since = f"interrupted at {shown_time(item['parked_at'])}"
        what = f"{self.owner} holds the lease on {environment}/{domain}: {lease.holder} (pid {pid}), {since}"
        advice = for_lease(lease, environment)
        if record is not None and lease.life is not Life.RUNNING:
            advice = for_record(RecordSeen(record=record, life=lease.life))
        super().__init__(f"{what}.", next=advice.next)


@dataclass(kw_only=True)
class Lease:
    """A held lease. `check` raises `LeaseLost` when it is lost; `proof` is a write's condition.

    `since` is the monotonic time before the request, the earliest time of its heartbeat. `in_flight`:
    it must not be released before its record is closed; `given_back`: a closing write released it.
    """

    table: LedgerTable
    environment: str
    domain: str
    owner: str
    fence: int
    nonce: str
    seconds: int
    clocks: Clocks
    since: float
    in_flight: bool = False
    given_back: bool = False
    _renewed: float = field(init=False)
    _lost: str = field(init=False, default="")
    _end: Callable[[], None] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._renewed = self.since

    def start(self) -> Lease:
        """Starts the heartbeat in the background, until `release`."""
        self._end = self.clocks.beating(f"lease {self.domain}", self.seconds / 4, self._beat)
        return self

    def check(self) -> None:
        """Raises `LeaseLost` where the lease was taken, or cannot be renewed when three quarters of its length have
        passed.

        A process that was paused for longer than that continues if nobody has taken the lease: the renewal's condition
        decides, and who watches the lease sees a new heartbeat.
        """
        for _ in range(_RENEWALS):
            if self._lost or not self._overdue():
                break
            self.renew()
        if not self._lost and self._overdue():
            self._lost = "it could not be renewed in time"
        if self._lost:
            raise LeaseLost(
                f"The lease on {self.environment}/{self.domain} is lost: {self._lost}.",
                changed="The record's journal has what was done so far.",
                next=f"rollback show {self.owner} --env {self.environment}",
            )

    def _overdue(self) -> bool:
        return self.clocks.monotonic() - self._renewed > self.seconds * 0.75

    def lose(self, why: str) -> None:
        """Marks it as lost; `check` will raise."""
        self._lost = self._lost or why

    def proofs(self) -> list[Write]:
        return [self.proof()]

    def farewells(self) -> list[Write]:
        return [self.farewell()]

    def proof(self) -> Write:
        """A transaction's condition that is only true while this process holds the lease."""
        return Write(
            name="lease",
            key=(f"LOCK#{self.environment}", self.domain),
            condition="nonce = :nonce AND fence = :fence",
            values={":nonce": self.nonce, ":fence": self.fence},
        )

    def farewell(self) -> Write:
        """A member of a record's last transaction: its condition is that we hold the lease, and it releases the lease.

        So a process that crashes right after it leaves no lease for an ended record.
        """
        return replace(
            self.proof(),
            update="SET released_at = :now REMOVE #owner, nonce",
            names={"#owner": "owner"},
            values={":now": self.clocks.now(), ":nonce": self.nonce, ":fence": self.fence},
        )

    def renew(self) -> None:
        """One heartbeat. A failed condition means that the lease was taken; other errors are retried later."""
        started = self.clocks.monotonic()
        try:
            self.table.update(
                Write(
                    name="lease",
                    key=(f"LOCK#{self.environment}", self.domain),
                    update="SET beat = beat + :one, beat_at = :now",
                    condition="nonce = :nonce AND fence = :fence",
                    values={":one": 1, ":now": self.clocks.now(), ":nonce": self.nonce, ":fence": self.fence},
                )
            )
        except Conflict:
            self.lose("another process has taken it")
        except RollbackError:
            return
        else:
            self._renewed = max(self._renewed, started)

    def release(self) -> None:
        """Releases the lease; or, while a record is running, parks it for the command that resumes or aborts the
        record.

        A parked lease still excludes others, but its record's next command need not wait for the length of a lease. Does
        nothing if the lease is already lost; if the table is not available, the lease stays like that of a crashed
        process, and no error is raised.
        """
        if self._end is not None:
            self._end()
        if self.given_back:
            return
        free = self.farewell()
        parked = replace(free, update="SET parked_at = :now REMOVE nonce", names={})
        try:
            self.table.update(parked if self.in_flight else free)
        except Conflict:
            self.lose("another process has taken it")
        except RollbackError:
            self.lose("it could not be released")

    def _beat(self) -> bool:
        """One heartbeat; returns whether to continue."""
        self.renew()
        return not self._lost


@dataclass(kw_only=True)
class HeldLeases:
    """Leases that one record holds together: they are released, parked and lost together."""

    leases: tuple[Lease, ...]
    in_flight: bool = False
    given_back: bool = False

    @property
    def fence(self) -> int:
        """The fencing token of the first lease, which is unique among holders of these leases."""
        return self.leases[0].fence

    def check(self) -> None:
        for lease in self.leases:
            lease.check()

    def lose(self, why: str) -> None:
        for lease in self.leases:
            lease.lose(why)

    def proofs(self) -> list[Write]:
        return [lease.proof() for lease in self.leases]

    def farewells(self) -> list[Write]:
        return [lease.farewell() for lease in self.leases]

    def release(self) -> None:
        """Releases or parks all (`Lease.release`); the last taken first."""
        for lease in reversed(self.leases):
            lease.in_flight, lease.given_back = self.in_flight, self.given_back
            lease.release()


class LeaseProof(Protocol):
    """The part of leases that the ledger needs, for one or several."""

    given_back: bool

    def check(self) -> None: ...
    def lose(self, why: str) -> None: ...
    def proofs(self) -> list[Write]: ...
    def farewells(self) -> list[Write]: ...


@dataclass(frozen=True, kw_only=True)
class Leases:
    """Takes leases of one environment for one caller."""

    table: LedgerTable
    environment: str
    seconds: int
    caller: Actor
    clocks: Clocks

    def holder(self, domain: str) -> Item | None:
        """The lease item (see the module) while it is held, for display and for errors; None
        otherwise. Raises `RollbackError` where it is malformed.
        """
        item = self.table.get(f"LOCK#{self.environment}", domain)
        return _well_formed(item) if item is not None and "owner" in item else None

    def holders(self, over: list[str] | None = None) -> dict[str, Item]:
        """Domain → the lease item (see the module) of all held leases. Raises `RollbackError` as
        `holder` does; with `over`, for display, skips malformed items and adds a text to `over`.
        """
        found: dict[str, Item] = {}
        for item in self.table.query(f"LOCK#{self.environment}"):
            if "owner" in item:
                try:
                    found[str(item["SK"])] = _well_formed(item)
                except RollbackError as error:
                    if over is None:
                        raise
                    over.append(f"Skipped in the ledger: {error.what}")
        return found

    def held_by(self, owner: str) -> tuple[str, ...]:
        """The domains whose leases `owner` holds, in the order in which they are taken."""
        held = [domain for domain, item in self.holders().items() if item["owner"] == owner]
        return tuple(sorted(held, key=lambda domain: (*_ORDER, domain).index(domain)))

    def take(self, domain: str, owner: str) -> Lease:
        """Takes the lease. Raises `LeaseHeld` at once if it is not free."""
        nonce, since = self.clocks.identifier(), self.clocks.monotonic()
        try:
            item = self._write(domain, owner, nonce, "attribute_not_exists(#owner)", {})
        except Conflict:
            held = self.holder(domain)
            if held is None:
                return self.take(domain, owner)
            if held.get("nonce") == nonce:  # our own write, whose response was lost
                item = held
            else:
                raise self._held(held, domain) from None
        return self._lease(domain, item, since)

    def take_over(self, domain: str, owner: str, waiting: Callable[[float], None]) -> Lease:
        """Takes the lease, also from a crashed holder of the same record.

        `waiting` is called with the remaining seconds. Raises `LeaseHeld` where another record holds it or
        the holder's heartbeat changed.
        """
        return self._seize(domain, owner, self._watch((domain,), owner, waiting)[domain])

    def hold(self, domains: Sequence[str], owner: str) -> HeldLeases:
        """Takes all of these leases. Raises `LeaseHeld` if one is not free; then none is held."""
        taken: list[Lease] = []
        try:
            for domain in domains:
                taken.append(self.take(domain, owner).start())  # noqa: PERF401 - those taken are given back
        except BaseException:
            HeldLeases(leases=tuple(taken)).release()
            raise
        return HeldLeases(leases=tuple(taken))

    def hold_over(self, domains: Sequence[str], owner: str, waiting: Callable[[float], None]) -> HeldLeases:
        """Takes all of these leases like `take_over`, watching them in parallel.

        Raises `LeaseHeld` if one cannot be taken; those taken are then parked, because their record may be
        running.
        """
        watched = self._watch(domains, owner, waiting)
        taken: list[Lease] = []
        try:
            for domain in domains:
                taken.append(self._seize(domain, owner, watched[domain]).start())  # noqa: PERF401 - as above
        except BaseException:
            HeldLeases(leases=tuple(taken), in_flight=True).release()
            raise
        return HeldLeases(leases=tuple(taken))

    def _watch(
        self, domains: Sequence[str], owner: str, waiting: Callable[[float], None]
    ) -> dict[str, Item | None]:
        """Each domain's holder, after it had no heartbeat for the length of a lease; None if free.

        After a pause of this process the time begins anew: if the machine was suspended, so was a holder on it.
        """
        found = {domain: self.holder(domain) for domain in domains}
        for domain, held in found.items():
            if held is not None and held["owner"] != owner:
                raise self._held(held, domain)
        watched = {
            domain: held for domain, held in found.items() if held is not None and not held.get("parked_at")
        }
        seconds = [
            max(self.seconds, min(_LONGEST, held.get("lease_seconds", 0))) for held in watched.values()
        ]
        left = watch = float(max(seconds, default=0))
        while left > 0:
            waiting(left)
            began = self.clocks.monotonic()
            self.clocks.sleep(min(1.0, left))
            for domain, held in watched.items():
                seen = self.holder(domain)
                if seen is None:
                    found[domain] = None
                elif (seen["beat"], seen["fence"]) != (held["beat"], held["fence"]):
                    raise self._held(seen, domain)
            watched = {domain: held for domain, held in watched.items() if found[domain] is not None}
            if not watched:
                break
            spent = self.clocks.monotonic() - began
            left = watch if spent > max(_PAUSE, watch / 4) else left - spent
        return found

    def _seize(self, domain: str, owner: str, held: Item | None) -> Lease:
        """Takes the lease of a watched holder, if it has not changed."""
        if held is None:
            return self.take(domain, owner)
        nonce, since = self.clocks.identifier(), self.clocks.monotonic()
        try:
            item = self._write(
                domain,
                owner,
                nonce,
                "#owner = :old AND beat = :beat AND fence = :fence",
                {":old": owner, ":beat": held["beat"], ":fence": held["fence"]},
            )
        except Conflict:
            seen = self.holder(domain)
            if seen is None or seen.get("nonce") != nonce:
                raise self._held(seen or held, domain) from None
            item = seen
        return self._lease(domain, item, since)

    def _held(self, item: Item, domain: str) -> LeaseHeld:
        """The error for a held lease, with the commands for its record."""
        try:
            stored = self.table.get(f"ROLLBACK#{item['owner']}", METADATA)
            record = None if stored is None else model(Record, stored)
        except RollbackError:
            record = None
        going = record is not None and record.status in (Status.IN_PROGRESS, Status.FAILED)
        return LeaseHeld(item, domain, self.environment, record if going else None, self.clocks.now())

    def _write(self, domain: str, owner: str, nonce: str, condition: str, values: dict[str, Any]) -> Item:
        process = Process.of(os.getpid())
        return self.table.update(
            Write(
                name="lease",
                key=(f"LOCK#{self.environment}", domain),
                update="SET #owner = :owner, nonce = :nonce, holder = :holder, lease_seconds = :seconds, "
                "taken_at = :now, beat_at = :now, beat = :zero, fence = if_not_exists(fence, :zero) + :one "
                "REMOVE parked_at, released_at",
                condition=condition,
                names={"#owner": "owner"},
                values={
                    ":owner": owner,
                    ":nonce": nonce,
                    ":holder": {
                        "host": process.host,
                        "pid": process.pid,
                        "person": self.caller.person,
                        "role": self.caller.role,
                        "began": process.began,
                        "space": process.space,
                    },
                    ":seconds": self.seconds,
                    ":now": self.clocks.now(),
                    ":zero": 0,
                    ":one": 1,
                    **values,
                },
            )
        )

    def _lease(self, domain: str, item: Item, since: float) -> Lease:
        return Lease(
            table=self.table,
            environment=self.environment,
            domain=domain,
            owner=str(item["owner"]),
            fence=int(item["fence"]),
            nonce=str(item["nonce"]),
            seconds=self.seconds,
            clocks=self.clocks,
            since=since,
        )


def _well_formed(item: Item) -> Item:
    """Returns the item of a held lease. Raises `RollbackError` where it is malformed."""
    wrong = [name for name, kind in _FIELDS.items() if not isinstance(item.get(name), kind)]
    wrong += [name for name, kind in _MORE.items() if not isinstance(item.get(name, kind()), kind)]
    if wrong:
        raise RollbackError(
            f"The ledger's item {item['PK']} / {item['SK']} is malformed: {', '.join(wrong)}.",
            code=Code.LEDGER_DAMAGED,
            next="Correct or delete that item, which was not written by this command, then run the same command again.",
        )
    return item
