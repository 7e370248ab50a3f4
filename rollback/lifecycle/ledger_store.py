"""Writes a record's journal and its end to the ledger while its lease is held.

Every write is conditional on the lease and on the record's last read state, so that two processes can
never both write.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from rollback.ledger.lease import HeldLeases, LeaseLost
from rollback.ledger.stored_record import Opened
from rollback.lifecycle.context import Session
from rollback.lifecycle.run import End
from rollback.model.commands import Commands
from rollback.model.deployed import Deployed, stored
from rollback.model.events import Abandoned, Aborted, Closed, Happened, Reverting, has
from rollback.model.plan import Plan
from rollback.model.record import Check, Event, Record, Status
from rollback.model.release import Entry, Quarantine
from rollback.targets.base import Target
from rollback.util.errors import Refused, RollbackError


@dataclass(kw_only=True)
class LedgerStore:
    """A record in the ledger under its lease (`run.Store`), which it keeps from IN_PROGRESS until `close`.

    A write without a response may have succeeded: the record is read again before the next one.
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
        """Publishes what is deployed to the SSM parameters; yields failed checks where it could not.

        Parameters have no conditional write: after a lost lease, the current value is published again until
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
                    error.changed += f" The parameters may be wrong: {failed[0].detail}"
            raise

    def close(self, end: End) -> None:
        """Writes the record's end, its timeline entry, its quarantines and the lease's release in one transaction."""
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
                    # A record that had ended is only verified again, which is not part of the rollback's time.
                    "elapsed_seconds": (
                        record.elapsed_seconds if record.completed_at else record.seconds_until(now)
                    ),
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
        """One write at a time, based on the record's current state."""
        with self._writing:
            if self._unsure:
                opened = self.session.ledger.load(self.record.rollback_id)
                self.record, self.events[:] = opened.record, opened.events
                self._unsure = False
            try:
                yield
            except (LeaseLost, Refused):
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
        """What is deployed of the plan's subjects, after the lease was lost: by the ledger, or by what the new holder
        is about to do, and the events of that.
        """
        opened = self.session.ledger.load(self.record.rollback_id)
        if opened.record.status is Status.IN_PROGRESS:
            undone = has(opened.events, Reverting)
            # A running rollback is published as if it had finished.
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
    """What `record` quarantines at the time `at`. `quarantines` maps services to releases; those already
    quarantined are not changed.
    """
    if not quarantines:
        return []
    # A malformed quarantine is replaced, so that it cannot block the record's end.
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
    """The timeline entry of a record's end; the ledger adds number and chain."""
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

    A record that never changed anything becomes ABORTED, and needs no lease. One that did, but has a damaged plan,
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
