"""One environment, as its caller sees it: what is deployed, what happened, and every operation on it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from rollback.actions import audit as auditing
from rollback.actions import context, freeze, quarantine, record_release, report_data, situation, verification
from rollback.actions import history as past
from rollback.actions import record_details as details
from rollback.actions import status as statuses
from rollback.actions.context import Session
from rollback.actions.emergency import journal
from rollback.actions.lifecycle import Lifecycle
from rollback.actions.reversibility import collect
from rollback.actions.reversibility.rules import Verdict
from rollback.actions.run import Finished
from rollback.api import drills, emergency, kinds, releases, upkeep
from rollback.api.events import Alarm, Event, LedgerNotice, Reporter
from rollback.api.failures import in_our_words
from rollback.api.progress import Progress, Stop
from rollback.api.results import Plan, Result
from rollback.aws.account import Account
from rollback.config import settings as configured
from rollback.config.settings import Settings
from rollback.core.errors import AwaitingApproval, Code, Refused, RollbackError, StoppedAtOnce, UsageError
from rollback.ledger.store import Unanswered
from rollback.model.events import StepDone, happened
from rollback.model.identity import Actor
from rollback.model.record import Record
from rollback.model.release import Freeze
from rollback.model.request import Request
from rollback.model.situation import Policy, RecordSeen

if TYPE_CHECKING:
    from rollback.api.adoption import Adoption

T = TypeVar("T")


class Environment:
    """One environment, as its caller sees it. `open` gives one; it can be used as a context manager.

    Nothing is printed, no signal is handled and nothing is kept between two operations but the caller's credentials
    and the settings as they were read: any number of environments can be open at once, in any threads, and an
    operation can be done any number of times in one process. What programs that are run for it (Pulumi, Terraform,
    git, the smoke command) need, they find in this process's environment variables.

    Every operation raises `RollbackError` or one of its kinds, with the same `code`, `changed` and `next` that the
    command shows: `UsageError` before anything was asked, `Refused` by a guard, `Reverted`, `VerificationFailed`. The
    `result` of an error of a rollback that had begun is its `Result`.
    """

    def __init__(
        self,
        session: Session,
        *,
        on_event: Callable[[Event], object] | None = None,
        confirm: Callable[[str], bool | None] | None = None,
        stop: threading.Event | None = None,
        anew: Callable[..., Session] | None = None,
    ) -> None:
        """Made by `open`. `anew` makes the session of each operation (`context.session_of` with all but its options)."""
        self._session = session
        self._anew = anew or partial(context.session_of, session.root, notifier=session.notifier)
        self._reporter = Reporter(on_event=on_event or (lambda _: None), ask=confirm or (lambda _: None))
        self._flow: Lifecycle | None = None
        self.stop = stop or threading.Event()
        self._close: Callable[[], object] = lambda: None

    @classmethod
    def open(
        cls,
        name: str | None = None,
        *,
        folder: str | Path | None = None,
        on_event: Callable[[Event], object] | None = None,
        confirm: Callable[[str], bool | None] | None = None,
        stop: threading.Event | None = None,
    ) -> Environment:
        """An environment: its settings are read, and the caller's credentials are looked at.

        `name` is the environment's (`dev`); without it, the one whose account the credentials belong to. `folder` is
        in the checkout of the platform's repository whose settings count; the current folder by default. Credentials
        are those that boto3 finds (https://docs.aws.amazon.com/boto3/latest/guide/credentials.html).

        `on_event` is called with everything that happens (`rollback.api.events`). `confirm` is asked where a person
        has to confirm a plan that was not handed over: it answers yes, no, or None where nobody can be asked, as
        without it. Once `stop` is set, operations end in good order: what is under way is finished, and no more begun.

        Raises `UsageError` without a checkout, such an environment, credentials or an answer from AWS, and `Refused`
        where the credentials are of another account.
        """
        reporter = Reporter(on_event=on_event or (lambda _: None), ask=lambda _: None)
        start = Path(folder or Path.cwd()).absolute()
        try:
            session = context.begin(name, start, notice=reporter.notice)
        except RollbackError:
            raise
        except Exception as error:
            raise in_our_words(error, name or "ENVIRONMENT") from error
        environment = cls(session, on_event=on_event, confirm=confirm, stop=stop)
        if session.notifier is not None:
            # Messages that are still to be sent are, also where nobody closes it, and at the end of the process.
            environment._close = weakref.finalize(environment, session.notifier.close)
        return environment

    @staticmethod
    def names(folder: str | Path | None = None) -> tuple[str, ...]:
        """The environments that a checkout configures, sorted. Raises `UsageError` as `open` does."""
        return tuple(configured.environments(configured.find_root(Path(folder or Path.cwd()).absolute())))

    def close(self) -> None:
        """Waits a few seconds for messages to the team's Slack that are still to be sent."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self._session.environment

    @property
    def settings(self) -> Settings:
        """The environment's settings, as the checkout had them when it was opened."""
        return self._session.settings

    @property
    def root(self) -> Path:
        """The checkout whose settings count."""
        return self._session.root

    @property
    def caller(self) -> Actor:
        """The role and the person that the credentials are of."""
        return self._session.caller

    @property
    def functions(self) -> kinds.Functions:
        """The aliases of the catalogue's Lambda functions."""
        return kinds.Functions(self)

    @property
    def stack(self) -> kinds.Stack:
        """The Pulumi stack, and other programs' stacks."""
        return kinds.Stack(self)

    @property
    def terraform(self) -> kinds.Terraform:
        """The Terraform configuration."""
        return kinds.Terraform(self)

    @property
    def full(self) -> kinds.Full:
        """Aliases, the stack and the Terraform configuration, back to what a release was made with."""
        return kinds.Full(self)

    @property
    def prune(self) -> kinds.Prune:
        """Published versions that nobody needs any more."""
        return kinds.Prune(self)

    @property
    def releases(self) -> releases.Releases:
        """The recorded releases."""
        return releases.Releases(self)

    @property
    def ledger(self) -> upkeep.LedgerUpkeep:
        """The ledger after an emergency, or after a restore."""
        return upkeep.LedgerUpkeep(self)

    @property
    def adoption(self) -> Adoption:
        """What the account has already of what the program declares. Raises `UsageError` without Pulumi's SDK."""
        from rollback.api.adoption import Adoption  # noqa: PLC0415 - an extra

        return Adoption(self)

    @property
    def drills(self) -> drills.Drills:
        """Rehearsed rollbacks."""
        return drills.Drills(self)

    def table(self, name: str) -> kinds.Table:
        """A DynamoDB table, to be restored and cut over to. It is looked for when it is planned for."""
        return kinds.Table(self, name)

    def emergency(self) -> emergency.Emergency:
        """Aliases rolled back without the ledger, under the break-glass role.

        Raises `Refused` under any other role, or where the environment has no archive to go back by.
        """
        return emergency.Emergency(self)

    def required_approval(self, kind: str) -> Policy:
        """What a kind of rollback needs: `none`, `confirm` by its own person, or the approval of another `identity`.

        Raises `Refused` where the checkout's settings are not those of the protected branch.
        """
        with self.operation() as session:
            return session.policy(kind)

    # -- plan and roll back ----------------------------------------------------------------------------------------

    def plan(self, request: Request) -> Plan:
        """What would be done for a request of any kind (`rollback.model.request`). Reads only, takes no lease.

        What speaks against it is in `refusals`. Raises `UsageError` for what does not exist, `Refused` where there is
        nothing to go back to.
        """
        with self.operation() as session:
            plan, refusals = self.flow(session).planned(request.kind, request)
            return Plan(details=plan, refusals=refusals)

    def roll_back(
        self, what: Plan | Request, *, reason: str, yes: bool = False, hold: bool = False
    ) -> Result:
        """Carries out a plan that was seen, or plans a request and carries that out.

        Under the lease it is planned again. A plan that is handed over is confirmed by that: exactly it is carried
        out. A request is carried out where nobody has to confirm, where `yes` does so beforehand (in dev) or `confirm`
        answers yes. Where the environment asks for another identity, and with `hold` in any case, the record waits:
        `status` is `AWAITING_APPROVAL` or `AWAITING_CONFIRMATION`, `waiting` says for whom; that is no error.

        Raises `Refused` where a guard speaks against it, or where what would be done now has another digest
        (`DIGEST_MISMATCH`); `Reverted` where it failed and was undone; `VerificationFailed` where it is done and
        unhealthy; `RollbackError` where it failed half way or was interrupted: `resume` or `abort` goes on.
        """
        if isinstance(what, Request):
            request, digest = what, ""
        else:
            if what.environment != self.name:
                raise UsageError(
                    f"That plan is of {what.environment}, and this is {self.name}.", code=Code.OPTION_INVALID
                )
            what.check()
            request, digest = what.details.request, what.digest
        return self.carried_out(
            lambda flow: flow.start(request.kind, request, reason, yes=yes, digest=digest, hold=hold)
        )

    def following(self, work: Callable[[Environment], T]) -> Progress[T]:
        """The events of an operation as an iterator, while it runs in a thread; then `result`.

            with env.following(lambda env: env.resume(id)) as progress:
                for event in progress:
                    print(event)
            print(progress.result.status)

        `work` gets this environment, its events going to the iterator. To close that early asks it to stop.
        """
        stop = Stop(self.stop)

        def run(hand_on: Callable[[Event], None]) -> T:
            return work(
                Environment(
                    self._session, on_event=hand_on, confirm=self._reporter.ask, stop=stop, anew=self._anew
                )
            )

        return Progress(run, stop)

    # -- a record that has not ended -------------------------------------------------------------------------------

    def approve(self, rollback_id: str, digest: str) -> Record:
        """Says yes to exactly one plan, as another person under the approver role; the record that is approved.

        `digest` is the plan's as it was read, 12 digits of it or more. Raises `Refused` where it is not the caller's to
        give, or is another plan's.
        """
        with self.operation() as session:
            opened = self.flow(session).approve(rollback_id, digest)
            self._reporter.planned(opened.plan(session.target(opened.record.kind).step))
            return opened.record

    def apply(self, rollback_id: str, digest: str = "") -> Result:
        """Carries out an approved plan, or one that is confirmed by its `digest` (12 digits or more), if it still holds.

        Raises as `roll_back` does.
        """
        return self.carried_out(lambda flow: flow.apply(rollback_id, digest), first=True)

    def resume(self, rollback_id: str, *, confirm_dead: str = "") -> Result:
        """Finishes what was interrupted, from any machine. `confirm_dead` is the `HOST:PID`, or the lock's id, of whoever
        held an engine's lock and is dead. Raises as `roll_back` does.
        """
        return self.carried_out(lambda flow: flow.resume(rollback_id), first=True, confirm_dead=confirm_dead)

    def abort(self, rollback_id: str, reason: str = "", *, confirm_dead: str = "") -> Result:
        """Gives up a plan, or undoes what an unfinished run has done. Raises as `roll_back` does."""
        return self.carried_out(
            lambda flow: flow.abort(rollback_id, reason), first=True, confirm_dead=confirm_dead
        )

    def verify_again(self, rollback_id: str) -> Result:
        """Verifies a rollback whose verification failed. Raises `Refused` for any other, else as `roll_back` does."""
        return self.carried_out(lambda flow: flow.verify(rollback_id), first=True)

    # -- what is deployed, and what happened -----------------------------------------------------------------------

    def status(self, *, exact: bool = False) -> statuses.Overview:
        """What is deployed, what is in flight, and what to type next.

        `exact` reads weights however many functions there are; otherwise they are read of up to 100.
        """
        with self.operation(reading=True) as session:
            return statuses.overview(session, exact=exact)

    def may_deploy(self, commit: str) -> str:
        """All digits of a commit that may be deployed. Raises `Refused` where it is quarantined, or somebody else has
        frozen the environment.
        """
        with self.operation(reading=True) as session:
            freeze.respected(session)
            sha = record_release.checked_commit(session.root, commit)
            if covering := quarantine.covering(session, sha):
                lifting = "\n".join(quarantine.lifting(covering, session.environment))
                raise Refused(
                    f"Commit {sha[:12]} is quarantined in {session.environment}: {quarantine.why(covering)}.",
                    code=Code.QUARANTINED,
                    next=f"Deploy a commit that mends it; or lift it:\n{lifting}",
                )
            return sha

    def verify(self) -> verification.Verified:
        """Whether everything that is deployed is as recorded, and healthy: see `ok`."""
        with self.operation(reading=True) as session:
            return verification.verified(session)

    def history(self, limit: int = 30, kind: str | None = None) -> past.History:
        """Releases, rollbacks, drills and what the engine deployed, the newest first.

        `kind` narrows it: `release`, `drill`, or a kind of rollback. What could not be read is in `broken` and `notices`.
        """
        with self.operation(reading=True) as session:
            return past.past(session, limit, kind)

    def moment(self, name: str) -> past.Moment | None:
        """The entry of the engine's own history that `name` (`up-20261128T101500`) names; None where it is none."""
        if not past.is_engines(name):
            return None
        with self.operation(reading=True) as session:
            return past.found(session, name)

    def show(self, rollback_id: str) -> details.RecordDetails:
        """One rollback: its plan, its journal, and what to type next. Raises `UsageError` where there is none."""
        with self.operation(reading=True) as session:
            opened = session.ledger.load(rollback_id)
            seen = situation.of(session, opened)
            return details.details(opened, session.target(opened.record.kind), seen)

    def record(self, rollback_id: str) -> Record:
        """The record of one rollback alone. Raises `UsageError` where there is none."""
        with self.operation() as session:
            return session.ledger.load(rollback_id).record

    def report(self, rollback_id: str = "", limit: int = 100) -> report_data.ReportData:
        """What happened, for people who were not there: of the environment's newest `limit` moments, or of one rollback.

        `rollback.views.report.page` makes an HTML page of it, `summary` Markdown of one record.
        """
        with self.operation() as session:
            if rollback_id:
                return report_data.single(session, rollback_id)
            return report_data.gather(session, limit)

    def audit(self) -> auditing.Audited:
        """Walks the whole ledger and its archive; `findings` are the places where the trail breaks, the first first."""
        with self.operation() as session:
            return auditing.audit(session.ledger, session.account.each, self._reporter)

    def can(self, commit: str = "HEAD", *, github: bool = False) -> Verdict:
        """Whether a change to `commit` could be rolled back; nothing is changed, and no lease is taken.

        With `github` it is not reversible unless GitHub says who has to approve.
        """
        with self.operation(reading=True) as session:
            return collect.gather(session, commit, insist=github, notice=self._reporter.notice)

    # -- guards ----------------------------------------------------------------------------------------------------

    def freeze(self, reason: str) -> Freeze:
        """Refuses deployments and rollbacks of everybody else, until `unfreeze`. Raises `Refused` if it is frozen."""
        with self.operation() as session:
            return freeze.freeze(session, reason)

    def unfreeze(self, reason: str) -> Freeze:
        """Ends a freeze, whoever set it; the freeze that is ended. Raises `Refused` where there is none."""
        with self.operation() as session:
            return freeze.unfreeze(session, reason)

    # -- what the other modules of this package, and the command, are made with --------------------------------------

    @property
    def reporter(self) -> Reporter:
        """What operations report to."""
        return self._reporter

    @contextmanager
    def operation(
        self,
        *,
        first: bool = False,
        reading: bool = False,
        confirm_dead: str = "",
        acting: Callable[[Account], Account] | None = None,
    ) -> Iterator[Session]:
        """The session of one operation. What goes wrong in it is raised as one of our errors.

        A ledger that has lost entries refuses what decides by its timeline. `first` checks that before anything else;
        `reading`: what is only shown is shown all the same, with a notice. `acting` gives the account under another
        role than the caller's.
        """
        session: Session | None = None
        try:
            account = self._session.account if acting is None else acting(self._session.account)
            session = self._anew(account=account, confirm_dead=confirm_dead)
            with session.closing:
                if first or reading:
                    session.watch_first(strict=not reading)
                yield session
        except Unanswered as error:
            if session is not None:
                self._without_ledger(session, error)
            raise
        except RollbackError:
            raise
        except Exception as error:
            raise in_our_words(error, self.name) from error
        finally:
            if session is not None:
                for alarm in session.alarms:
                    self._reporter.emit(LedgerNotice(text=alarm, alarm=True))
                for notice in session.ledger.notices:
                    self._reporter.emit(LedgerNotice(text=notice))

    def flow(self, session: Session) -> Lifecycle:
        """The verbs of one session."""
        self._flow = Lifecycle(session=session, ui=self._reporter, stop=self.stop)
        return self._flow

    def carried_out(
        self, work: Callable[[Lifecycle], Finished], *, first: bool = False, confirm_dead: str = ""
    ) -> Result:
        """The result of an operation on a record. Raises its error, with the result in it, unless it only waits."""
        throttles = self._session.account.throttles
        before = throttles.count
        with self.operation(first=first, confirm_dead=confirm_dead) as session:
            finished = work(self.flow(session))
            if throttled := throttles.count - before:
                self._reporter.notice(
                    f"Lambda throttled {throttled} calls: somebody else uses its quota, too, so it went slower."
                )
            return self.ended(session, finished)

    def ended(
        self,
        session: Session,
        finished: Finished,
        seen: RecordSeen | None = None,
        journal: Path | None = None,
    ) -> Result:
        """How a run ended. Raises its error, with the result in it, unless it only waits."""
        plan, record, error = finished.plan, finished.record, finished.error
        planned = None if plan is None else Plan(details=plan)
        if record is None:
            return Result(plan=planned)
        outcomes = () if plan is None else session.target(record.kind).outcomes(plan, finished.events)
        steps = happened(reversed(finished.events), StepDone)
        then = next((done.next for done in steps if done.next), "") if error is None else error.next
        result = Result(
            plan=planned,
            seen=seen or session.seen(record),
            events=finished.events,
            outcomes=tuple(outcomes),
            waiting=error if isinstance(error, AwaitingApproval) else None,
            next=tuple((then or "").splitlines()),
            journal=journal,
        )
        if error is not None:
            error.result = result
            if not isinstance(error, AwaitingApproval):
                raise error
        return result

    def stopped_at_once(self) -> StoppedAtOnce:
        """The error for a person who asks a second time to stop: it names the record that was worked on, if any."""
        if self._flow is None:
            return StoppedAtOnce("Ended at once.", code=Code.ENDED)
        return self._flow.stopped_at_once()

    def _without_ledger(self, session: Session, error: Unanswered) -> None:
        """Names the emergencies whose journals are here, and completes the error with what to type next."""
        for path in journal.found(journal.folder(), session.environment, session.settings.account):
            self._reporter.emit(Alarm(text=journal.reminder(path, session.environment)))
        advice = situation.without(session, error)
        error.what, error.next = f"{error.what} {advice.what}", advice.next
