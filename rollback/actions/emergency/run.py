"""Puts aliases back when the ledger cannot be asked: from the archive, with a journal on this machine.

The same target, the same conditional writes and the same fencing tags as ever; what the ledger gives otherwise
is missing, and is said: no lease, no approval, no knowledge of who else is at work. What was done is in the
journal, to be resumed or undone by whoever has the file, and to be adopted by the ledger once it is back
(`emergency_import`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rollback.actions.context import Session
from rollback.actions.emergency import planner
from rollback.actions.emergency.journal import FileJournal, Told, read
from rollback.actions.journal import planned
from rollback.actions.ports import Ui
from rollback.actions.record_lease import Finished
from rollback.actions.smoke_test import smoke
from rollback.config.naming import BREAK_GLASS
from rollback.core.errors import Ended, PutBack, Refused, RollbackError, UsageError, VerificationFailed
from rollback.ledger.audit_bucket import Archive
from rollback.ledger.lease import ALIASES
from rollback.model.alias_moves import Move
from rollback.model.messages import checked_reason, not_put_back, put_back, refuse, several, so_far, unwell
from rollback.model.plan import Plan, Request
from rollback.model.record import Check, Status
from rollback.targets.base import Failure, Outcome, Target


@dataclass(frozen=True, kw_only=True)
class Emergency:
    """Emergencies of one environment. `place` is the folder that journals are kept in."""

    session: Session
    ui: Ui
    archive: Archive
    place: Path
    stop: threading.Event = field(default_factory=threading.Event)

    def plan(self, request: Request, *, although_quarantined: bool = False) -> Plan[Move]:
        """What would be done. Raises `Refused` where a guard speaks against it."""
        self.ui.start("Reading the archive and the aliases", 0)
        try:
            plan = planner.make(
                self.session.account, self.archive, request, although_barred=although_quarantined
            )
        finally:
            self.ui.finish()
        self.ui.planned(plan)
        refuse(plan.refusals)
        return plan

    def start(self, plan: Plan[Move], reason: str) -> Finished:
        """Does what `plan` says, journalled on this machine."""
        reason, target = checked_reason(reason), self._target()
        if not plan.changing:
            return Finished(record=None, plan=plan)
        name, now = self.session.clocks.identifier(), self.session.clocks.now()
        record = planned(self.session, target, plan, reason, rollback_id=name, began=now)
        record = replace(record, status=Status.IN_PROGRESS, emergency=True)
        journal = FileJournal.create(self.place, record, plan, **self._hands())
        with self._held(journal):
            self.ui.say(f"Journal: {journal.path}")
            return self._carry_on(journal, target)

    def resume(self, path: Path) -> Finished:
        """Goes on with the journal in `path`, wherever its process was interrupted."""
        with self._again(path) as journal:
            if journal.record.status in (Status.COMPLETE, Status.REVERTED):
                raise Refused(
                    f"{journal.rollback_id} is {journal.record.status}: there is nothing to go on with.",
                    next=self._import(path),
                )
            if journal.has("reverting"):
                return self._put_back(journal, self._target(), "")
            journal.append("resumed", {})
            return self._carry_on(journal, self._target())

    def undo(self, path: Path, reason: str) -> Finished:
        """Puts back what the journal in `path` says was moved: version and weights."""
        reason = checked_reason(reason)
        with self._again(path) as journal:
            if journal.record.status is Status.REVERTED:
                raise Refused(f"{journal.rollback_id} is undone already.", next=self._import(path))
            journal.append("reverting", {"why": "", "reason": reason})
            return self._put_back(journal, self._target(), "")

    # -- the steps -------------------------------------------------------------------------------------

    def _carry_on(self, journal: FileJournal, target: Target) -> Finished:
        outcome = self._working(target.doing, journal, lambda: target.execute(journal.plan, journal))
        if outcome.interrupted:
            return self._interrupted(journal, target)
        if not outcome.ok:
            journal.failures(outcome.failures)
            why = several(outcome.failures)
            journal.append("reverting", {"why": why})
            return self._put_back(journal, target, why)
        checks, printed = self._verified(target, journal.plan)
        self.ui.output(printed)
        well = all(check.ok for check in checks)
        self._close(journal, target, Status.COMPLETE if well else Status.FAILED, checks)
        error = None
        if not well:
            error = VerificationFailed(
                f"Everything was moved to {journal.plan.to_version}, but verification failed: {unwell(checks)}.",
                next=f"{self._word(journal)} --resume {journal.path}, to verify again; --undo {journal.path}, to "
                "go back; or an older one: --to …",
            )
        return self._finished(journal, error)

    def _put_back(self, journal: FileJournal, target: Target, why: str) -> Finished:
        """Undoes; `why` is empty where a person asked for it."""
        outcome = self._working("Putting back", journal, lambda: target.undo(journal.plan, journal))
        if outcome.interrupted:
            return self._interrupted(journal, target)
        if outcome.failures:
            journal.failures(outcome.failures)
        ours = [failure for failure in outcome.failures if not failure.foreign]
        if ours:
            self._close(journal, target, Status.FAILED, [])
            return self._finished(journal, self._stuck(journal, why, ours))
        self._close(journal, target, Status.REVERTED, [])
        if not why:
            return self._finished(journal, None)
        error = PutBack(
            f"It failed: {why}.",
            changed=put_back(outcome.failures),
            next=f"{self._word(journal)}, with --except for what does not go, or --to another release.",
        )
        return self._finished(journal, error)

    def _stuck(self, journal: FileJournal, why: str, failures: list[Failure]) -> RollbackError:
        return RollbackError(
            not_put_back(why, failures),
            changed=f"What stands where is in {journal.path}.",
            next=f"{self._word(journal)} --undo {journal.path}, to try again to put it back.",
        )

    def _interrupted(self, journal: FileJournal, target: Target) -> Finished:
        counts = target.counts(journal.plan, journal.events)
        journal.append("interrupted", {"counts": counts})
        error = RollbackError(
            "Interrupted.",
            changed=so_far(counts),
            next=f"{self._word(journal)} --resume {journal.path}, to finish it; --undo {journal.path}, to undo it",
        )
        return self._finished(journal, error)

    def _verified(self, target: Target, plan: Plan[Move]) -> tuple[list[Check], str]:
        self.ui.start("Verifying", 0)
        try:
            checks = list(target.verify(plan))
            proved = None
            if all(check.ok for check in checks):
                proved = smoke(self.session.settings, self.session.root)
        finally:
            self.ui.finish()
        if proved is None:
            return checks, ""
        return [*checks, proved[0]], "" if proved[0].ok else proved[1]

    def _close(self, journal: FileJournal, target: Target, status: Status, checks: list[Check]) -> None:
        counts = target.counts(journal.plan, journal.events)
        journal.append("closed", {"status": status, "counts": counts, "checks": checks})

    # -- helpers ---------------------------------------------------------------------------------------

    @contextmanager
    def _again(self, path: Path) -> Iterator[FileJournal]:
        told = read(path)
        self._ours(told)
        journal = FileJournal.go_on(told, **self._hands())
        with self._held(journal):
            self.ui.planned(journal.plan)
            yield journal

    @contextmanager
    def _held(self, journal: FileJournal) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            raise Ended(
                f"Ended at once, while {journal.rollback_id} was in flight.",
                changed="What was under way may or may not have been done; whoever goes on finds out.",
                next=f"{self._word(journal)} --resume {journal.path}, or --undo {journal.path}",
            ) from None
        except RollbackError as error:
            if not isinstance(error, (Refused, UsageError)):
                error.changed = error.changed or f"What was done until then is in {journal.path}."
                error.next = error.next or f"{self._word(journal)} --resume {journal.path}"
            raise
        finally:
            journal.close()

    def _ours(self, told: Told) -> None:
        settings = self.session.settings
        if (told.record.environment, told.account) != (settings.environment, settings.account):
            raise Refused(
                f"{told.path} is of {told.record.environment} in account {told.account}, not of "
                f"{settings.environment} in {settings.account}."
            )

    def _working(self, what: str, journal: FileJournal, act: Callable[[], Outcome]) -> Outcome:
        self.ui.start(what, len(journal.plan.steps))
        try:
            return act()
        finally:
            self.ui.finish()

    def _target(self) -> Target:
        return self.session.target(ALIASES)

    def _hands(self) -> dict[str, object]:
        clocks = self.session.clocks
        return {
            "by": self.session.caller,
            "holder": clocks.identifier(),
            "now": clocks.now,
            "shown": self.ui.progress,
            "stop": self.stop,
        }

    def _word(self, journal: FileJournal) -> str:
        return f"rollback lambda --emergency --env {journal.record.environment} --reason …"

    def _import(self, path: Path) -> str:
        return f"rollback ledger import {path} --env {self.session.environment}, once the ledger is back"

    @staticmethod
    def _finished(journal: FileJournal, error: RollbackError | None) -> Finished:
        return Finished(record=journal.record, plan=journal.plan, events=tuple(journal.events), error=error)


def under_its_role(session: Session) -> None:
    """Raises `Refused` under any role but the break-glass role.

    Who may move aliases in an ordinary way has approval to ask for; IAM cannot tell the two apart.
    """
    role = session.settings.names.role(BREAK_GLASS)
    if session.caller.role != role:
        raise Refused(
            f"An emergency is acted under {role} only; you are {session.caller}.",
            next=f"aws sts assume-role --role-arn arn:aws:iam::{session.settings.account}:role/{role} with your "
            "MFA device, by somebody in people.breakGlass (README, Permissions).",
        )
