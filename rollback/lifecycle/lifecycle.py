"""A rollback from start to end: plan, approve, lock, execute, verify, close. Only this module knows the order.

Everything needed to resume is in the record's store before the next step starts. A
running record keeps its lease until it is closed: after an interruption only `resume` and
`abort` of the same record can take it.

`Lifecycle` has the verbs that keep their record in the ledger; `actions.emergency.run` those that keep it in a file.
Both take the same steps: `execute`, `verify`, `undo`.

It is longer than 400 lines: the whole order is in one place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from rollback.config.naming import APPROVER
from rollback.ledger.lease import HeldLeases, LeaseHeld
from rollback.ledger.stored_record import Opened
from rollback.lifecycle import approval, freeze, standby
from rollback.lifecycle.context import Session
from rollback.lifecycle.ledger_store import give_up
from rollback.lifecycle.ports import Ui
from rollback.lifecycle.record_lease import RecordLeases
from rollback.lifecycle.run import (
    Finished,
    Run,
    forgotten,
    new_record,
    working,
)
from rollback.model import standby as standbys
from rollback.model.advice import next_for
from rollback.model.command_line import after, after_preparing, still_dry, ways_past
from rollback.model.commands import Commands
from rollback.model.events import (
    Aborting,
    Approved,
    Confirmed,
    Failed,
    Interrupted,
    Notified,
    Planned,
    Resumed,
    Reverting,
    happened,
)
from rollback.model.kind import Kind
from rollback.model.messages import (
    adopting,
    checked_reason,
    left_to_others,
    named,
    not_overtaken,
    not_reverted,
    not_verified,
    only,
    outdated,
    refuse,
    reverted,
    several,
    so_far,
    way_back,
)
from rollback.model.plan import Plan, Refusal
from rollback.model.record import UNFINISHED, WAITING, Approval, Event, Record, Status, seconds_between
from rollback.model.release import changed_since, is_another_stack
from rollback.model.request import AliasesRequest, Request
from rollback.model.situation import Policy
from rollback.targets.base import Failure, Target
from rollback.util.errors import (
    AwaitingApproval,
    Cancelled,
    Code,
    Refused,
    Reverted,
    RollbackError,
    StoppedAtOnce,
    UsageError,
)
from rollback.util.times import shown_time


@dataclass(frozen=True)
class Lifecycle:
    """The verbs of one session. `stop` is set on Ctrl-C. Start reading at `start`."""

    session: Session
    ui: Ui
    stop: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def _records(self) -> RecordLeases:
        return RecordLeases(session=self.session, ui=self.ui, stop=self.stop)

    def stopped_at_once(self) -> StoppedAtOnce:
        """The error for a second Ctrl-C at any time; it names the record, if there is one."""
        what, runs, seen = "Stopped at once.", self._records.runs, self._records.seen
        if not (runs or seen):
            return StoppedAtOnce(what, code=Code.ENDED)
        record = runs[-1].record if runs else seen[-1]
        do = Commands.in_ledger(record.rollback_id, record.environment)
        if record.status in WAITING:
            return StoppedAtOnce(
                what,
                code=Code.ENDED,
                changed=f"{record.rollback_id} is {record.status}, and nothing was changed.",
                next=f"{do.undo}  # to cancel it\n{do.show}",
            )
        if record.status in UNFINISHED:
            return StoppedAtOnce(
                what,
                code=Code.ENDED,
                changed=f"{record.rollback_id} is {record.status}; its journal has what was done.",
                next=f"{do.resume}\n{do.undo}",
            )
        changed = f"{record.rollback_id} is {record.status}."
        return StoppedAtOnce(what, code=Code.ENDED, changed=changed, next=do.show)

    def planned(self, kind: str, request: Request) -> tuple[Plan[Any], tuple[Refusal, ...]]:
        """The plan only, and its refusals."""
        return self._planned(self.session.target(kind), request)

    def start(
        self,
        kind: str,
        request: Request,
        reason: str,
        *,
        yes: bool = False,
        digest: str = "",
        shown: Plan[Any] | None = None,
        hold: bool = False,
    ) -> Finished:
        """Plans and, if no other person must approve, rolls back.

        If no confirmation is needed, or `yes` is given, the lease is taken first, and one plan is made under it.
        The same with the `digest` of a plan that was `shown`: exactly that plan is applied.
        With `hold` it always ends after the plan, and `apply` continues. Raises `Refused` where the plan has
        another digest.
        """
        reason = checked_reason(reason)
        began = self.session.clocks.now()
        target = self.session.target(kind)
        rollback_id = self.session.clocks.identifier()
        policy = self.session.policy(kind, below=request.allow_below)
        if yes:
            approval.may_be_confirmed_unseen(self.session.settings, policy)
        freeze.respected(self.session)
        if hold or policy == "identity" or (policy == "confirm" and not (yes or digest)):
            plan = self._plan(target, request)
            if not plan.changing:
                return Finished(record=None, plan=plan)
            approval.as_shown(plan, digest, shown)
            record = new_record(self.session, target, plan, reason, rollback_id=rollback_id, began=began)
            target.keep(plan, rollback_id)
            waiting = self._await_approval(record, plan, policy)
            return waiting if hold or policy == "identity" else self._asked(waiting, plan)
        self._records.in_time(target)
        with self._records.held(target.domains(request), rollback_id) as lease:
            with self._records.planning(lease):
                plan = self._plan(target, request)
            if not plan.changing:
                return Finished(record=None, plan=plan)
            approval.as_shown(plan, digest, shown)
            record = new_record(self.session, target, plan, reason, rollback_id=rollback_id, began=began)
            target.keep(plan, rollback_id)
            self._records.not_stopped()
            lease.in_flight = True
            try:
                record, event = self._open(record, plan, lease, Status.IN_PROGRESS)
            except Refused:
                lease.in_flight = False
                raise
            return execute(self._records.run(target, plan, record, [event], lease))

    def approve(self, rollback_id: str, digest: str) -> Opened:
        """Records the caller's approval of a plan. Raises `Refused` where the caller may not give it."""
        opened, _, plan = self._records.opened(rollback_id)
        waits = opened.record.status in WAITING
        if waits and (why := self.session.ledger.inconsistent(opened) or standby.contradiction(opened, plan)):
            raise opened.tampered(why)
        if not waits and not self.session.settings.approvals:
            raise UsageError(
                f"{self.session.environment} requires no approval (setting `approval`).",
                code=Code.NOT_CONFIGURED,
            )
        given = approval.approve(
            opened.record, digest, self.session.caller, self.session.settings, self.session.now()
        )
        self.session.ledger.approve(given)
        return opened

    def apply(self, rollback_id: str, digest: str = "") -> Finished:
        """Applies an approved plan, if nothing has changed since.

        `digest` is the caller's confirmation, where that is enough. Raises `Refused` where the plan is out
        of date or not approved.
        """

        def ready(opened: Opened, plan: Plan[Any]) -> Approval | None:
            try:
                return self._approved(opened.record, digest)
            except Refused as refused:
                if refused.code in (Code.APPROVAL_MISSING, Code.CONFIRMATION_MISSING):
                    timeline = self.session.ledger.timeline()  # nobody approves what can no longer be applied
                    not_overtaken(opened.record, changed_since(timeline, rollback_id, plan.subjects))
                raise

        return self._gone_ahead(rollback_id, ready)

    def take(self, reason: str, rollback_id: str = "", *, alarm: str = "") -> Finished:
        """Applies the standby, the newest of several, if nothing has changed since.

        It was approved when it was prepared. `alarm` names the alarm if it is taken without
        a person. Raises `Refused` where there is none, where it has expired, and as `apply` does.
        """
        reason = checked_reason(reason)
        began = self.session.clocks.now()
        name = rollback_id or standby.to_take(self.session)

        def ready(opened: Opened, plan: Plan[Any]) -> Approval | None:
            standby.respected(self.session, opened, plan)
            return self._approved(opened.record, "", Status.STANDBY)

        changes: dict[str, Any] = {
            "reason": reason,
            "taken_by": self.session.caller,
            "waited_from": began,
            **({"alarm": alarm} if alarm else {}),
        }
        return self._gone_ahead(name, ready, standbys.again, **changes)

    def prepare(self, minutes: int, release: str = "") -> Finished:
        """Plans the rollback of the newest recorded release, to be taken within `minutes`.

        `release`: the version that must be the newest, if given. If the environment requires it, another person
        approves it now. An existing standby for the same release is kept and returned.

        Raises `UsageError` for a time longer than an approval is valid, `Refused` where something else is deployed than
        the newest release, or where there is no previous release.
        """
        session, began = self.session, self.session.clocks.now()
        policy = session.policy(Kind.ALIASES)
        standby.checked_minutes(session.settings, policy, minutes)
        freeze.respected(session)
        for closed in standby.close_ended(session):
            self.ui.notice(f"The earlier standby {closed.rollback_id} was closed.")
        timeline = session.ledger.timeline(verified=True)
        entry = standby.deployed_release(session, timeline, release)
        target = session.target(Kind.ALIASES)
        if (found := standby.live(session, timeline)) is not None:
            self.ui.notice(f"{found.record.rollback_id} is already on standby.")
            return self._on_standby(found.record, found.plan(target.step), found.events, policy)
        with working(self.ui, "Planning"):
            try:
                plan = target.plan(AliasesRequest())
            except RollbackError as error:
                error.next = after_preparing(error, session.environment)
                raise
        plan = standbys.as_standby(plan, entry, standbys.until(session.now(), minutes))
        self.ui.planned(plan)
        refusals = target.refusals(plan)
        # The remedies are options of the rollback, which a standby does not have.
        instead = still_dry(ways_past(refusals, plan.request, session.environment))
        refuse([replace(one, remedy="") for one in refusals], instead)
        if not plan.changing:
            return Finished(record=None, plan=plan)
        record = new_record(
            session,
            target,
            plan,
            f"standby of {entry.version}",
            rollback_id=session.clocks.identifier(),
            began=began,
        )
        record = replace(record, standby_until=plan.facts[standbys.UNTIL])
        record, event = self._open(record, plan, None, Status.STANDBY)
        record, *more = self._message_place(record)
        return self._on_standby(record, plan, (event, *more), policy)

    def _on_standby(
        self, record: Record, plan: Plan[Any], events: Sequence[Event], policy: Policy
    ) -> Finished:
        """The result of a standby: it waits for an approval, if one is needed and missing, else to be taken."""
        given = self.session.ledger.approvals(record.rollback_id)
        valid = approval.unasked(record, given, self.session.settings, self.session.now())
        error = None
        if policy == "identity" and valid is None:
            name, shown = record.rollback_id, record.digest[:16]
            error = AwaitingApproval(
                f"{name} will be on standby until {shown_time(record.standby_until)} after digest {shown} is approved.",
                next=f"rollback approve {name} --digest {shown} --env {record.environment}  # by another person, under "
                f"{self.session.settings.called(APPROVER)}",
            )
        return Finished(record=record, plan=plan, events=tuple(events), error=error)

    def _gone_ahead(
        self,
        rollback_id: str,
        approved: Callable[[Opened, Plan[Any]], Approval | None],
        again: Callable[[Plan[Any], Plan[Any]], Plan[Any]] = lambda _, today: today,
        *,
        waited_from: str = "",
        **changes: Any,
    ) -> Finished:
        """Applies a recorded plan with the approval that `approved` returns, if `again`, the plan made
        again, is the same. `waited_from` is when it stopped waiting; `changes` are fields of the record.
        """
        freeze.respected(self.session)
        opened, target, plan = self._records.opened(rollback_id)
        self._records.in_time(target)
        approved(opened, plan)
        with self._records.taken(opened.record.domains, rollback_id) as lease:
            opened, target, plan = self._records.trusted(rollback_id)
            record = opened.record
            lease.in_flight = record.status is Status.IN_PROGRESS
            approved(opened, plan)
            with working(self.ui, "Planning again"):
                today = again(plan, target.again(plan, rollback_id))
            if today.digest() != record.digest:
                raise outdated(record, plan, today)
            abandon = f"rollback abort {rollback_id} --env {record.environment}  # then plan again"
            refuse(target.refusals(today), abandon)
            self.ui.planned(plan)
            given = approved(opened, plan)
            self._records.not_stopped()
            run = self._records.run(target, plan, record, opened.events, lease)
            why = {name: changes[name] for name in ("reason", "alarm") if name in changes}
            run.append(
                Approved(digest=given.digest, by=given.by, at=given.at, expires_at=given.expires_at, **why)
                if given
                else Confirmed(digest=record.digest, **why),
                status=Status.IN_PROGRESS,
                approved_by=given.by if given else None,
                started_at=self.session.clocks.now(),
                waited_seconds=seconds_between(record.initiated_at, waited_from or self.session.clocks.now()),
                **changes,
            )
            return execute(run)

    def resume(self, rollback_id: str) -> Finished:
        """Continues an interrupted run, from any machine."""
        self._records.not_orphaned(rollback_id)
        if (ended := self._records.freed(rollback_id)) is not None:
            return ended
        with self._records.taken_over(rollback_id, Resumed, "") as run:
            if run.has(Reverting):
                return undo(run, _why_reverting(run.events))
            finished = execute(run)
        if finished.anew and finished.record and finished.plan:
            self.ui.notice(
                f"The remaining changes of {rollback_id} are more than was approved: planning again."
            )
            record = finished.record
            return self.start(record.kind, finished.plan.request, record.reason)
        return finished

    def abort(self, rollback_id: str, reason: str = "") -> Finished:
        """Cancels a plan, or undoes the changes of an unfinished run."""
        reason = checked_reason(reason) if reason else ""
        try:
            opened = self.session.ledger.load(rollback_id)
        except UsageError:
            return self._records.release_orphan(rollback_id)
        if opened.record.status in (Status.PLANNED, *WAITING):
            record, event = give_up(self.session, opened, reason)
            try:
                self._records.freed(rollback_id)
            except LeaseHeld:
                self.ui.notice("It is being applied right now; that will stop without changing anything.")
            plan = self._records.readable_plan(opened)
            if plan is not None:
                target = self.session.target(record.kind)
                forgotten(target, plan, rollback_id, opened.events, self.ui, ended=True)
            return Finished(record=record, plan=plan, events=(*opened.events, event))
        if (ended := self._records.freed(rollback_id)) is not None:
            return ended
        with ExitStack() as held:
            try:
                run = held.enter_context(self._records.taken_over(rollback_id, Aborting, reason))
            except RollbackError as error:
                if error.code is Code.LEDGER_DAMAGED and opened.record.status in UNFINISHED:
                    return self._records.abandon(rollback_id, reason)
                raise
            return undo(run, "")

    def verify(self, rollback_id: str) -> Finished:
        """Verifies a record again after a failed verification; it becomes COMPLETE if it passes. Raises
        `Refused` for any other record.
        """
        opened, _, _ = self._records.opened(rollback_id)
        why = "only a rollback whose verification failed can be verified again"
        only(opened.record, (Status.FAILED,), why)
        with self._records.taken(opened.record.domains, rollback_id) as lease:
            timeline = self.session.ledger.timeline()
            opened, target, plan = self._records.trusted(rollback_id, timeline)
            lease.in_flight = opened.record.status is Status.IN_PROGRESS
            only(opened.record, (Status.FAILED,), why)
            self._records.still_newest(opened, plan, timeline)
            run = self._records.run(target, plan, opened.record, opened.events, lease)
            if run.has(Reverting):
                raise Refused(
                    f"{rollback_id} is being reverted.", code=Code.WRONG_STATUS, next=next_for(opened.record)
                )
            return verify(run, again=True)

    # -- planning and approval ---------------------------------------------------------------------------

    def _plan(self, target: Target, request: Request) -> Plan[Any]:
        plan, refusals = self._planned(target, request)
        refuse(refusals, ways_past(refusals, request, plan.environment))
        return plan

    def _planned(self, target: Target, request: Request) -> tuple[Plan[Any], tuple[Refusal, ...]]:
        with working(self.ui, "Planning"):
            try:
                plan = target.plan(request)
            except RollbackError as error:
                error.next = after(error, request, self.session.environment)
                raise
        self.ui.planned(plan)
        return plan, tuple(target.refusals(plan))

    def _open(
        self, record: Record, plan: Plan[Any], lease: HeldLeases | None, status: Status
    ) -> tuple[Record, Event]:
        planned = Planned(digest=record.digest, reason=record.reason, steps=len(plan.steps))
        entered = planned.entered(at=record.initiated_at, by=self.session.caller)
        record, event = self.session.ledger.open(record, status, plan, entered, lease)
        self._records.seen.append(record)
        self.session.notify(record)
        return record, event

    def _rivals(self, plan: Plan[Any]) -> Iterator[Record]:
        """The waiting records that change something of `plan`, too; unreadable ones are skipped."""
        timeline = self.session.ledger.timeline(readable=True)
        for name in standbys.opened(timeline, status=Status.AWAITING_APPROVAL):
            try:
                opened = self.session.ledger.load(name)
            except RollbackError:
                continue
            other = self._records.readable_plan(opened)
            waits = opened.record.status is Status.AWAITING_APPROVAL
            if waits and other is not None and set(other.subjects) & set(plan.subjects):
                yield opened.record

    def _await_approval(self, record: Record, plan: Plan[Any], policy: Policy) -> Finished:
        for other in self._rivals(plan):
            self.ui.notice(
                f"{other.rollback_id} ({other.from_version} → {other.to_version}, by {other.initiated_by.person}) is "
                "waiting, too: only one of them can be applied."
            )
        record, event = self._open(record, plan, None, Status.AWAITING_APPROVAL)
        record, *more = self._message_place(record)
        name, env, shown = record.rollback_id, record.environment, record.digest[:16]
        if policy in ("none", "confirm"):
            error = AwaitingApproval(
                f"{name} is waiting for confirmation (digest {shown}).",
                code=Code.AWAITING_CONFIRMATION,
                next=f"rollback apply {name} --digest {shown} --env {env}",
            )
        else:
            error = AwaitingApproval(
                f"{name} is waiting for approval (digest {shown}).",
                next=f"rollback approve {name} --digest {shown} --env {env}  # by another person, under "
                f"{self.session.settings.called(APPROVER)}\n"
                f"rollback apply {name} --env {env}  # after that",
            )
        return Finished(record=record, plan=plan, events=(event, *more), error=error)

    def _message_place(self, record: Record) -> tuple[Any, ...]:
        """Journals the location of a waiting record's Slack message: another process will update it."""
        notifier = self.session.notifier
        if notifier is None or not (place := notifier.place(record)):
            return (record,)
        entered = Notified(message=place).entered(at=self.session.clocks.now(), by=self.session.caller)
        return self.session.ledger.journal(record, entered, None, {"notified": place})

    def _asked(self, waiting: Finished, plan: Plan[Any]) -> Finished:
        """Asks on a terminal; without one, the record waits."""
        assert waiting.record is not None  # noqa: S101 - `_await_approval` made one
        try:
            answer = self.ui.confirm(f"Apply this plan to {plan.environment}?")
        except Cancelled as cancelled:
            return self._cancelled(waiting, waiting.record, cancelled, "cancelled at the prompt")
        if answer is None:
            return waiting
        if not answer:
            return self._cancelled(waiting, waiting.record, Cancelled("Not confirmed."), "not confirmed")
        return self.apply(waiting.record.rollback_id, waiting.record.digest)

    def _cancelled(self, waiting: Finished, record: Record, cancelled: Cancelled, reason: str) -> Finished:
        """Aborts the record that a person was asked about. If that cannot be written, the record keeps waiting."""
        name = record.rollback_id
        try:
            ended = self.abort(name, reason)
        except RollbackError as error:
            cancelled.changed = f"Nothing was changed. {name} could not be aborted: {error.what}"
            cancelled.next = Commands.in_ledger(name, record.environment).undo
            return replace(waiting, error=cancelled)
        cancelled.changed = f"{name} is ABORTED, and nothing was changed."
        return replace(ended, error=cancelled)

    def _approved(
        self, record: Record, digest: str, waiting: Status = Status.AWAITING_APPROVAL
    ) -> Approval | None:
        """The approval by which `record` may be applied now; None if there is none and none is needed.

        If the caller's confirmation is enough, an existing approval is
        recorded, too. Raises `Refused` where a needed approval is missing, or where `digest` is another plan's.
        """
        only(
            record,
            (waiting,),
            "it is not on standby" if waiting is Status.STANDBY else "it is not waiting for approval",
        )
        policy = self.session.policy_of(record)
        if policy == "confirm" or digest:
            approval.confirmed(record, digest)
        given = self.session.ledger.approvals(record.rollback_id)
        valid = approval.valid_approval if policy == "identity" else approval.unasked
        return valid(record, given, self.session.settings, self.session.now())


