"""One environment, as its caller sees it: what is deployed, what happened, and every operation.

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
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from rollback.api import kinds
from rollback.api.events import Event, Reporter
from rollback.api.failures import in_our_words
from rollback.api.operations import Operations
from rollback.api.progress import Progress, Stop
from rollback.api.results import Plan, Result
from rollback.config import settings as configured
from rollback.lifecycle import context, freeze
from rollback.model.record import Record, Status
from rollback.model.release import Freeze
from rollback.model.request import BEFORE, CutoverRequest, Request, TableRequest
from rollback.model.situation import Policy
from rollback.queries import situation
from rollback.rooms import function
from rollback.util.deadline import Deadline
from rollback.util.errors import (
    AwaitingApproval,
    Code,
    Refused,
    RollbackError,
    UsageError,
)

if TYPE_CHECKING:
    from rollback.api.standby import Standby
    from rollback.emergency.api import Emergency
    from rollback.emergency.upkeep import LedgerUpkeep
    from rollback.guard.api import Guard
    from rollback.model.drill import Drill
    from rollback.queries.audit import Audited
    from rollback.queries.history import History, Moment
    from rollback.queries.live_status import Watched
    from rollback.queries.record_details import RecordDetails
    from rollback.queries.report_data import ReportData
    from rollback.queries.status import Overview
    from rollback.queries.verification import Verified
    from rollback.readiness.api import Can
    from rollback.rehearsal.acceptance.api import Acceptance
    from rollback.rehearsal.api import Drills
    from rollback.releases.api import Diff, Releases
    from rollback.setup.adoption.api import Adoption
    from rollback.setup.catalogue.api import Catalogue

T = TypeVar("T")
# Seconds between two reads while waiting for an approval.
_BETWEEN_LOOKS = 5.0


class Of(Generic[T]):
    """The part of an environment that a room adds: made of the environment when it is asked for, and imported then."""

    def __init__(self, where: str) -> None:
        """`where` is `module:class`, below `rollback`."""
        self._where = where

    def __get__(self, environment: Environment, owner: type[Environment] | None = None) -> T:
        made: T = function(self._where)(environment)
        return made


class Environment(Operations):
    """One environment, as its caller sees it. `open` returns one; it is also a context manager.

    It prints nothing, handles no signal and keeps nothing between two operations except the caller's credentials
    and the settings as read: any number of environments can be open at once, in any threads, and an
    operation can run any number of times in one process. The programs that it runs (Pulumi, Terraform, git, the smoke
    command) get this process's environment variables.

    Every operation raises `RollbackError` or one of its kinds, with the same `code`, `changed` and `next` that the
    command shows: `UsageError` for wrong input, `Refused` by a guard, `Reverted`, `VerificationFailed`. The
    `result` attribute of an error of a rollback that had begun is its `Result`.
    """

    # -- the rooms, a line each -----------------------------------------------------------------------------------

    releases: Of[Releases] = Of("releases.api:Releases")
    """The recorded releases."""
    ledger: Of[LedgerUpkeep] = Of("emergency.upkeep:LedgerUpkeep")
    """The ledger after an emergency, or after a restore."""
    adoption: Of[Adoption] = Of("setup.adoption.api:Adoption")
    """Declared resources that the account already has. Raises `UsageError` without Pulumi's SDK."""
    acceptance: Of[Acceptance] = Of("rehearsal.acceptance.api:Acceptance")
    """Checks in the account of the behaviour of AWS that this tool relies on."""
    catalogue: Of[Catalogue] = Of("setup.catalogue.api:Catalogue")
    """The functions that the settings list, compared with those that the account has."""
    guard: Of[Guard] = Of("guard.api:Guard")
    """The function that takes the standby for an alarm, and its alarms."""
    drills: Of[Drills] = Of("rehearsal.api:Drills")
    """Rehearsed rollbacks."""
    emergency: Of[Emergency] = Of("emergency.api:Emergency")
    """Aliases rolled back without the ledger, under the break-glass role."""
    diff: Of[Diff] = Of("releases.api:Diff")
    """What changed between two releases: functions, versions, code, commits."""
    can: Of[Can] = Of("readiness.api:Can")
    """Whether a change to `commit` could be rolled back. Changes nothing, and takes no lease."""

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
        """Opens an environment: reads its settings and identifies the caller.

        `name` is the environment's (`dev`); by default the one of the credentials' account. `folder` is
        in the checkout of the platform's repository with the settings; by default the current folder. Credentials
        are those that boto3 finds (https://docs.aws.amazon.com/boto3/latest/guide/credentials.html).

        `on_event` is called with everything that happens (`rollback.api.events`). `confirm` is called when a person has
        to confirm a plan that was not passed in: it returns True, False, or None if nobody can answer, as without it.
        When `stop` is set, operations end gracefully: they finish the steps that are running and begin no more.

        Raises `UsageError` if there is no checkout, no such environment, no credentials or no answer from AWS, and
        `Refused` if the credentials are of another account.
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
            # Sends pending messages also if nobody closes the environment, and at the end of the process.
            environment._close = weakref.finalize(environment, session.notifier.close)
        return environment

    @staticmethod
    def names(folder: str | Path | None = None) -> tuple[str, ...]:
        """The environments that a checkout configures, sorted. Raises `UsageError` as `open` does."""
        return tuple(configured.environments(configured.find_root(Path(folder or Path.cwd()).resolve())))

    def close(self) -> None:
        """Waits a few seconds for pending messages to the team's Slack."""
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
        """Aliases, the stack and the Terraform configuration, back to the state of a release."""
        return kinds.Full(self)

    @property
    def prune(self) -> kinds.Prune:
        """Published versions that are no longer needed."""
        return kinds.Prune(self)

    @property
    def standby(self) -> Standby:
        """The rollback that is planned and approved in advance."""
        from rollback.api.standby import Standby  # noqa: PLC0415 - of this alone

        return Standby(self)

    def table(self, name: str) -> kinds.Table:
        """A DynamoDB table to restore. `plan` checks that it exists."""
        return kinds.Table(self, name)

    def required_approval(self, kind: str, *, below: bool = False) -> Policy:
        """What a kind of rollback needs: `none`, `confirm` by the same person, or approval by another `identity`.

        `below` is for a rollback below a release that sets a floor (`--not-below`): an exception.
        Raises `Refused` if the checkout's settings differ from those of the protected branch.
        """
        with self.operation() as session:
            return session.policy(kind, below=below)

    # -- plan and roll back ----------------------------------------------------------------------------------------

    def plan(self, request: Request) -> Plan:
        """What would be done for a request of any kind (`rollback.model.request`). Only reads; takes no lease.

        Reasons against it are in `refusals`. Raises `UsageError` for what does not exist, `Refused` if there is
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
        """Applies a plan, or plans a request and applies that.

        It plans again under the lease. Passing a plan confirms it: exactly that plan is applied. A request is applied
        if nobody has to confirm it, or with `yes` (in dev), or if `confirm` returns True. If the environment requires
        another identity, and always with `hold`, the record waits: `status` is `AWAITING_APPROVAL` or
        `AWAITING_CONFIRMATION`, `waiting` says for whom; that is not an error. With `wait_minutes` it continues when
        another person has approved it within that time.

        Raises `Refused` if a guard refuses it, or if the plan made under the lease has another digest
        (`DIGEST_MISMATCH`); `Reverted` if it failed and was undone; `VerificationFailed` if it was applied and is
        unhealthy; `RollbackError` if it failed half way or was interrupted: continue with `resume` or `abort`.
        """
        if isinstance(what, Request):
            request, digest, shown = self._with_whole_ids(what), "", None
        else:
            if what.environment != self.name:
                raise UsageError(
                    f"The plan is for {what.environment}, but this environment is {self.name}.",
                    code=Code.OPTION_INVALID,
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
        """The request with whole ids of records, since it is planned again later."""
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

        `work` gets this environment; its events go to the iterator. Closing the iterator early asks the work to stop.
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
        """Approves exactly one plan, as another person under the approver role. Returns the approved record.

        `digest` is the plan's, 12 digits of it or more. Raises `Refused` if the caller may not approve the plan, or if
        the digest is another plan's.
        """
        rollback_id = self.identify(rollback_id)
        with self.operation() as session:
            opened = self.flow(session).approve(rollback_id, digest)
            self._reporter.planned(opened.plan(session.target(opened.record.kind).step))
            return opened.record

    def apply(self, rollback_id: str, digest: str = "", *, wait_minutes: int = 0) -> Result:
        """Applies an approved plan, or one confirmed by its `digest` (12 digits or more), if the plan is unchanged.

        If nobody has approved it, it waits for the approval, `wait_minutes` at most. Raises as `roll_back` does;
        `AwaitingApproval` if nobody approved in that time, or if `stop` was set.
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
                        next=f"{error.next}\nrollback apply {rollback_id} --env {self.name}  # afterwards",
                    ) from None
                if error.next != shown:
                    shown = error.next
                    self._reporter.notice(shown)
                self._reporter.waiting(f"Waiting for the approval of {rollback_id}", left)
                self.stop.wait(min(left, _BETWEEN_LOOKS))

    def resume(self, rollback_id: str, *, confirm_dead: str = "") -> Result:
        """Resumes what was interrupted, from any machine. `confirm_dead` is the `HOST:PID`, or the lock's id, of the
        process that held an engine's lock and no longer runs. Raises as `roll_back` does.
        """
        name = self.identify(rollback_id)
        return self.carried_out(lambda flow: flow.resume(name), first=True, confirm_dead=confirm_dead)

    def abort(self, rollback_id: str, reason: str = "", *, confirm_dead: str = "") -> Result:
        """Cancels a plan that waits, or undoes what an unfinished run has done. Raises as `roll_back` does."""
        name = self.identify(rollback_id)
        return self.carried_out(lambda flow: flow.abort(name, reason), first=True, confirm_dead=confirm_dead)

    def verify_again(self, rollback_id: str) -> Result:
        """Repeats the verification of a rollback whose verification failed. Raises `Refused` for any other, else as
        `roll_back` does.
        """
        name = self.identify(rollback_id)
        return self.carried_out(lambda flow: flow.verify(name), first=True)

    # -- what is deployed, and what happened -----------------------------------------------------------------------

    def status(self, *, exact: bool = False, early: Callable[[Overview], object] | None = None) -> Overview:
        """What is deployed, what is running, and what to type next.

        `exact` reads all aliases' weights; otherwise those of 100 functions at most. `early` is called
        once before that, without weights, since Lambda's quota makes them slow: 42 functions take two seconds.
        """
        from rollback.queries import status  # noqa: PLC0415 - of this alone

        with self.operation(reading=True) as session:
            return status.overview(session, exact=exact, early=early)

    def watching(self, every: float = 2.0) -> Iterator[Watched]:
        """Reads the environment again every `every` seconds, until `stop` is set.

        While an operation runs it reads only the ledger, else at most 20 functions a second because of GetFunction's
        quota. What one read could not get is in its `unread`. Raises what the first read raises, and `UsageError` when
        the credentials expire.
        """
        from rollback.queries.live_status import LiveStatus  # noqa: PLC0415 - of this alone

        # Notices are part of each result.
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
        """All digits of a commit that may be deployed. Raises `Refused` if it is quarantined, or if somebody else has
        frozen the environment.
        """
        from rollback.lifecycle import quarantine, record_names  # noqa: PLC0415 - of this alone

        with self.operation(reading=True) as session:
            freeze.respected(session)
            sha = record_names.checked_commit(session.root, commit)
            if covering := quarantine.covering(session, sha):
                lifting = "\n".join(quarantine.lifting(covering, session.environment))
                raise Refused(
                    f"Commit {sha[:12]} is quarantined in {session.environment}: {quarantine.why(covering)}.",
                    code=Code.QUARANTINED,
                    next=f"# Deploy a commit that fixes it, or lift the quarantine:\n{lifting}",
                )
            return sha

    def verify(self) -> Verified:
        """Checks that everything deployed is as recorded and healthy: see `ok`."""
        from rollback.queries import verification  # noqa: PLC0415 - of this alone

        with self.operation(reading=True) as session:
            left = self.stop.left if isinstance(self.stop, Deadline) else None
            return verification.verified(session, self._reporter, within=lambda: left)

    def history(self, limit: int = 30, kind: str | None = None) -> History:
        """Releases, rollbacks, drills and deployments by the engine, newest first.

        `kind` is a filter: `release`, `drill`, or a kind of rollback. What could not be read is in `broken` and
        `notices`.
        """
        from rollback.queries import history  # noqa: PLC0415 - of this alone

        with self.operation(reading=True) as session:
            return history.past(session, limit, kind)

    def moment(self, name: str) -> Moment | None:
        """The entry of the engine's own history with the id `name` (`up-20261128T101500`); None if there is none."""
        from rollback.queries import history  # noqa: PLC0415 - of this alone

        if not history.is_engines(name):
            return None
        with self.operation(reading=True) as session:
            return history.found(session, name)

    def drill(self, drill_id: str) -> Drill | None:
        """One drill, by its id (`history` lists them); None if there is none."""
        from rollback.lifecycle import drill_store  # noqa: PLC0415 - of this alone

        with self.operation(reading=True) as session:
            return drill_store.found(session, drill_id)

    def show(self, rollback_id: str) -> RecordDetails:
        """One rollback: its plan, its journal, and what to type next. Raises `UsageError` if there is none."""
        from rollback.queries.record_details import details  # noqa: PLC0415 - of this alone

        rollback_id = self.identify(rollback_id)
        with self.operation(reading=True) as session:
            opened = session.ledger.load(rollback_id)
            seen = situation.of(session, opened)
            return details(opened, session.target(opened.record.kind), seen)

    def record(self, rollback_id: str) -> Record:
        """The record of one rollback alone. Raises `UsageError` if there is none."""
        rollback_id = self.identify(rollback_id)
        with self.operation() as session:
            return session.ledger.load(rollback_id).record

    def report(self, rollback_id: str = "", limit: int = 100) -> ReportData:
        """A report for people who were not there: of the environment's newest `limit` events, or of one rollback.

        `rollback.reports.page` makes an HTML page from it, `summary` Markdown of one record.
        """
        from rollback.queries import report_data  # noqa: PLC0415 - of this alone

        if rollback_id:
            rollback_id = self.identify(rollback_id)
        with self.operation() as session:
            if rollback_id:
                return report_data.single(session, rollback_id)
            return report_data.gather(session, limit)

    def audit(self) -> Audited:
        """Walks the whole ledger and its archive; `findings` are the places where they disagree, the oldest first."""
        from rollback.queries import audit  # noqa: PLC0415 - of this alone

        with self.operation() as session:
            return audit.audit(session.ledger, session.account.each, self._reporter)

    # -- guards ----------------------------------------------------------------------------------------------------

    def freeze(self, reason: str) -> Freeze:
        """Refuses deployments and rollbacks by everybody else, until `unfreeze`. Raises `Refused` if it is frozen
        already.
        """
        with self.operation() as session:
            return freeze.freeze(session, reason)

    def unfreeze(self, reason: str) -> Freeze:
        """Ends a freeze, no matter who set it, and returns it. Raises `Refused` if there is none."""
        with self.operation() as session:
            return freeze.unfreeze(session, reason)
