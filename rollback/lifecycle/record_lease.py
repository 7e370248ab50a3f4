"""Takes and holds a record's leases while a verb runs, and releases those of crashed processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from rollback.config.naming import SESSION_HOURS, permission_set_of
from rollback.ledger.lease import HeldLeases, LeaseLost
from rollback.ledger.stored_record import Opened
from rollback.lifecycle.context import Session
from rollback.lifecycle.ledger_store import LedgerStore, give_up
from rollback.lifecycle.ports import Ui
from rollback.lifecycle.run import Finished, Run, interruptible
from rollback.lifecycle.smoke_test import smoke
from rollback.model.commands import Commands
from rollback.model.events import Aborting, Resumed, approvals
from rollback.model.messages import only
from rollback.model.plan import Plan
from rollback.model.record import UNFINISHED, WAITING, Check, Event, Record, Status
from rollback.model.release import Timeline, changed_since
from rollback.model.taking import login
from rollback.targets.base import Target
from rollback.util.deadline import asked, timed_out
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)
from rollback.util.times import shown_time

_UNFINISHED = (Status.IN_PROGRESS, Status.FAILED)
# Minutes allowed between a login and the start of a rollback.
_TO_BEGIN = 30
# The most minutes that credentials can have left at the start.
_LONGEST = SESSION_HOURS * 60 - _TO_BEGIN
# Why an ended record is none to resume, nor to abort.
_NOTHING_TO = {Resumed: "there is nothing to resume", Aborting: "there is nothing to abort"}


@dataclass(frozen=True, kw_only=True)
class RecordLeases:
    """Records of one environment and the leases that they hold. `stop` is set on Ctrl-C; `runs` are
    those that were started, and `seen` the records that were written or read, newest last.
    """

    session: Session
    ui: Ui
    stop: threading.Event = field(default_factory=threading.Event)
    runs: list[Run] = field(default_factory=list)
    seen: list[Record] = field(default_factory=list)

    # -- leases ----------------------------------------------------------------------------------------

    @contextmanager
    def held(self, domains: Sequence[str], owner: str) -> Iterator[HeldLeases]:
        """Takes these leases. Raises `Held` where one is not free."""
        with self._until_end(self.session.leases.hold(domains, owner), owner) as lease:
            yield lease

    @contextmanager
    def taken(self, domains: Sequence[str], owner: str) -> Iterator[HeldLeases]:
        """Takes these leases, also from a crashed process of the same record.

        They are parked again after an error before it is known what the record needs.
        """
        lease = self.session.leases.hold_over(domains, owner, lambda left: self._watching(owner, left))
        lease.in_flight = True
        with self._until_end(lease, owner):
            yield lease

    @contextmanager
    def _until_end(self, lease: HeldLeases, owner: str) -> Iterator[HeldLeases]:
        commands = Commands.in_ledger(owner, self.session.environment)
        with interruptible(lambda: lease.in_flight, commands, owner, begun=lambda: self.runs):
            try:
                yield lease
            finally:
                lease.release()

    def _watching(self, owner: str, left: float) -> None:
        self.not_stopped()
        self.ui.waiting(f"Waiting for the lease of {owner} to expire", left)

    def not_stopped(self) -> None:
        """Raises `RollbackError` after Ctrl-C or --timeout, as long as nothing was changed."""
        if timed_out(self.stop):
            raise self._timed_out()
        if self.stop.is_set():
            raise RollbackError(
                "Interrupted.",
                code=Code.INTERRUPTED,
                changed="Nothing was changed.",
            )

    def _timed_out(self) -> RollbackError:
        env, what = self.session.environment, "Timed out (--timeout) before anything was changed."
        if not self.seen:
            return RollbackError(
                what, code=Code.TIMED_OUT, changed="Nothing was changed.", next=f"rollback status --env {env}"
            )
        record = self.seen[-1]
        do = Commands.in_ledger(record.rollback_id, env)
        waits = record.status in WAITING
        return RollbackError(
            what,
            code=Code.TIMED_OUT,
            changed=f"{record.rollback_id} is {record.status}; this command changed nothing.",
            next=f"{f'rollback apply {record.rollback_id} --env {env}' if waits else do.resume}\n{do.undo}  # to cancel it",
        )

    @contextmanager
    def planning(self, lease: HeldLeases) -> Iterator[None]:
        """A plan made under a lease is only valid if the lease was held the whole time. Raises `LeaseLost`."""
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

    def in_time(self, target: Target) -> None:
        """Raises `Refused` where the caller's credentials may expire before the rollback ends.

        A rollback that may take longer than any session starts with a fresh session; `resume` continues it.
        """
        ends, session = self.session.account.ends, self.session
        needed = min(target.minutes, _LONGEST)
        if ends is None:
            return
        if ends < session.now() + timedelta(minutes=needed):
            again = login(session.environment, session.caller.role)
            hours = f" --hours {-(-(needed + _TO_BEGIN) // 60)}"
            raise Refused(
                f"Your credentials expire at {shown_time(ends)}, but rollback {target.verb} may take {target.minutes} minutes.",
                code=Code.CREDENTIALS_END,
                changed="Nothing was changed.",
                next=again if permission_set_of(session.caller.role) else f"{again}{hours}",
            )
        if needed < target.minutes:
            self.ui.notice(
                f"This may take {target.minutes} minutes, and your credentials expire at {shown_time(ends)}: if it is interrupted "
                "by that, log in again and run rollback resume."
            )

    # -- leases of crashed processes -----------------------------------------------------------------

    def not_orphaned(self, owner: str) -> None:
        """Raises `Refused` where the holder of the lease has no record, so that there is nothing to resume."""
        held = self.session.leases.held_by(owner)
        if not held:
            return
        try:
            self.session.ledger.load(owner)
        except UsageError:
            raise Refused(
                f"{owner} holds the lease on {self.session.environment}/{', '.join(held)} but has no record: "
                "its process stopped before it changed anything.",
                code=Code.WRONG_STATUS,
                next=f"rollback abort {owner} --env {self.session.environment}  # releases the lease",
            ) from None

    def release_orphan(self, owner: str) -> Finished:
        """Releases a lease whose holder crashed before it wrote its record. Raises `UsageError` where there is
        none.
        """
        held = self.session.leases.held_by(owner)
        if not held:
            raise UsageError(
                f"There is no rollback {owner[:80]!a} in {self.session.environment}.",
                code=Code.UNKNOWN_ROLLBACK,
                next=f"rollback history --env {self.session.environment}",
            )
        with self.taken(held, owner) as lease:
            lease.in_flight = False
            self.ui.notice(f"{owner} has no record; its lease was released.")
        return Finished(record=None, plan=None)

    def freed(self, rollback_id: str) -> Finished | None:
        """Releases the lease of an ended record and returns it; None if it has not ended, or holds no lease.

        Such a lease is left by a process that crashed while applying a plan that was then aborted, or while it took
        over a failed record that others have overtaken.
        """
        opened = self.session.ledger.load(rollback_id)
        failed = opened.record.status is Status.FAILED
        if opened.record.status in UNFINISHED and not failed:
            return None
        if not (held := self.session.leases.held_by(rollback_id)) or (failed and not self._overtaken(opened)):
            return None
        with self.taken(held, rollback_id) as lease:
            lease.in_flight = False
            self.ui.notice(f"{rollback_id} had already ended; its lease was released.")
        return Finished(record=opened.record, plan=self.readable_plan(opened), events=opened.events)

    def _overtaken(self, opened: Opened) -> bool:
        """Whether something recorded later has changed what this record changed, so that nobody may act on it."""
        plan = self.readable_plan(opened)
        return plan is not None and bool(
            changed_since(self.session.ledger.timeline(), opened.record.rollback_id, plan.subjects)
        )

    def abandon(self, rollback_id: str, reason: str) -> Finished:
        """Ends a record whose plan is damaged: it cannot be reverted, but its lease is released.

        Raises `Refused` where the plan can be read.
        """
        domains = self.session.ledger.load(rollback_id).record.domains
        env = self.session.environment
        with self.taken(domains, rollback_id) as lease:
            if self._can_undo(rollback_id):
                raise Refused(
                    f"{rollback_id} was changed while it was read.",
                    code=Code.LEDGER_BUSY,
                    next=f"rollback abort {rollback_id} --env {env}",
                )
            opened = self.session.ledger.load(rollback_id)
            only(opened.record, _UNFINISHED, _NOTHING_TO[Aborting])
            record, event = give_up(self.session, opened, reason, lease)
        error = RollbackError(
            f"The plan of {rollback_id} is damaged: its changes could not be reverted.",
            code=Code.LEDGER_DAMAGED,
            changed="The record is FAILED, and its lease is released.",
            next=f"rollback status --env {env}  # shows what is deployed; then continue with --adopt-current",
        )
        return Finished(record=record, plan=None, events=(*opened.events, event), error=error)

    # -- records ---------------------------------------------------------------------------------------

    def trusted(self, rollback_id: str, timeline: Timeline | None = None) -> tuple[Opened, Target, Plan[Any]]:
        """Like `opened`, but checked before acting on it. Raises `Refused` where an `audit` of it would fail."""
        opened, target, plan = self.opened(rollback_id)
        why = self.session.ledger.untrusted(opened, timeline)
        if plan.request.allow_below and not opened.record.below:  # the record decides who must approve it
            why = why or "the record does not have the plan's --allow-below exception"
        if why:
            raise opened.tampered(why)
        return opened, target, plan

    def approved_where_asked(self, opened: Opened) -> None:
        """Raises `Refused` for a record in progress without the approval that the environment requires.

        The journal is no proof: the rollback role can write it, but not an approval.
        """
        record = opened.record
        if record.emergency or self.session.policy_of(record) != "identity":
            return
        given = approvals(record.rollback_id, opened.events)
        kept = self.session.ledger.approvals(record.rollback_id) if given else []
        if not any(approval in kept for approval in given):
            raise Refused(
                f"{record.rollback_id} is {record.status}, but nobody has approved it.",
                code=Code.APPROVAL_MISSING,
                next=f"rollback abort {record.rollback_id} --env {record.environment}  # then plan again",
            )

    def opened(self, rollback_id: str) -> tuple[Opened, Target, Plan[Any]]:
        """A record with its target and plan. Raises `Refused` where the plan is damaged."""
        opened = self.session.ledger.load(rollback_id)
        self.seen.append(opened.record)
        target = self.session.target(opened.record.kind)
        return opened, target, opened.plan(target.step)

    def _can_undo(self, rollback_id: str) -> bool:
        """Whether a record is intact, so that it can be undone."""
        try:
            self.trusted(rollback_id)
        except RollbackError as error:
            if error.code is Code.LEDGER_DAMAGED:
                return False
            raise
        return True

    def readable_plan(self, opened: Opened) -> Plan[Any] | None:
        """The plan of a record that ends; None if damaged, which must not prevent the end."""
        try:
            return opened.plan(self.session.target(opened.record.kind).step)
        except RollbackError:
            return None

    def run(
        self,
        target: Target,
        plan: Plan[Any],
        record: Record,
        events: Sequence[Event],
        lease: HeldLeases,
        *,
        taken_over: bool = False,
    ) -> Run:
        """The run of a record whose lease this process holds."""
        store = LedgerStore(
            session=self.session,
            target=target,
            plan=plan,
            record=record,
            lease=lease,
            taken_over=taken_over,
            events=list(events),
        )
        prove: Callable[[], tuple[Check, str] | None] = (
            partial(smoke, self.session.settings, self.session.root, plan.kind, ui=self.ui)
            if self.session.prove is None
            else partial(self.session.prove, plan.kind)
        )
        self.runs.append(
            Run(store=store, target=target, plan=plan, ui=self.ui, smoke=prove, stop=asked(self.stop))
        )
        return self.runs[-1]

    @contextmanager
    def taken_over(self, rollback_id: str, kind: type[Resumed | Aborting], reason: str) -> Iterator[Run]:
        """Takes over an unfinished record with its lease, and journals that as an event of `kind`.

        Raises `Refused` where it cannot be acted upon, or has ended.
        """
        opened, target, _ = self.opened(rollback_id)
        only(opened.record, _UNFINISHED, _NOTHING_TO[kind])
        if kind is Resumed:
            self.in_time(target)
        if opened.record.emergency and opened.record.status is Status.IN_PROGRESS and not opened.adopted:
            raise Refused(
                f"{rollback_id} is an emergency whose journal was only partly imported.",
                code=Code.JOURNAL_INVALID,
                next=f"rollback ledger import FILE --env {opened.record.environment}  # to finish the import",
            )
        with self.taken(opened.record.domains, rollback_id) as lease:
            timeline = self.session.ledger.timeline()
            opened, target, plan = self.trusted(rollback_id, timeline)
            lease.in_flight = opened.record.status is Status.IN_PROGRESS
            only(opened.record, _UNFINISHED, _NOTHING_TO[kind])
            if kind is Resumed:
                self.approved_where_asked(opened)
            if opened.record.status is Status.FAILED:
                self.still_newest(opened, plan, timeline)
            self.ui.planned(plan)
            run = self.run(target, plan, opened.record, opened.events, lease, taken_over=True)
            run.append(kind(fence=lease.fence, reason=reason), status=Status.IN_PROGRESS, completed_at=None)
            yield run

    def still_newest(self, opened: Opened, plan: Plan[Any], timeline: Timeline) -> None:
        """Raises `Refused` where a later entry of the timeline has changed what this closed record changed."""
        if entry := changed_since(timeline, opened.record.rollback_id, plan.subjects):
            same = "the same services" if plan.services else "the same resources"
            raise Refused(
                f"{entry.kind} {entry.id} has since changed {same}.",
                code=Code.CHANGED_BY_OTHERS,
                next=f"rollback status --env {self.session.environment}",
            )
