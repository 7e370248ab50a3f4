"""Writes a record's journal and its end to the ledger while its lease is held.

Every write is conditional on the lease and on the record being as we last saw it, so that two processes can
never both be writing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from rollback.actions.context import Session
from rollback.actions.run import End
from rollback.core.errors import Refused, RollbackError
from rollback.ledger.lease import HeldLeases, LeaseLost
from rollback.ledger.stored_record import Opened
from rollback.model.commands import Commands
from rollback.model.deployed import Deployed, stored
from rollback.model.events import Abandoned, Aborted, Closed, Happened, Reverting, has
from rollback.model.plan import Plan
from rollback.model.record import Check, Event, Record, Status
from rollback.model.release import Entry, Quarantine
from rollback.targets.base import Target


@dataclass(kw_only=True)
class LedgerStore:
    """A record in the ledger under its lease (`run.Store`), which stays with it from IN_PROGRESS until `close`.

    A write without an answer may have been done: before the next one the record is read again.
    """

    session: Session
    target: Target
    plan: Plan[Any]
    record: Record
    lease: HeldLeases
    taken_over: bool = False
    events: list[Event] = field(default_factory=list)
    _writing: threading.RLock = field(default_factory=threading.RLock)
    _unsure: bool = False

    @property
    def tag(self) -> str:
        return f"rollback/{self.record.rollback_id}/{self.lease.fence}"

    @property
    def commands(self) -> Commands:
        return Commands.in_ledger(self.record.rollback_id, self.session.environment, self.target.verb)

    def append(self, data: Happened, **changes: Any) -> None:
        """Writes an event (`data` as in `Journal.append`) and the record's fields that change with it. Raises
        `LeaseLost` where the lease is no longer ours.
        """
        with self._written():
            entered = data.entered(at=self.session.clocks.now(), by=self.session.caller)
            was = self.lease.in_flight
            self.lease.in_flight = was or changes.get("status") is Status.IN_PROGRESS
            try:
                self.record, event = self.session.ledger.journal(self.record, entered, self.lease, changes)
            except Refused:
                self.lease.in_flight = was
                raise
            self.events.append(event)
        if self.session.notifier is not None:
            self.session.notify(replace(self.record, counts=self.target.counts(self.plan, self.events)))

    def check(self) -> None:
        self.lease.check()

    @contextmanager
    def published(self, deployed: Mapping[str, Deployed]) -> Iterator[list[Check]]:
        """Writes where others look up what is deployed; gives failed checks where that was not possible.

        A parameter has no conditional write: after losing the lease, the current value is published again until
        it stops changing.
        """
        try:
            yield self._publish(deployed, self.events)
        except RollbackError as error:
            if isinstance(error, LeaseLost) or self._lost():
                failed: list[Check] = []
                last = None
                while not failed and (now := self._deployed_now()) != last:
                    failed, last = self._publish(*now), now
                if failed:
                    error.changed += f" What the parameters say may be wrong: {failed[0].detail}"
            raise

    def close(self, end: End) -> None:
        """Ends the record with its entry in the timeline, its quarantines and its lease: all of it, or nothing."""
        with self._written():
            record, now = self.record, self.session.clocks.now()
            closed = Closed(
                status=end.status,
                counts=end.counts,
                checks=tuple(end.checks),
                stands=stored(end.deployed),
            )
            self.record, event = self.session.ledger.close(
                record,
                closed.entered(at=now, by=self.session.caller),
                self.lease,
                {
                    "status": end.status,
                    "completed_at": now,
                    "counts": end.counts,
                    "verification": tuple(end.checks),
                    "elapsed_seconds": record.seconds_until(now),
                    **({} if end.relieved_seconds is None else {"relieved_seconds": end.relieved_seconds}),
                },
                entry=end_entry(
                    self.session,
                    record,
                    end.status,
                    now,
                    services=self.plan.subjects,
                    deployed=end.deployed,
                ),
                quarantines=new_quarantines(self.session, record, end.quarantines, now),
                lifts=self._lifts() if end.lifts else (),
            )
            self.events.append(event)
            self.lease.in_flight = False
        self.session.notify(self.record)

    @contextmanager
    def _written(self) -> Iterator[None]:
        """One write at a time, upon the record as it is."""
        with self._writing:
            if self._unsure:
                opened = self.session.ledger.load(self.record.rollback_id)
                self.record, self.events[:] = opened.record, opened.events
                self._unsure = False
            try:
                yield
            except LeaseLost:
                raise
            except Refused as refused:
                if self.lease.in_flight:  # not "nothing was changed"
                    raise RollbackError(refused.what, code=refused.code, next=refused.next) from None
                raise
            except RollbackError:
                self._unsure = True
                raise

    def _publish(self, deployed: Mapping[str, Deployed], events: Sequence[Event]) -> list[Check]:
        try:
            self.target.publish(self.plan, deployed, events)
        except RollbackError as error:
            return [Check(check="parameter", ok=False, detail=error.what)]
        return []

    def _lost(self) -> bool:
        try:
            self.lease.check()
        except LeaseLost:
            return True
        return False

    def _deployed_now(self) -> tuple[Mapping[str, Deployed], Sequence[Event]]:
        """What the plan's subjects are at, for one who has lost the lease: as the ledger has it, or as its holder
        is about to have it, and the events of its way there.
        """
        opened = self.session.ledger.load(self.record.rollback_id)
        if opened.record.status is Status.IN_PROGRESS:
            undone = has(opened.events, Reverting)
            # A way back that is under way is published as done.
            return self.plan.left(undone=undone), () if undone else opened.events
        timeline = self.session.ledger.timeline(readable=True)
        return {subject: timeline.deployed(subject) for subject in self.plan.targets}, ()

    def _lifts(self) -> list[Quarantine]:
        own = self.record.rollback_id
        found = self.session.ledger.quarantines(readable=True)
        return [item for item in found if item.rollback_id == own]


def new_quarantines(
    session: Session, record: Record, quarantines: Mapping[str, str], at: str
) -> list[Quarantine]:
    """What `record` quarantines at the time `at`. `quarantines` maps services to releases; those that are
    quarantined already stay as they are.
    """
    if not quarantines:
        return []
    # A malformed one keeps no record from its end: written again, it is whole again.
    known = {(item.service, item.version) for item in session.ledger.quarantines(readable=True)}
    return [
        Quarantine(
            service=service,
            version=version,
            reason=record.reason,
            by=session.caller,
            at=at,
            rollback_id=record.rollback_id,
        )
        for service, version in quarantines.items()
        if (service, version) not in known
    ]


def end_entry(
    session: Session,
    record: Record,
    status: Status,
    at: str,
    *,
    services: Sequence[str],
    deployed: Mapping[str, Deployed],
) -> Entry:
    """The timeline's entry of a record's end; the ledger numbers and chains it."""
    return Entry(
        seq=0,
        kind="rollback",
        id=record.rollback_id,
        version="",
        at=at,
        by=session.caller,
        services=tuple(services),
        stands=stored(deployed),
        covers="",
        status=status,
    )


def give_up(
    session: Session, opened: Opened, reason: str, lease: HeldLeases | None = None
) -> tuple[Record, Event]:
    """Ends a record without any change to what is recorded as deployed.

    One that never began to act becomes ABORTED, and needs no lease. One that did, and whose plan is damaged,
    becomes FAILED.
    """
    now = session.clocks.now()
    status = Status.ABORTED if lease is None else Status.FAILED
    ended = Aborted(reason=reason) if lease is None else Abandoned(reason=reason)
    record, event = session.ledger.close(
        opened.record,
        ended.entered(at=now, by=session.caller),
        lease,
        {"status": status, "completed_at": now, "verification": ()},
        entry=end_entry(session, opened.record, status, now, services=(), deployed={}),
    )
    session.notify(record)
    return record, event
