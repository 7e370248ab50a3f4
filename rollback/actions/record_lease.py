"""Holds a record and its leases while a verb runs, and ends what a dead process left held."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rollback.actions.context import Session
from rollback.actions.journal import Recorder, give_up
from rollback.actions.ports import Ui
from rollback.core.errors import Ended, Refused, RollbackError, UsageError
from rollback.ledger.lease import LeaseLost, Locks
from rollback.ledger.stored_record import Opened
from rollback.model.messages import only
from rollback.model.plan import Plan
from rollback.model.record import UNFINISHED, Event, Record, Status
from rollback.targets.base import Target


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """How a verb ended: its record, if there is one, and the error that sets the exit code, if any.

    `anew` says that what is left needs a plan of its own.
    """

    record: Record | None
    plan: Plan[Any] | None
    events: tuple[Event, ...] = ()
    error: RollbackError | None = None
    anew: bool = False


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What every verb of a session shares. `stop` is set when a person asks to stop."""

    session: Session
    ui: Ui
    stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def _locked(self, domains: Sequence[str], owner: str, *, take_over: bool = False) -> Iterator[Locks]:
        if take_over:
            lease = self.session.leases.hold_over(domains, owner, lambda left: self._watching(owner, left))
            # Parked again if anything goes wrong before it is known what its record needs.
            lease.in_flight = True
        else:
            lease = self.session.leases.hold(domains, owner)
        try:
            yield lease
        except KeyboardInterrupt:
            if not lease.in_flight:
                raise
            name = f"{owner} --env {self.session.environment}"
            raise Ended(
                f"Ended at once, while {owner} was in flight.",
                changed="What was under way may or may not have been done; whoever goes on finds out.",
                next=f"rollback resume {name}, or rollback abort {name}",
            ) from None
        except RollbackError as error:
            if lease.in_flight and not isinstance(error, LeaseLost):
                name = f"{owner} --env {self.session.environment}"
                error.changed = error.changed or "What was done until then is in the record."
                then = (
                    f"rollback resume {name}, to finish it; rollback abort {name}, to undo what can be undone"
                )
                error.next = f"{error.next}\n{then}" if error.next else then
            raise
        finally:
            lease.release()

    @contextmanager
    def _reading(self, lease: Locks) -> Iterator[None]:
        """What is planned under a lease counts only if it was held all the while. Raises `LeaseLost`."""
        why: RollbackError | None = None
        try:
            yield
        except RollbackError as error:
            why = error
        try:
            lease.check()
        except LeaseLost as lost:
            lost.changed = "Nothing was changed."
            lost.next = f"rollback status --env {self.session.environment}"
            raise lost from why
        if why is not None:
            raise why

    def _watching(self, owner: str, left: float) -> None:
        self._not_stopped()
        self.ui.waiting(f"Watching whether {owner} is dead", left)

    def _not_stopped(self) -> None:
        if self.stop.is_set():
            raise RollbackError("Interrupted before anything was changed.", changed="Nothing was changed.")

    def _not_orphaned(self, owner: str) -> None:
        """Raises `Refused` for a holder of the lease that has no record: there is nothing to go on with."""
        held = self.session.leases.held_by(owner)
        if not held:
            return
        try:
            self.session.ledger.load(owner)
        except UsageError:
            raise Refused(
                f"{owner} holds the lease on {self.session.environment}/{', '.join(held)} but had written "
                "nothing.",
                next=f"rollback abort {owner} --env {self.session.environment}, which frees the lease.",
            ) from None

    def _release_orphan(self, owner: str) -> Finished:
        """Frees a lease whose holder died before it wrote its record."""
        held = self.session.leases.held_by(owner)
        if not held:
            raise UsageError(
                f"There is no rollback {owner[:80]!a} in {self.session.environment}.",
                next=f"rollback history --env {self.session.environment}",
            )
        with self._locked(held, owner, take_over=True) as lease:
            lease.in_flight = False
            self.ui.say(f"{owner} left no rollback behind; its lease is free again.")
        return Finished(record=None, plan=None)

    def _freed(self, rollback_id: str) -> Finished | None:
        """An ended record, once its lease is free; None where it has not ended, or holds no lease.

        Only a process that died while it applied a plan that was then given up leaves one behind.
        """
        opened = self.session.ledger.load(rollback_id)
        if opened.record.status in UNFINISHED or not (held := self.session.leases.held_by(rollback_id)):
            return None
        with self._locked(held, rollback_id, take_over=True) as lease:
            lease.in_flight = False
            self.ui.say(f"{rollback_id} had ended; its lease is free again.")
        return Finished(record=opened.record, plan=self._readable(opened), events=opened.events)

    def _abandon(self, rollback_id: str, reason: str) -> Finished:
        """Ends a record whose plan is damaged: nothing can be put back by it, and nobody is barred by it."""
        domains = self.session.ledger.load(rollback_id).record.domains
        with self._locked(domains, rollback_id, take_over=True) as lease:
            opened = self.session.ledger.load(rollback_id)
            record, event = give_up(self.session, opened, reason, lease)
        env = self.session.environment
        error = RollbackError(
            f"The plan of {rollback_id} is damaged, so nothing could be put back by it.",
            changed="The record is FAILED, and its lease is free.",
            next=f"rollback status --env {env} says what stands where; then "
            f"rollback lambda --env {env} --to V --adopt-current --reason …",
        )
        return Finished(record=record, plan=None, events=(*opened.events, event), error=error)

    def _readable(self, opened: Opened) -> Plan[Any] | None:
        """The plan of a record that ends; a damaged one is no reason not to end it."""
        try:
            return opened.plan(self.session.target(opened.record.kind).step)
        except RollbackError:
            return None

    def _opened(self, rollback_id: str) -> tuple[Opened, Target, Plan[Any]]:
        opened = self.session.ledger.load(rollback_id)
        target = self.session.target(opened.record.kind)
        return opened, target, opened.plan(target.step)

    def _recorder(
        self,
        target: Target,
        plan: Plan[Any],
        record: Record,
        events: Sequence[Event],
        lease: Locks,
        *,
        taken_over: bool = False,
    ) -> Recorder:
        return Recorder(
            session=self.session,
            target=target,
            plan=plan,
            record=record,
            lease=lease,
            ui=self.ui,
            stop=self.stop,
            taken_over=taken_over,
            events=list(events),
        )

    @contextmanager
    def _taken_over(self, rollback_id: str, kind: str, reason: str) -> Iterator[Recorder]:
        """An unfinished record under its lease, with the takeover journalled."""
        opened, _, _ = self._opened(rollback_id)
        unfinished = (Status.IN_PROGRESS, Status.FAILED)
        only(opened.record, unfinished, "there is nothing to go on with")
        if opened.record.emergency and opened.record.status is Status.IN_PROGRESS and not opened.adopted:
            raise Refused(
                f"{rollback_id} is an emergency's, and its journal was imported in part only.",
                next=f"rollback ledger import FILE --env {opened.record.environment}, once more.",
            )
        with self._locked(opened.record.domains, rollback_id, take_over=True) as lease:
            opened, target, plan = self._opened(rollback_id)
            lease.in_flight = opened.record.status is Status.IN_PROGRESS
            only(opened.record, unfinished, "there is nothing to go on with")
            if opened.record.status is Status.FAILED:
                self._still_newest(opened, plan)
            self.ui.planned(plan)
            recorder = self._recorder(target, plan, opened.record, opened.events, lease, taken_over=True)
            data = {"fence": lease.fence, "reason": reason}
            recorder.append(kind, data, status=Status.IN_PROGRESS, completed_at=None)
            yield recorder

    def _still_newest(self, opened: Opened, plan: Plan[Any]) -> None:
        """A closed record can be taken up again only while nothing later has written what it wrote."""
        for entry in self.session.ledger.timeline():
            if entry.id == opened.record.rollback_id:
                return
            # An adoption writes no alias.
            if entry.kind != "adoption" and set(entry.services) & set(plan.subjects):
                same = "the same services" if plan.services else "the same"
                raise Refused(
                    f"{entry.kind} {entry.id} has changed {same} since.",
                    next=f"rollback status --env {self.session.environment}",
                )

    @contextmanager
    def _working(self, what: str, steps: int) -> Iterator[None]:
        self.ui.start(what, steps)
        try:
            yield
        finally:
            self.ui.finish()