# -- the steps of every run --------------------------------------------------------------------------------


def execute(run: Run) -> Finished:
    """Executes the plan, then verifies. After a failure it reverts, if the target says so."""
    with working(run.ui, run.target.doing, run.counts()["planned"]):
        outcome = run.target.execute(run.plan, run)
    if outcome.interrupted:
        return _interrupted(run)
    if outcome.ok:
        return verify(run)
    run.failures(outcome.failures)
    why = several(outcome.failures)
    if outcome.revert:
        return undo(run, why)
    run.close(Status.FAILED, [], done=outcome.done)
    counts = run.record.counts
    deployed = f" These stay at the plan's target: {named(outcome.done)}." if outcome.done else ""
    error = RollbackError(
        f"The rollback failed: {why}.",
        code=Code.FAILED,
        changed=f"{counts['moved'] + counts['confirmed']} of {counts['planned']} changes are done.{deployed}",
        next=next_for(run.record, run.store.commands, way_back=way_back(run.plan)),
    )
    return run.finished(error, anew=outcome.anew)


def verify(run: Run, *, again: bool = False) -> Finished:
    """Checks what is deployed, publishes it, runs the smoke command, and closes the record; `again` without moves before."""
    plan, target, printed = run.plan, run.target, ""
    if not again and (relieved := run.relieved_seconds()) is not None:
        run.ui.notice(
            f"Relief after {relieved:.1f} s: every alias is at its target. The remaining steps only verify."
        )
    with ExitStack() as published:
        with working(run.ui, "Verifying"):
            checks = list(target.verify(plan))
            run.check()
            checks += published.enter_context(run.store.published(plan.left(undone=False)))
            # The smoke command tests the platform, not another program's stack.
            smoked = target.smoked and not all(map(is_another_stack, plan.subjects))
            if smoked and all(check.ok for check in checks) and (proved := run.smoke()):
                checks.append(proved[0])
                printed = "" if proved[0].ok else proved[1]
        run.ui.output(printed)
        if run.stopping():
            return _interrupted(run)
        passed = all(check.ok for check in checks)
        run.close(Status.COMPLETE if passed else Status.FAILED, checks, done=plan.subjects)
    return run.finished(None if passed else not_verified(plan, run.record, checks, run.store.commands))


