"""One environment, as its caller sees it: what is deployed, what happened, and every operation on it.

It is longer than 400 lines: every operation is a method of the one object.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from rollback.actions import context, freeze, situation
from rollback.api import kinds
from rollback.api.events import Event, Reporter
from rollback.api.failures import in_our_words
from rollback.api.operations import Operations
from rollback.api.progress import Progress, Stop
from rollback.api.results import Plan, Result
from rollback.config import settings as configured
from rollback.core.deadline import Deadline
from rollback.core.errors import AwaitingApproval, Code, Refused, RollbackError, UsageError
from rollback.model.record import Record, Status
from rollback.model.release import Freeze
from rollback.model.request import BEFORE, CutoverRequest, Request, TableRequest
from rollback.model.situation import Policy

if TYPE_CHECKING:
    from rollback.actions.audit import Audited
    from rollback.actions.history import History, Moment
    from rollback.actions.live_status import Watched
    from rollback.actions.record_details import RecordDetails
    from rollback.actions.report_data import ReportData
    from rollback.actions.reversibility.rules import Verdict
    from rollback.actions.status import Overview
    from rollback.actions.verification import Verified
    from rollback.api.acceptance import Acceptance
    from rollback.api.adoption import Adoption
    from rollback.api.catalogue import Catalogue
    from rollback.api.drills import Drills
    from rollback.api.emergency import Emergency
    from rollback.api.guard import Guard
    from rollback.api.releases import Releases
    from rollback.api.standby import Standby
    from rollback.api.upkeep import LedgerUpkeep
    from rollback.model.release_diff import Difference

T = TypeVar("T")
# Seconds between two looks for an approval.
_BETWEEN_LOOKS = 5.0


class Environment(Operations):
    """One environment, as its caller sees it. `open` gives one; it can be used as a context manager.

    Nothing is printed, no signal is handled and nothing is kept between two operations but the caller's credentials
    and the settings as they were read: any number of environments can be open at once, in any threads, and an
    operation can be done any number of times in one process. What programs that are run for it (Pulumi, Terraform,
    git, the smoke command) need, they find in this process's environment variables.

    Every operation raises `RollbackError` or one of its kinds, with the same `code`, `changed` and `next` that the
    command shows: `UsageError` before anything was asked, `Refused` by a guard, `Reverted`, `VerificationFailed`. The
    `result` of an error of a rollback that had begun is its `Result`.
    """

    _close: Callable[[], object] = staticmethod(lambda: None)

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
        without it. Once `stop` is set, operations end gracefully: what is under way is finished, and no more begun.

        Raises `UsageError` without a checkout, such an environment, credentials or an answer from AWS, and `Refused`
        where the credentials are of another account.
        """
        reporter = Reporter(on_event=on_event or (lambda _: None), ask=lambda _: None)
        start = Path(folder or Path.cwd()).resolve()
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
        return tuple(configured.environments(configured.find_root(Path(folder or Path.cwd()).resolve())))

    def close(self) -> None:
        """Waits a few seconds for messages to the team's Slack that are still to be sent."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what can be rolled back, and more ------------------------------------------------------------------------------------------------

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
    def releases(self) -> Releases:
        """The recorded releases."""
        from rollback.api.releases import Releases  # noqa: PLC0415 - of this alone

        return Releases(self)

    @property
    def standby(self) -> Standby:
        """The rollback that is planned and approved in advance."""
        from rollback.api.standby import Standby  # noqa: PLC0415 - of this alone

        return Standby(self)

    @property
    def ledger(self) -> LedgerUpkeep:
        """The ledger after an emergency, or after a restore."""
        from rollback.api.upkeep import LedgerUpkeep  # noqa: PLC0415 - of this alone

        return LedgerUpkeep(self)

    @property
    def adoption(self) -> Adoption:
        """What the account has already of what the program declares. Raises `UsageError` without Pulumi's SDK."""
        from rollback.api.adoption import Adoption  # noqa: PLC0415 - an extra

        return Adoption(self)

    @property
    def acceptance(self) -> Acceptance:
        """What this tool relies on, tried in the account itself."""
        from rollback.api.acceptance import Acceptance  # noqa: PLC0415 - of this alone

        return Acceptance(self)

    @property
    def catalogue(self) -> Catalogue:
        """The functions that the settings list, beside those that the account has."""
        from rollback.api.catalogue import Catalogue  # noqa: PLC0415 - of this alone

        return Catalogue(self)

    @property
    def guard(self) -> Guard:
        """The function that takes what is on standby for an alarm, and its alarms."""
        from rollback.api.guard import Guard  # noqa: PLC0415 - of this alone

        return Guard(self)

    @property
    def drills(self) -> Drills:
        """Rehearsed rollbacks."""
        from rollback.api.drills import Drills  # noqa: PLC0415 - of this alone

        return Drills(self)

    def table(self, name: str) -> kinds.Table:
        """A DynamoDB table, to be restored and cut over to. It is looked for when it is planned for."""
        return kinds.Table(self, name)

    def emergency(self) -> Emergency:
        """Aliases rolled back without the ledger, under the break-glass role.

        Raises `Refused` under any other role, or where the environment has no archive to go back by.
        """
        from rollback.api.emergency import Emergency  # noqa: PLC0415 - of this alone

        return Emergency(self)

    def required_approval(self, kind: str, *, below: bool = False) -> Policy:
        """What a kind of rollback needs: `none`, `confirm` by its own person, or the approval of another `identity`.

        `below` is of one that is allowed to go below a release that must not be rolled back past: an exception.
        Raises `Refused` where the checkout's settings are not those of the protected branch.
        """
        with self.operation() as session:
            return session.policy(kind, below=below)

    # -- plan and roll back ----------------------------------------------------------------------------------------

    def plan(self, request: Request) -> Plan:
        """What would be done for a request of any kind (`rollback.model.request`). Reads only, takes no lease.

        What speaks against it is in `refusals`. Raises `UsageError` for what does not exist, `Refused` where there is
        nothing to go back to.
        """
        request = self._with_whole_ids(request)
        with self.operation() as session:
            plan, refusals = self.flow(session).planned(request.kind, request)
            return Plan(details=plan, refusals=refusals)

    def roll_back(
        self,
        what: Plan | Request,
        *,
        reason: str,
        yes: bool = False,
        hold: bool = False,
        wait_minutes: int = 0,
    ) -> Result:
        """Carries out a plan that was seen, or plans a request and carries that out.

        Under the lease it is planned again. A plan that is handed over is confirmed by that: exactly it is carried
        out. A request is carried out where nobody has to confirm, where `yes` does so beforehand (in dev) or `confirm`
        answers yes. Where the environment asks for another identity, and with `hold` in any case, the record waits:
        `status` is `AWAITING_APPROVAL` or `AWAITING_CONFIRMATION`, `waiting` says for whom; that is no error. With
        `wait_minutes` it continues when another person has approved it within that time.

        Raises `Refused` where a guard speaks against it, or where what would be done now has another digest
        (`DIGEST_MISMATCH`); `Reverted` where it failed and was undone; `VerificationFailed` where it is done and
        unhealthy; `RollbackError` where it failed half way or was interrupted: `resume` or `abort` goes on.
        """
        if isinstance(what, Request):
            request, digest, shown = self._with_whole_ids(what), "", None
        else:
            if what.environment != self.name:
                raise UsageError(
                    f"That plan is of {what.environment}, and this is {self.name}.", code=Code.OPTION_INVALID
                )
            what.check()
            request, digest, shown = what.details.request, what.digest, what.details
        result = self.carried_out(
            lambda flow: flow.start(
                request.kind, request, reason, yes=yes, digest=digest, shown=shown, hold=hold
            )
        )
        if not wait_minutes or result.record is None or result.status != Status.AWAITING_APPROVAL:
            return result
        return self.apply(result.record.rollback_id, wait_minutes=wait_minutes)

    def _with_whole_ids(self, request: Request) -> Request:
        """What a plan is made of names records by their whole ids: it is planned again later."""
        match request:
            case TableRequest(at=at) if at.startswith(BEFORE):
                return replace(request, at=BEFORE + self.identify(at.removeprefix(BEFORE)))
            case CutoverRequest(restore=restore):
                return replace(request, restore=self.identify(restore))
        return request

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
        rollback_id = self.identify(rollback_id)
        with self.operation() as session:
            opened = self.flow(session).approve(rollback_id, digest)
            self._reporter.planned(opened.plan(session.target(opened.record.kind).step))
            return opened.record

    def apply(self, rollback_id: str, digest: str = "", *, wait_minutes: int = 0) -> Result:
        """Carries out an approved plan, or one that is confirmed by its `digest` (12 digits or more), if it still holds.

        Where nobody has approved it, that is waited for `wait_minutes` at most. Raises as `roll_back` does;
        `AwaitingApproval` where the time has passed, or `stop` was set meanwhile.
        """
        rollback_id, until = self.identify(rollback_id), time.monotonic() + 60 * wait_minutes
        shown = ""
        while True:
            try:
                return self.carried_out(lambda flow: flow.apply(rollback_id, digest), first=True)
            except Refused as error:
                if error.code != Code.APPROVAL_MISSING or not wait_minutes:
                    raise
                left = until - time.monotonic()
                if left <= 0 or self.stop.is_set():
                    raise AwaitingApproval(
                        error.what,
                        next=f"{error.next}\nrollback apply {rollback_id} --env {self.name}  # then",
                    ) from None
                if error.next != shown:
                    shown = error.next
                    self._reporter.notice(shown)
                self._reporter.waiting(f"Waiting for the approval of {rollback_id}", left)
                self.stop.wait(min(left, _BETWEEN_LOOKS))

    def resume(self, rollback_id: str, *, confirm_dead: str = "") -> Result:
        """Finishes what was interrupted, from any machine. `confirm_dead` is the `HOST:PID`, or the lock's id, of the process that
        held an engine's lock and is dead. Raises as `roll_back` does.
        """
        name = self.identify(rollback_id)
        return self.carried_out(lambda flow: flow.resume(name), first=True, confirm_dead=confirm_dead)

    def abort(self, rollback_id: str, reason: str = "", *, confirm_dead: str = "") -> Result:
        """Gives up a plan, or undoes what an unfinished run has done. Raises as `roll_back` does."""
        name = self.identify(rollback_id)
        return self.carried_out(lambda flow: flow.abort(name, reason), first=True, confirm_dead=confirm_dead)

    def verify_again(self, rollback_id: str) -> Result:
        """Verifies a rollback whose verification failed. Raises `Refused` for any other, else as `roll_back` does."""
        name = self.identify(rollback_id)
        return self.carried_out(lambda flow: flow.verify(name), first=True)

    # -- what is deployed, and what happened -----------------------------------------------------------------------

    def status(self, *, exact: bool = False, early: Callable[[Overview], object] | None = None) -> Overview:
        """What is deployed, what is running, and what to type next.

        `exact` reads weights however many functions there are; otherwise they are read of up to 100. `early` is called
        once before with what is known without them, as Lambda's quota makes them wait: 42 functions take two seconds.
        """
        from rollback.actions import status  # noqa: PLC0415 - of this alone

        with self.operation(reading=True) as session:
            return status.overview(session, exact=exact, early=early)

    def watching(self, every: float = 2.0) -> Iterator[Watched]:
        """The environment again and again, `every` so many seconds, until `stop` is set.

        While anything runs only the ledger is read, else at most 20 functions a second of GetFunction's quota. What
        cannot be read at a look is `unread` in it. Raises what the first look raises, and `UsageError` where the
        credentials end.
        """
        from rollback.actions.live_status import LiveStatus  # noqa: PLC0415 - of this alone

        # What is to be noticed is part of each look.
        quiet = Operations(self._session, stop=self.stop, anew=self._anew)
        live, last = LiveStatus(), None
        while not self.stop.is_set():
            try:
                with quiet.operation(reading=True) as session:
                    last = live.look(session)
            except RollbackError as error:
                if last is None or isinstance(error, UsageError):
                    raise
                last = replace(last, unread=error.what)
            yield last
            self.stop.wait(every)

    def may_deploy(self, commit: str) -> str:
        """All digits of a commit that may be deployed. Raises `Refused` where it is quarantined, or somebody else has
        frozen the environment.
        """
        from rollback.actions import quarantine, record_release  # noqa: PLC0415 - of this alone

        with self.operation(reading=True) as session:
            freeze.respected(session)
            sha = record_release.checked_commit(session.root, commit)
            if covering := quarantine.covering(session, sha):
                lifting = "\n".join(quarantine.lifting(covering, session.environment))
                raise Refused(
                    f"Commit {sha[:12]} is quarantined in {session.environment}: {quarantine.why(covering)}.",
                    code=Code.QUARANTINED,
                    next=f"Deploy a commit that fixes it; or lift it:\n{lifting}",
                )
            return sha

    def verify(self) -> Verified:
        """Whether everything that is deployed is as recorded, and healthy: see `ok`."""
        from rollback.actions import verification  # noqa: PLC0415 - of this alone

        with self.operation(reading=True) as session:
            left = self.stop.left if isinstance(self.stop, Deadline) else None
            return verification.verified(session, self._reporter, within=lambda: left)

    def history(self, limit: int = 30, kind: str | None = None) -> History:
        """Releases, rollbacks, drills and what the engine deployed, the newest first.

        `kind` narrows it: `release`, `drill`, or a kind of rollback. What could not be read is in `broken` and `notices`.
        """
        from rollback.actions import history  # noqa: PLC0415 - of this alone

        with self.operation(reading=True) as session:
            return history.past(session, limit, kind)

    def moment(self, name: str) -> Moment | None:
        """The entry of the engine's own history that `name` (`up-20261128T101500`) names; None where it is none."""
        from rollback.actions import history  # noqa: PLC0415 - of this alone

        if not history.is_engines(name):
            return None
        with self.operation(reading=True) as session:
            return history.found(session, name)

    def show(self, rollback_id: str) -> RecordDetails:
        """One rollback: its plan, its journal, and what to type next. Raises `UsageError` where there is none."""
        from rollback.actions.record_details import details  # noqa: PLC0415 - of this alone

        rollback_id = self.identify(rollback_id)
        with self.operation(reading=True) as session:
            opened = session.ledger.load(rollback_id)
            seen = situation.of(session, opened)
            return details(opened, session.target(opened.record.kind), seen)

    def record(self, rollback_id: str) -> Record:
        """The record of one rollback alone. Raises `UsageError` where there is none."""
        rollback_id = self.identify(rollback_id)
        with self.operation() as session:
            return session.ledger.load(rollback_id).record

    def report(self, rollback_id: str = "", limit: int = 100) -> ReportData:
        """What happened, for people who were not there: of the environment's newest `limit` moments, or of one rollback.

        `rollback.views.report.page` makes an HTML page of it, `summary` Markdown of one record.
        """
        from rollback.actions import report_data  # noqa: PLC0415 - of this alone

        if rollback_id:
            rollback_id = self.identify(rollback_id)
        with self.operation() as session:
            if rollback_id:
                return report_data.single(session, rollback_id)
            return report_data.gather(session, limit)

    def diff(self, before: str = "previous", after: str = "deployed") -> Difference:
        """What changed between two releases: functions, versions, code, commits.

        Each side is a version of a recorded release, `previous` or `recorded` (of each service, by the ledger), or
        `deployed` (what the aliases are at now). Raises `UsageError` for a release that is not recorded, `Refused` where
        there is no previous one.
        """
        from rollback.actions import release_diff  # noqa: PLC0415 - of this alone

        with self.operation(reading=True) as session:
            return release_diff.difference(session, before, after)

    def audit(self) -> Audited:
        """Walks the whole ledger and its archive; `findings` are the places where the trail breaks, the first first."""
        from rollback.actions import audit  # noqa: PLC0415 - of this alone

        with self.operation() as session:
            return audit.audit(session.ledger, session.account.each, self._reporter)

    def can(self, commit: str = "HEAD", *, github: bool = False) -> Verdict:
        """Whether a change to `commit` could be rolled back; nothing is changed, and no lease is taken.

        With `github` it is not reversible unless GitHub says who has to approve.
        """
        from rollback.actions.reversibility import collect  # noqa: PLC0415 - of this alone

        with self.operation(reading=True) as session:
            return collect.gather(session, commit, insist=github, notice=self._reporter.notice)

    # -- guards ----------------------------------------------------------------------------------------------------

    def freeze(self, reason: str) -> Freeze:
        """Refuses deployments and rollbacks of everybody else, until `unfreeze`. Raises `Refused` if it is frozen."""
        with self.operation() as session:
            return freeze.freeze(session, reason)

    def unfreeze(self, reason: str) -> Freeze:
        """Ends a freeze, no matter who set it; the freeze that is ended. Raises `Refused` where there is none."""
        with self.operation() as session:
            return freeze.unfreeze(session, reason)
