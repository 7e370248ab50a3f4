"""The one order in which anything is put back: plan, approve, lock, execute, verify, close.

What has to be known to go on from any moment is in the ledger before the next step is taken. From the
moment a record is in flight its lease stays with it until it is closed: an interrupted run bars everybody
but whoever resumes or aborts it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ulid import ULID

from naming import APPROVER
from rollback import approval
from rollback.errors import AwaitingApproval, PutBack, Refused, RollbackError, UsageError, VerificationFailed
from rollback.lease import ALIASES, Lease
from rollback.ledger import Opened
from rollback.plan import Plan, Refusal, Request
from rollback.recorder import Recorder, give_up
from rollback.records import Entered, Event, Record, Status, seconds_between
from rollback.session import Session
from rollback.targets.protocol import Target
from rollback.ui import Ui
from rollback.verify import smoke

MAX_REASON = 500
_SHOWN = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """How a verb ended: its record, if there is one, and the error that sets the exit code, if any."""

    record: Record | None
    plan: Plan[Any] | None
    events: tuple[Event, ...] = ()
    error: RollbackError | None = None


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Runs the verbs of one session. `stop` is set when a person asks to stop."""

    session: Session
    ui: Ui
    stop: threading.Event = field(default_factory=threading.Event)

    def preview(self, kind: str, request: Request) -> Plan[Any]:
        """The plan alone. Raises `Refused` where a guard speaks against it."""
        target = self.session.target(kind)
        plan = target.plan(request)
        self.ui.planned(plan)
        _refuse(target.refusals(plan))
        return plan

    def start(self, kind: str, request: Request, reason: str) -> Finished:
        """Plans and, where nobody else has to say yes, does it.

        Where nobody has to say yes the lease is taken first and one plan under it serves for both.
        """
        reason = checked_reason(reason)
        began = self.session.clocks.now()
        target = self.session.target(kind)
        rollback_id = str(ULID())
        if approval.binding_policy(self.session.root, self.session.settings, kind) != "none":
            plan = self.preview(kind, request)
            if not plan.changing:
                return Finished(record=None, plan=plan)
            return self._await_approval(self._record(target, plan, reason, rollback_id, began), plan)
        with self._locked(target.domain, rollback_id) as lease:
            plan = self.preview(kind, request)
            if not plan.changing:
                return Finished(record=None, plan=plan)
            record = self._record(target, plan, reason, rollback_id, began)
            record, event = self._open(record, plan, lease, Status.IN_PROGRESS)
            return self._carry_on(self._recorder(target, plan, record, [event], lease))

    def approve(self, rollback_id: str, digest: str) -> Opened:
        """Writes down the caller's word for a plan. Raises `Refused` where it is not theirs to give."""
        opened = self.session.ledger.load(rollback_id)
        given = approval.approve(
            opened.record, digest, self.session.caller, self.session.settings, self.session.now()
        )
        self.session.ledger.approve(given)
        return opened

    def apply(self, rollback_id: str) -> Finished:
        """Carries out an approved plan, if everything in it still holds."""
        opened, target, plan = self._opened(rollback_id)
        record = opened.record
        _only(record, (Status.AWAITING_APPROVAL,), "it waits for no approval")
        approval.binding_policy(self.session.root, self.session.settings, plan.kind)
        given = approval.standing(
            record, self.session.ledger.approvals(rollback_id), self.session.settings, self.session.now()
        )
        with self._locked(target.domain, rollback_id) as lease:
            today = target.plan(plan.request)
            if today.digest() != record.digest:
                raise Refused(
                    f"The plan no longer holds: its digest is {today.digest()[:16]} now, "
                    f"{record.digest[:16]} was approved.",
                    next=f"rollback abort {rollback_id} --env {record.environment}, then plan again.",
                )
            _refuse(target.refusals(today))
            self.ui.planned(plan)
            recorder = self._recorder(target, plan, record, opened.events, lease)
            recorder.append(
                "approved",
                {"digest": given.digest, "by": given.by, "at": given.at, "expires_at": given.expires_at},
                status=Status.IN_PROGRESS,
                approved_by=given.by,
                started_at=self.session.clocks.now(),
                waited_seconds=seconds_between(record.initiated_at, self.session.clocks.now()),
            )
            return self._carry_on(recorder)

    def resume(self, rollback_id: str) -> Finished:
        """Goes on where a run was interrupted, from any machine."""
        with self._taken_over(rollback_id, "resumed", "") as recorder:
            if recorder.has("reverting"):
                return self._put_back(recorder, _why_reverting(recorder.events))
            return self._carry_on(recorder)

    def abort(self, rollback_id: str, reason: str = "") -> Finished:
        """Gives up a plan, or undoes what an unfinished run has done."""
        try:
            opened, _, plan = self._opened(rollback_id)
        except UsageError:
            return self._release_orphan(rollback_id)
        if opened.record.status in (Status.PLANNED, Status.AWAITING_APPROVAL):
            record, event = give_up(self.session, opened, reason)
            return Finished(record=record, plan=plan, events=(*opened.events, event))
        with self._taken_over(rollback_id, "aborting", reason) as recorder:
            return self._put_back(recorder, "")

    def verify(self, rollback_id: str) -> Finished:
        """Verifies again a record whose verification failed; it becomes COMPLETE where it passes now."""
        opened, target, plan = self._opened(rollback_id)
        _only(opened.record, (Status.FAILED,), "only a failed verification is verified again")
        with self._locked(target.domain, rollback_id) as lease:
            self._still_newest(opened, plan)
            recorder = self._recorder(target, plan, opened.record, opened.events, lease)
            if recorder.has("reverting"):
                lease.in_flight = False
                raise Refused(f"{rollback_id} was being put back.", next=next_for(opened.record))
            return self._verify(recorder)

    # -- the steps -------------------------------------------------------------------------------------

    def _await_approval(self, record: Record, plan: Plan[Any]) -> Finished:
        record, event = self._open(record, plan, None, Status.AWAITING_APPROVAL)
        name, env = record.rollback_id, record.environment
        error = AwaitingApproval(
            f"{name} waits for approval of digest {record.digest}.",
            next=f"Another person, under {self.session.settings.names.role(APPROVER)}: "
            f"rollback approve {name} --digest {record.digest[:16]} --env {env}\n"
            f"Then: rollback apply {name} --env {env}",
        )
        return Finished(record=record, plan=plan, events=(event,), error=error)

    def _carry_on(self, recorder: Recorder) -> Finished:
        with self._working(recorder, "Moving"):
            outcome = recorder.target.execute(recorder.plan, recorder)
        if outcome.interrupted:
            return self._interrupted(recorder)
        if not outcome.ok:
            recorder.failures(outcome.failures)
            return self._put_back(recorder, _several(outcome.failures))
        return self._verify(recorder)

    def _verify(self, recorder: Recorder) -> Finished:
        self.ui.say("Verifying …")
        plan = recorder.plan
        checks = list(recorder.target.verify(plan))
        if all(check.ok for check in checks):
            recorder.target.publish(plan, undone=False)
            proved = smoke(self.session.settings, self.session.root)
            if proved is not None:
                checks.append(proved[0])
                if not proved[0].ok:
                    self.ui.output(proved[1])
        if self.stop.is_set():
            return self._interrupted(recorder)
        well = all(check.ok for check in checks)
        recorder.close(Status.COMPLETE if well else Status.FAILED, checks, forward=True)
        error = None
        if not well:
            name, env = recorder.record.rollback_id, self.session.environment
            failed = "; ".join(f"{check.check}: {check.detail}" for check in checks if not check.ok)
            error = VerificationFailed(
                f"Everything was moved to {plan.to_version}, but verification failed: {failed}.",
                changed=f"{plan.from_version} is quarantined all the same.",
                next=f"rollback verify {name} --env {env}, once it is mended; "
                f"rollback abort {name} --env {env}, to go back to {plan.from_version}; or an "
                f"older release: rollback lambda --env {env} --to V --reason …",
            )
        return self._finished(recorder, error)

    def _put_back(self, recorder: Recorder, why: str) -> Finished:
        """Undoes; `why` is empty where a person asked for it."""
        if not recorder.has("reverting"):
            recorder.append("reverting", {"why": why})
        with self._working(recorder, "Putting back"):
            outcome = recorder.target.undo(recorder.plan, recorder)
        if outcome.interrupted:
            return self._interrupted(recorder)
        recorder.failures(outcome.failures)
        name, env = recorder.record.rollback_id, self.session.environment
        ours = [failure for failure in outcome.failures if not failure.foreign]
        if ours:
            recorder.close(Status.FAILED, [], forward=False)
            return self._finished(
                recorder,
                RollbackError(
                    f"{why + '. ' if why else ''}Putting it back failed as well: {_several(ours)}.",
                    changed=f"rollback show {name} --env {env} says what stands where.",
                    next=f"rollback abort {name} --env {env}, to try again to put it back.",
                ),
            )
        recorder.target.publish(recorder.plan, undone=True)
        recorder.close(Status.REVERTED, [], forward=False)
        if not why:
            return self._finished(recorder, None)
        theirs = ", ".join(failure.subject for failure in outcome.failures)
        left = f" Left as somebody else has it: {theirs}." if theirs else ""
        error = PutBack(
            f"It failed: {why}.",
            changed=f"Everything that had been moved was put back as it was.{left}",
            next=f"rollback show {name} --env {env}",
        )
        return self._finished(recorder, error)

    def _interrupted(self, recorder: Recorder) -> Finished:
        counts = recorder.counts()
        recorder.append("interrupted", {"counts": counts}, counts=counts)
        done = counts["moved"] + counts["confirmed"]
        error = RollbackError(
            "Interrupted.",
            changed=f"Of {counts['planned']}, {done} are moved and {counts['reverted']} put back.",
            next=next_for(recorder.record),
        )
        return self._finished(recorder, error)

    def _release_orphan(self, owner: str) -> Finished:
        """Frees a lease whose holder died before it wrote its record."""
        held = self.session.leases.holder(ALIASES)
        if held is None or held["owner"] != owner:
            raise UsageError(
                f"There is no rollback {owner[:80]!r} in {self.session.environment}.",
                next=f"rollback history --env {self.session.environment}",
            )
        with self._locked(ALIASES, owner, take_over=True):
            self.ui.say(f"{owner} had written nothing yet; its lease is free again.")
        return Finished(record=None, plan=None)

    # -- helpers ---------------------------------------------------------------------------------------

    def _record(self, target: Target, plan: Plan[Any], reason: str, rollback_id: str, began: str) -> Record:
        return Record(
            rollback_id=rollback_id,
            kind=plan.kind,
            environment=plan.environment,
            from_version=plan.from_version,
            to_version=plan.to_version,
            services=plan.services,
            without=plan.request.without,
            reason=reason,
            initiated_by=self.session.caller,
            initiated_at=began,
            status=Status.PLANNED,
            digest=plan.digest(),
            counts=target.counts(plan, ()),
            rto_seconds=self.session.settings.rto.code * 60,
            adopted_current=plan.request.adopt_current,
        )

    def _open(
        self, record: Record, plan: Plan[Any], lease: Lease | None, status: Status
    ) -> tuple[Record, Event]:
        data = {"digest": record.digest, "reason": record.reason, "steps": len(plan.steps)}
        entered = Entered(kind="planned", at=record.initiated_at, by=self.session.caller, data=data)
        return self.session.ledger.open(record, status, plan, entered, lease)

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
        lease: Lease,
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
        opened, target, _ = self._opened(rollback_id)
        unfinished = (Status.IN_PROGRESS, Status.FAILED)
        _only(opened.record, unfinished, "there is nothing to go on with")
        with self._locked(target.domain, rollback_id, take_over=True) as lease:
            opened, target, plan = self._opened(rollback_id)
            _only(opened.record, unfinished, "there is nothing to go on with")
            if opened.record.status is Status.FAILED:
                self._still_newest(opened, plan)
            self.ui.planned(plan)
            recorder = self._recorder(target, plan, opened.record, opened.events, lease, taken_over=True)
            recorder.append(kind, {"fence": lease.fence, "reason": reason}, status=Status.IN_PROGRESS)
            yield recorder

    def _still_newest(self, opened: Opened, plan: Plan[Any]) -> None:
        """A closed record can be taken up again only while nothing later has written what it wrote."""
        for entry in self.session.ledger.timeline():
            if entry.id == opened.record.rollback_id:
                return
            if set(entry.services) & set(plan.services):
                raise Refused(
                    f"{entry.kind} {entry.id} has changed the same services since.",
                    next=f"rollback status --env {self.session.environment}",
                )

    @contextmanager
    def _locked(self, domain: str, owner: str, *, take_over: bool = False) -> Iterator[Lease]:
        if take_over:
            lease = self.session.leases.take_over(
                domain, owner, lambda left: self.ui.waiting(f"Watching whether {owner} is dead", left)
            )
        else:
            lease = self.session.leases.take(domain, owner)
        lease.start()
        try:
            yield lease
        except RollbackError as error:
            if lease.in_flight and not error.next:
                name = f"{owner} --env {self.session.environment}"
                error.changed = error.changed or "What was done until then is in the record."
                error.next = f"rollback resume {name}, or rollback abort {name}"
            raise
        finally:
            lease.release()

    @contextmanager
    def _working(self, recorder: Recorder, what: str) -> Iterator[None]:
        self.ui.start(what, len(recorder.plan.steps))
        try:
            yield
        finally:
            self.ui.finish()

    @staticmethod
    def _finished(recorder: Recorder, error: RollbackError | None) -> Finished:
        return Finished(
            record=recorder.record, plan=recorder.plan, events=tuple(recorder.events), error=error
        )