def undo(run: Run, why: str) -> Finished:
    """Reverts to the state before the plan; `why` is empty if a person asked for it."""
    do = run.store.commands
    if not run.has(Reverting):
        run.append(Reverting(why=why))
    with working(run.ui, "Reverting", run.counts()["planned"]):
        outcome = run.target.undo(run.plan, run)
    if outcome.interrupted:
        return _interrupted(run)
    run.failures(outcome.failures)
    ours = [failure for failure in outcome.failures if not failure.foreign]
    lost = {failure.part for failure in ours}
    done = tuple(subject for subject in run.plan.subjects if subject not in lost)
    run.check()
    with run.store.published(run.deployed(done, undone=True)) as unpublished:
        ours += [Failure(subject=check.check, reason=check.detail) for check in unpublished]
        ended = Status.ABORTED if outcome.not_undone else Status.REVERTED
        run.close(Status.FAILED if ours else ended, [], done=done, undone=True)
    if ours:
        shown = f"{do.show} shows what is deployed." if do.ledger else f"{do.place} has what is deployed."
        again = f"{do.undo}  # to try again to undo it"
        if not way_back(run.plan):
            again = f"rollback history --env {run.plan.environment}  # lists the commits to roll back to"
        return run.finished(
            RollbackError(not_reverted(why, ours), code=Code.REVERT_FAILED, changed=shown, next=again)
        )
    if outcome.not_undone:
        run.ui.notice(outcome.not_undone)
    if not why:
        if others := left_to_others(outcome.failures):
            run.ui.notice(others)
        return run.finished()
    drifted = any(step.foreign for failed in happened(run.events, Failed) for step in failed.failures)
    then = (
        f"{do.show}\n{adopting(run.plan, do)}"
        if drifted and run.record.kind in (Kind.ALIASES, Kind.FULL)
        else do.show
    )
    return run.finished(
        Reverted(f"The rollback failed: {why}.", changed=reverted(outcome.failures), next=then)
    )


def _interrupted(run: Run) -> Finished:
    counts = run.counts()
    run.append(Interrupted(counts=counts), counts=counts)
    return run.finished(
        RollbackError(
            "Interrupted.",
            code=Code.INTERRUPTED,
            changed=so_far(counts, taken_over=run.taken_over),
            next=next_for(run.record, run.store.commands, way_back=way_back(run.plan)),
        )
    )


def _why_reverting(events: Sequence[Event]) -> str:
    return next((reverting.why for reverting in happened(events, Reverting)), "")
