"""The one order in which anything is put back: plan, approve, lock, execute, verify, close.

What has to be known to go on from any moment is in the ledger before the next step is taken. From the
moment a record is in flight its lease stays with it until it is closed: an interrupted run bars everybody
but whoever resumes or aborts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from rollback.actions import approval, freeze
from rollback.actions.journal import Recorder, give_up, planned
from rollback.actions.record_lease import Finished, Holding
from rollback.actions.smoke_test import smoke
from rollback.config.naming import APPROVER
from rollback.core.errors import AwaitingApproval, PutBack, Refused, RollbackError, UsageError
from rollback.ledger.lease import Held, LeaseLost, Locks
from rollback.ledger.stored_record import Opened
from rollback.model.messages import (
    checked_reason,
    named,
    next_for,
    not_put_back,
    not_verified,
    only,
    put_back,
    refuse,
    several,
    so_far,
)
from rollback.model.plan import Plan, Request
from rollback.model.record import UNFINISHED, Approval, Check, Entered, Event, Record, Status, seconds_between
from rollback.targets.base import Failure, Target


@dataclass(frozen=True, kw_only=True)
class Flow(Holding):
    """Runs the verbs of one session."""

    def preview(self, kind: str, request: Request) -> Plan[Any]:
        """The plan alone. Raises `Refused` where a guard speaks against it."""
        return self._plan(self.session.target(kind), request)

    def start(
        self, kind: str, request: Request, reason: str, *, yes: bool = False, hold: bool = False
    ) -> Finished:
        """Plans and, where nobody else has to say yes, does it.

        Where nobody has to say yes, or `yes` says it beforehand, the lease is taken first and one plan under
        it serves for both. With `hold` it ends with the plan in any case, and `apply` goes on.
        """
        reason = checked_reason(reason)
        began = self.session.clocks.now()
        target = self.session.target(kind)
        rollback_id = self.session.clocks.identifier()
        policy = self.session.policy(kind)
        if yes:
            approval.may_be_confirmed_unseen(self.session.settings, policy)
        freeze.respected(self.session)
        if hold or policy == "identity" or (policy == "confirm" and not yes):
            plan = self._plan(target, request)
            if not plan.changing:
                return Finished(record=None, plan=plan)
            record = planned(self.session, target, plan, reason, rollback_id=rollback_id, began=began)
            target.keep(plan, rollback_id)
            waiting = self._await_approval(record, plan, policy)
            return waiting if hold or policy == "identity" else self._asked(waiting, plan)
        with self._locked(target.domains(request), rollback_id) as lease:
            with self._reading(lease):
                plan = self._plan(target, request)
            if not plan.changing:
                return Finished(record=None, plan=plan)
            record = planned(self.session, target, plan, reason, rollback_id=rollback_id, began=began)
            target.keep(plan, rollback_id)
            self._not_stopped()
            lease.in_flight = True
            try:
                record, event = self._open(record, plan, lease, Status.IN_PROGRESS)
            except Refused:
                lease.in_flight = False
                raise
            return self._carry_on(self._recorder(target, plan, record, [event], lease))

    def approve(self, rollback_id: str, digest: str) -> Opened:
        """Writes down the caller's word for a plan. Raises `Refused` where it is not theirs to give."""
        opened, _, _ = self._opened(rollback_id)
        given = approval.approve(
            opened.record, digest, self.session.caller, self.session.settings, self.session.now()
        )
        self.session.ledger.approve(given)
        return opened

    def apply(self, rollback_id: str, digest: str = "") -> Finished:
        """Carries out an approved plan, if everything in it still holds.

        `digest` is the caller's own confirmation of it, where that is enough.
        """
        freeze.respected(self.session)
        opened, _, _ = self._opened(rollback_id)
        self._approved(opened.record, digest)
        with self._locked(opened.record.domains, rollback_id, take_over=True) as lease:
            opened, target, plan = self._opened(rollback_id)
            record = opened.record
            lease.in_flight = record.status is Status.IN_PROGRESS
            self._approved(record, digest)
            with self._working("Planning again", 0):
                today = target.again(plan, rollback_id)
            if today.digest() != record.digest:
                raise Refused(
                    f"The plan no longer holds: its digest is {today.digest()[:16]} now, "
                    f"{record.digest[:16]} was approved.",
                    next=f"rollback abort {rollback_id} --env {record.environment}, then plan again.",
                )
            refuse(target.refusals(today))
            self.ui.planned(plan)
            given = self._approved(record, digest)
            self._not_stopped()
            recorder = self._recorder(target, plan, record, opened.events, lease)
            recorder.append(
                "approved" if given else "confirmed",
                {"digest": given.digest, "by": given.by, "at": given.at, "expires_at": given.expires_at}
                if given
                else {"digest": record.digest},
                status=Status.IN_PROGRESS,
                approved_by=given.by if given else None,
                started_at=self.session.clocks.now(),
                waited_seconds=seconds_between(record.initiated_at, self.session.clocks.now()),
            )
            return self._carry_on(recorder)

    def resume(self, rollback_id: str) -> Finished:
        """Goes on where a run was interrupted, from any machine."""
        self._not_orphaned(rollback_id)
        if (ended := self._freed(rollback_id)) is not None:
            return ended
        with self._taken_over(rollback_id, "resumed", "") as recorder:
            if recorder.has("reverting"):
                return self._put_back(recorder, _why_reverting(recorder.events))
            finished = self._carry_on(recorder)
        if finished.anew and finished.record and finished.plan:
            self.ui.say(f"What is left is more than was approved for {rollback_id}: it is planned anew.")
            record = finished.record
            return self.start(record.kind, finished.plan.request, record.reason)
        return finished

    def abort(self, rollback_id: str, reason: str = "") -> Finished:
        """Gives up a plan, or undoes what an unfinished run has done."""
        reason = checked_reason(reason) if reason else ""
        try:
            opened = self.session.ledger.load(rollback_id)
        except UsageError:
            return self._release_orphan(rollback_id)
        if opened.record.status in (Status.PLANNED, Status.AWAITING_APPROVAL):
            record, event = give_up(self.session, opened, reason)
            try:
                self._freed(rollback_id)
            except Held:
                self.ui.say("It is being applied right now; that ends without having changed anything.")
            return Finished(record=record, plan=self._readable(opened), events=(*opened.events, event))
        if (ended := self._freed(rollback_id)) is not None:
            return ended
        if opened.record.status in UNFINISHED and self._readable(opened) is None:
            return self._abandon(rollback_id, reason)
        with self._taken_over(rollback_id, "aborting", reason) as recorder:
            return self._put_back(recorder, "")

    def verify(self, rollback_id: str) -> Finished:
        """Verifies again a record whose verification failed; it becomes COMPLETE where it passes now."""
        opened, _, _ = self._opened(rollback_id)
        why = "only a failed verification is verified again"
        only(opened.record, (Status.FAILED,), why)
        with self._locked(opened.record.domains, rollback_id, take_over=True) as lease:
            opened, target, plan = self._opened(rollback_id)
            lease.in_flight = opened.record.status is Status.IN_PROGRESS
            only(opened.record, (Status.FAILED,), why)
            self._still_newest(opened, plan)
            recorder = self._recorder(target, plan, opened.record, opened.events, lease)
            if recorder.has("reverting"):
                raise Refused(f"{rollback_id} was being put back.", next=next_for(opened.record))
            return self._verify(recorder)

    # -- the steps -------------------------------------------------------------------------------------

    def _plan(self, target: Target, request: Request) -> Plan[Any]:
        with self._working("Planning", 0):
            plan = target.plan(request)
        self.ui.planned(plan)
        refuse(target.refusals(plan))
        return plan

    def _await_approval(self, record: Record, plan: Plan[Any], policy: approval.Policy) -> Finished:
        record, *events = self._told_where(*self._open(record, plan, None, Status.AWAITING_APPROVAL))
        name, env, shown = record.rollback_id, record.environment, record.digest[:16]
        if policy in ("none", "confirm"):
            error = AwaitingApproval(
                f"{name} waits until digest {shown} is confirmed.",
                next=f"rollback apply {name} --digest {shown} --env {env}",
            )
        else:
            error = AwaitingApproval(
                f"{name} waits for approval of digest {shown}.",
                next=f"Another person, under {self.session.settings.names.role(APPROVER)}:\n"
                f"rollback approve {name} --digest {shown} --env {env}\n"
                f"Then: rollback apply {name} --env {env}",
            )
        return Finished(record=record, plan=plan, events=tuple(events), error=error)

    def _told_where(self, record: Record, event: Event) -> tuple[Any, ...]:
        """Writes down where the message of a waiting record stands: another process will go on with it."""
        notifier = self.session.notifier
        if notifier is None or not (place := notifier.place(record)):
            return record, event
        now, by = self.session.clocks.now(), self.session.caller
        entered = Entered(kind="notified", at=now, by=by, data={"message": place})
        after, told = self.session.ledger.journal(record, entered, None, {"notified": place})
        return after, event, told

    def _asked(self, waiting: Finished, plan: Plan[Any]) -> Finished:
        """Asks whoever sits there; where nobody does, the record waits."""
        assert waiting.record is not None  # noqa: S101 - `_await_approval` made one
        answer = self.ui.confirm(f"Do exactly this in {plan.environment}?")
        if answer is None:
            return waiting
        if not answer:
            return self.abort(waiting.record.rollback_id, "not confirmed")
        return self.apply(waiting.record.rollback_id, waiting.record.digest)

    def _carry_on(self, recorder: Recorder) -> Finished:
        with self._working(recorder.target.doing, recorder.counts()["planned"]):
            outcome = recorder.target.execute(recorder.plan, recorder)
        if outcome.interrupted:
            return self._interrupted(recorder)
        if outcome.ok:
            return self._verify(recorder)
        recorder.failures(outcome.failures)
        why = several(outcome.failures)
        if outcome.put_back:
            return self._put_back(recorder, why)
        recorder.close(Status.FAILED, [], done=outcome.done)
        counts = recorder.record.counts
        standing = f" What stands at the plan stays so: {named(outcome.done)}." if outcome.done else ""
        error = RollbackError(
            f"It failed: {why}.",
            changed=f"Of {counts['planned']} changes, {counts['moved'] + counts['confirmed']} are done.{standing}",
            next=next_for(recorder.record),
        )
        return replace(self._finished(recorder, error), anew=outcome.anew)

    def _verify(self, recorder: Recorder) -> Finished:
        plan, printed = recorder.plan, ""
        with ExitStack() as published:
            with self._working("Verifying", 0):
                checks = list(recorder.target.verify(plan))
                recorder.check()
                checks += published.enter_context(_published(recorder, plan.left(undone=False)))
                if (
                    recorder.target.smoked
                    and all(check.ok for check in checks)
                    and (proved := smoke(self.session.settings, self.session.root))
                ):
                    checks.append(proved[0])
                    printed = "" if proved[0].ok else proved[1]
            self.ui.output(printed)
            if self.stop.is_set():
                return self._interrupted(recorder)
            well = all(check.ok for check in checks)
            recorder.close(Status.COMPLETE if well else Status.FAILED, checks, done=plan.subjects)
        error = None if well else not_verified(recorder.target.verb, plan, recorder.record, checks)
        return self._finished(recorder, error)

    def _put_back(self, recorder: Recorder, why: str) -> Finished:
        """Undoes; `why` is empty where a person asked for it."""
        if not recorder.has("reverting"):
            recorder.append("reverting", {"why": why})
        with self._working("Putting back", recorder.counts()["planned"]):
            outcome = recorder.target.undo(recorder.plan, recorder)
        if outcome.interrupted:
            return self._interrupted(recorder)
        recorder.failures(outcome.failures)
        name, env = recorder.record.rollback_id, self.session.environment
        ours = [failure for failure in outcome.failures if not failure.foreign]
        lost = {failure.part for failure in ours}
        done = tuple(subject for subject in recorder.plan.subjects if subject not in lost)
        recorder.check()
        with _published(recorder, recorder.stands(done, undone=True)) as said:
            ours += [Failure(subject=check.check, reason=check.detail) for check in said]
            ended = Status.ABORTED if outcome.stays else Status.REVERTED
            recorder.close(Status.FAILED if ours else ended, [], done=done, undone=True)
        if ours:
            return self._finished(
                recorder,
                RollbackError(
                    not_put_back(why, ours),
                    changed=f"rollback show {name} --env {env} says what stands where.",
                    next=f"rollback abort {name} --env {env}, to try again to put it back.",
                ),
            )
        if outcome.stays:
            self.ui.say(outcome.stays)
        if not why:
            return self._finished(recorder, None)
        error = PutBack(
            f"It failed: {why}.",
            changed=put_back(outcome.failures),
            next=f"rollback show {name} --env {env}",
        )
        return self._finished(recorder, error)

    def _interrupted(self, recorder: Recorder) -> Finished:
        counts = recorder.counts()
        recorder.append("interrupted", {"counts": counts}, counts=counts)
        error = RollbackError(
            "Interrupted.",
            changed=so_far(counts),
            next=next_for(recorder.record),
        )
        return self._finished(recorder, error)

    # -- helpers ---------------------------------------------------------------------------------------

    def _approved(self, record: Record, digest: str) -> Approval | None:
        """The approval by which `record` may go ahead now; None where the caller's own word is enough.

        Raises `Refused` where there is none, or where `digest` is given and is another plan's.
        """
        only(record, (Status.AWAITING_APPROVAL,), "it waits for no approval")
        policy = self.session.policy(record.kind)
        if policy == "confirm" or digest:
            approval.confirmed(record, digest)
        if policy in ("none", "confirm"):
            return None
        given = self.session.ledger.approvals(record.rollback_id)
        return approval.standing(record, given, self.session.settings, self.session.now())

    def _open(
        self, record: Record, plan: Plan[Any], lease: Locks | None, status: Status
    ) -> tuple[Record, Event]:
        data = {"digest": record.digest, "reason": record.reason, "steps": len(plan.steps)}
        entered = Entered(kind="planned", at=record.initiated_at, by=self.session.caller, data=data)
        record, event = self.session.ledger.open(record, status, plan, entered, lease)
        self.session.told(record)
        return record, event

    @staticmethod
    def _finished(recorder: Recorder, error: RollbackError | None) -> Finished:
        return Finished(
            record=recorder.record, plan=recorder.plan, events=tuple(recorder.events), error=error
        )


@contextmanager
def _published(recorder: Recorder, stands: Mapping[str, str]) -> Iterator[list[Check]]:
    """Says where others look it up what is deployed; a failed check where that was not possible.

    A parameter has no conditional write: whoever finds out afterwards that the lease was lost, and so may have
    overwritten what its next holder has said, says again what stands, until nothing else does.
    """
    try:
        yield _publish(recorder, stands)
    except RollbackError as error:
        if isinstance(error, LeaseLost) or _lost(recorder):
            failed: list[Check] = []
            said = None
            while not failed and (now := recorder.stands_now()) != said:
                failed, said = _publish(recorder, now), now
            if failed:
                error.changed += f" What the parameters say may be wrong: {failed[0].detail}"
        raise


def _lost(recorder: Recorder) -> bool:
    try:
        recorder.lease.check()
    except LeaseLost:
        return True
    return False


def _publish(recorder: Recorder, stands: Mapping[str, str]) -> list[Check]:
    try:
        recorder.target.publish(recorder.plan, stands)
    except RollbackError as error:
        return [Check(check="parameter", ok=False, detail=error.what)]
    return []


def _why_reverting(events: Sequence[Event]) -> str:
    return next((str(event.data.get("why", "")) for event in events if event.kind == "reverting"), "")