def checked_reason(reason: str) -> str:
    """A reason on one line, neither empty nor endless. Raises `UsageError` otherwise."""
    text = reason.strip()
    if not text:
        raise UsageError("A reason is needed.", next='--reason "what went wrong, in your words"')
    if len(text) > MAX_REASON:
        raise UsageError(f"The reason has {len(text):,} characters; {MAX_REASON} are allowed.")
    if not text.isprintable():
        raise UsageError("The reason must be one line of printable characters.")
    return text


def next_for(record: Record) -> str:
    """What to type next for a record in this state."""
    name = f"{record.rollback_id} --env {record.environment}"
    return {
        Status.AWAITING_APPROVAL: f"rollback apply {name}, once another person has approved it",
        Status.IN_PROGRESS: f"rollback resume {name}, to finish it; rollback abort {name}, to undo it",
        Status.FAILED: f"rollback verify {name}, once it is mended; rollback abort {name}, to undo it",
    }.get(record.status, f"rollback show {name}")


def _only(record: Record, allowed: Sequence[Status], why: str) -> None:
    if record.status not in allowed:
        raise Refused(f"{record.rollback_id} is {record.status}: {why}.", next=next_for(record))


def _refuse(refusals: Sequence[Refusal]) -> None:
    if refusals:
        lines = [
            f"{item.subject}: {item.reason}" + (f"  ({item.remedy})" if item.remedy else "")
            for item in refusals
        ]
        more = [f"… and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        raise Refused("\n".join(["The plan is refused:", *lines[:_SHOWN], *more]))


def _several(failures: Sequence[Any]) -> str:
    """The first failures in words."""
    return "; ".join(f"{failure.subject}: {failure.reason}" for failure in failures[:5])


def _why_reverting(events: Sequence[Event]) -> str:
    return next((str(event.data.get("why", "")) for event in events if event.kind == "reverting"), "")
