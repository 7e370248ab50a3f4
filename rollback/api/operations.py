"""The parts of every operation of the Python API: its session, its events, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from rollback.api.events import Alarm, Event, LedgerNotice, Reporter
from rollback.api.failures import in_our_words
from rollback.api.results import Plan, Result
from rollback.aws.account import Account, login_named
from rollback.config.settings import Settings
from rollback.ledger.store import GONE, Unanswered
from rollback.lifecycle import context, record_names
from rollback.lifecycle.context import Session
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.run import Finished, working
from rollback.model.advice import for_record
from rollback.model.events import happened
from rollback.model.identity import Actor
from rollback.model.record import Status
from rollback.model.situation import RecordSeen
from rollback.model.taking import login
from rollback.queries import situation
from rollback.rooms import hooked
from rollback.targets.table.events import StepDone
from rollback.util.errors import (
    AwaitingApproval,
    Code,
    RollbackError,
    StoppedAtOnce,
)


class Operations:
    """One caller in one environment. `Environment` is what scripts see of it."""

    def __init__(
        self,
        session: Session,
        *,
        on_event: Callable[[Event], object] | None = None,
        confirm: Callable[[str], bool | None] | None = None,
        stop: threading.Event | None = None,
        anew: Callable[..., Session] | None = None,
    ) -> None:
        """Created by `open`. `again` creates the session of each operation (`context.session_of`, options apart)."""
        self._session = session
        self._anew = anew or partial(context.session_of, session.root, notifier=session.notifier)
        self._reporter = Reporter(on_event=on_event or (lambda _: None), ask=confirm or (lambda _: None))
        self._flow: Lifecycle | None = None
        # The ids of records and the versions of releases that operations have read from the ledger, in order.
        self.met_ids: dict[str, None] = {}
        self.met_releases: dict[str, None] = {}
        self.stop = stop or threading.Event()

    @property
    def name(self) -> str:
        return self._session.environment

    @property
    def settings(self) -> Settings:
        """The environment's settings, as the checkout had them when it was opened."""
        return self._session.settings

    @property
    def root(self) -> Path:
        """The checkout with the settings."""
        return self._session.root

    @property
    def caller(self) -> Actor:
        """The role and the person of the credentials."""
        return self._session.caller

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
        """The session of one operation. Any exception in it is raised as one of our errors.

        With a ledger that has lost entries, whatever decides by its timeline is refused. `first` checks that before
        all; `reading`: an operation that only shows something goes on, with a notice. `acting` gives the account under
        another role than the caller's.
        """
        session: Session | None = None
        try:
            with login_named(login(self.name, self.caller.role)):
                account = self._session.account if acting is None else acting(self._session.account)
                made = self._anew(account=account, confirm_dead=confirm_dead)
                session = replace(made, working=partial(working, self._reporter))
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
                self.met_ids |= session.ledger.met_ids
                self.met_releases |= session.ledger.met_releases
                for alarm in session.alarms:
                    self._reporter.emit(LedgerNotice(text=alarm, alarm=True))
                for notice in session.notices:
                    self._reporter.notice(notice)
                for notice in session.ledger.notices:
                    self._reporter.emit(LedgerNotice(text=notice))

    def identify(self, name: str) -> str:
        """The id of the record that `name` means: a whole id as it is, without a read; the beginning of one, six
        characters or more; or `last`, the newest record. Every operation that takes an id takes these.

        Raises `UsageError` if there is none (`UNKNOWN_ROLLBACK`), or if several begin with it (`AMBIGUOUS_ID`); under
        the approver role, which may not search, for anything but a whole id (`WRONG_ROLE`).
        """
        if record_names.is_whole(name):
            return name
        with self.operation() as session:
            found = record_names.identified(session, name)
        if found != name.upper():
            self._reporter.notice(f"{name} is {found}.")
        return found

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
        minutes = self._session.settings.rto.code
        throttles.at_the_next(
            lambda: self._reporter.notice(
                "Lambda throttles calls: something else uses the same quota. "
                f"They are retried, for at most {minutes} minutes each."
            )
        )
        with self.operation(first=first, confirm_dead=confirm_dead) as session:
            finished = work(self.flow(session))
            if throttled := throttles.count - before:
                self._reporter.notice(f"Lambda throttled {throttled} calls, so this took longer.")
            return self.ended(session, finished)

    def ended(
        self,
        session: Session,
        finished: Finished,
        seen: RecordSeen | None = None,
        journal: Path | None = None,
    ) -> Result:
        """The result of a run. Raises its error, with the result in it, unless it only waits."""
        plan, record, error = finished.plan, finished.record, finished.error
        planned = None if plan is None else Plan(details=plan)
        if record is None:
            return Result(plan=planned)
        outcomes = () if plan is None else session.target(record.kind).outcomes(plan, finished.events)
        steps = happened(reversed(finished.events), StepDone)
        seen = seen or session.seen(record)
        then = next((done.next for done in steps if done.next), "") if error is None else error.next
        if error is None and record.status is Status.STANDBY:
            then = for_record(replace(seen, required="none")).next
        result = Result(
            plan=planned,
            seen=seen,
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
        """The error after a second request to stop: it names the record in progress, if any."""
        if self._flow is None:
            return StoppedAtOnce("Stopped at once.", code=Code.ENDED)
        return self._flow.stopped_at_once()

    def _without_ledger(self, session: Session, error: Unanswered) -> None:
        """Names emergencies with journals on this machine, and adds to the error what to type next: what continues a
        running record is in it already.
        """
        for find in hooked("journals"):
            for one in find(session.environment, session.settings.account):
                self._reporter.emit(Alarm(text=one.reminder))
        advice = situation.without(session, error)
        error.what = f"{error.what.rstrip('.')}. {advice.what}"
        # A table that is gone must be restored before a record can be continued.
        lines = (advice.next, error.next) if error.how == GONE else (error.next, advice.next)
        error.next = "\n".join(filter(None, lines))
