"""Writes a record while its lease is held: its journal, and its end.

A `Recorder` is the journal that targets write to (`targets.protocol.Journal`). Every write is conditional
on the lease and on the record being as we last saw it, so that two processes can never both be writing.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from rollback.actions.context import Session
from rollback.actions.ports import Ui
from rollback.core.errors import Refused, RollbackError
from rollback.integrations import github_actions
from rollback.ledger.lease import LeaseLost, Locks
from rollback.ledger.stored_record import Opened
from rollback.model.plan import Plan
from rollback.model.record import Check, Entered, Event, Record, Status, seconds_between
from rollback.model.release import Entry, Quarantine
from rollback.targets.base import Failure, Target

# Failures an event and characters a reason: an event stays below DynamoDB's 400 KB an item.
_FAILURES, _REASON = 200, 500


def planned(
    session: Session, target: Target, plan: Plan[Any], reason: str, *, rollback_id: str, began: str
) -> Record:
    """The record of a plan of which nothing has been done yet."""
    return Record(
        rollback_id=rollback_id,
        kind=plan.kind,
        environment=plan.environment,
        from_version=plan.from_version,
        to_version=plan.to_version,
        services=plan.services,
        without=plan.request.without,
        reason=reason,
        initiated_by=session.caller,
        initiated_at=began,
        status=Status.PLANNED,
        digest=plan.digest(),
        counts=target.counts(plan, ()),
        rto_seconds=target.minutes * 60,
        adopted_current=plan.request.adopt_current,
        domains=target.domains(plan.request),
        infrastructure=plan.infrastructure,
        run=github_actions.this_run(),
    )


@dataclass(kw_only=True)
class Recorder:
    """One record under its lease, which stays with it from IN_PROGRESS until `close`.

    A write without an answer may have been done: before the next one the record is read again.
    """

    session: Session
    target: Target
    plan: Plan[Any]
    record: Record
    lease: Locks
    ui: Ui
    stop: threading.Event
    taken_over: bool
    events: list[Event] = field(default_factory=list)
    _writing: threading.RLock = field(default_factory=threading.RLock)
    _unsure: bool = False

    @property
    def rollback_id(self) -> str:
        return self.record.rollback_id

    @property
    def tag(self) -> str:
        return f"rollback/{self.record.rollback_id}/{self.lease.fence}"

    def append(self, kind: str, data: Mapping[str, Any], **changes: Any) -> None:
        with self._written():
            entered = Entered(kind=kind, at=self.session.clocks.now(), by=self.session.caller, data=data)
            was = self.lease.in_flight
            self.lease.in_flight = was or changes.get("status") is Status.IN_PROGRESS
            try:
                self.record, event = self.session.ledger.journal(self.record, entered, self.lease, changes)
            except Refused:
                self.lease.in_flight = was
                raise
            self.events.append(event)
        if self.session.notifier is not None:
            self.session.told(replace(self.record, counts=self.counts()))

    def check(self) -> None:
        self.lease.check()

    def stopping(self) -> bool:
        return self.stop.is_set()

    def progress(self, done: int) -> None:
        self.ui.progress(done)

    def failures(self, failures: Sequence[Failure]) -> None:
        """Journals what did not go: later steps and later processes decide by it."""
        data = [
            {
                "subject": item.subject,
                "reason": item.reason[:_REASON],
                "foreign": item.foreign,
                "refused": item.refused,
            }
            for item in failures
        ]
        for start in range(0, len(data), _FAILURES):
            self.append("failed", {"failures": data[start : start + _FAILURES]})

    def counts(self) -> Mapping[str, int]:
        return self.target.counts(self.plan, self.events)

    def has(self, kind: str) -> bool:
        """Whether the journal holds an event of this kind."""
        return any(event.kind == kind for event in self.events)

    def stands(self, done: Collection[str], *, undone: bool) -> dict[str, str]:
        """Subject → what it stands at where it is among `done`, or undone; empty where it is not."""
        left = self.plan.left(undone=undone)
        return {subject: to if subject in done else "" for subject, to in left.items()}

    def stands_now(self) -> Mapping[str, str]:
        """What the plan's subjects stand at, for one who has lost the lease: as the ledger has it, or as its
        holder is about to have it.
        """
        opened = self.session.ledger.load(self.record.rollback_id)
        if opened.record.status is Status.IN_PROGRESS:
            return self.plan.left(undone=any(event.kind == "reverting" for event in opened.events))
        stands = self.session.ledger.timeline().stands
        return {subject: stands.get(subject, "") for subject in self.plan.targets}

    def close(
        self, status: Status, checks: Sequence[Check], *, done: Collection[str] = (), undone: bool = False
    ) -> None:
        """Ends the record. `done` are the plan's subjects that stand at it, well or not; with `undone` those
        that stand again where it began. Nobody knows what the others stand at.

        What was left is quarantined where it is done, and let go again where it is undone.
        """
        with self._written():
            plan, record, now = self.plan, self.record, self.session.clocks.now()
            stands = self.stands(done, undone=undone)
            counts = self.counts()
            elapsed = seconds_between(record.initiated_at, now) - record.waited_seconds
            data = {"status": status, "counts": counts, "checks": checks, "stands": stands}
            self.record, event = self.session.ledger.close(
                record,
                Entered(kind="closed", at=now, by=self.session.caller, data=data),
                self.lease,
                {
                    "status": status,
                    "completed_at": now,
                    "counts": counts,
                    "verification": tuple(checks),
                    "elapsed_seconds": round(max(0.0, elapsed), 3),
                },
                entry=_entry(self.session, record, status, now, services=plan.subjects, stands=stands),
                bars=() if undone else self._bars(now, done),
                lifts=self._lifts() if undone else (),
            )
            self.events.append(event)
            self.lease.in_flight = False
        self.session.told(self.record)

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
                    raise RollbackError(refused.what, next=refused.next) from None
                raise
            except RollbackError:
                self._unsure = True
                raise

    def _bars(self, at: str, done: Collection[str]) -> list[Quarantine]:
        """What is barred already, by a person or by this record, stays as it is."""
        barred = {(bar.service, bar.version) for bar in self.session.ledger.quarantines()}
        return [
            Quarantine(
                service=service,
                version=version,
                reason=self.record.reason,
                by=self.session.caller,
                at=at,
                rollback_id=self.record.rollback_id,
            )
            for service, version in self.plan.quarantines.items()
            if service in done and (service, version) not in barred
        ]

    def _lifts(self) -> list[Quarantine]:
        bars = self.session.ledger.quarantines()
        return [bar for bar in bars if bar.rollback_id == self.record.rollback_id]


def give_up(
    session: Session, opened: Opened, reason: str, lease: Locks | None = None
) -> tuple[Record, Event]:
    """Ends a record and says nothing of what stands.

    One that never began to act becomes ABORTED, and needs no lease. One that did, and whose plan is
    damaged, becomes FAILED: that is all that can be said of it.
    """
    now = session.clocks.now()
    status = Status.ABORTED if lease is None else Status.FAILED
    record, event = session.ledger.close(
        opened.record,
        Entered(
            kind="aborted" if lease is None else "abandoned",
            at=now,
            by=session.caller,
            data={"reason": reason},
        ),
        lease,
        {"status": status, "completed_at": now, "verification": ()},
        entry=_entry(session, opened.record, status, now, services=(), stands={}),
    )
    session.told(record)
    return record, event


def _entry(
    session: Session,
    record: Record,
    status: Status,
    at: str,
    *,
    services: Sequence[str],
    stands: Mapping[str, str],
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
        stands=stands,
        covers="",
        status=status,
    )
