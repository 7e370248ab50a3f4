"""One running rollback, independent of where its record is written.

A `Run` is the journal that targets write to (`targets.base.Journal`). Its `Store` is the ledger
(`ledger_store.LedgerStore`), or a file if the ledger is not available (`emergency.journal.FileStore`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rollback.engines import ci
from rollback.ledger.lease import LeaseLost
from rollback.lifecycle.context import Session
from rollback.lifecycle.ports import Ui
from rollback.model import floors
from rollback.model.commands import Commands
from rollback.model.deployed import UNKNOWN, Deployed
from rollback.model.events import AliasesMoved, Failed, FailedStep, Happened, has
from rollback.model.plan import Plan
from rollback.model.record import Check, Event, Record, Status
from rollback.model.release import another_stack
from rollback.model.request import stored
from rollback.targets.base import Failure, Target, Written
from rollback.util.errors import Code, Refused, RollbackError, StoppedAtOnce, UsageError

# Failures per event and characters per reason: an event must stay below DynamoDB's 400 KB.
_FAILURES, _REASON = 200, 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """The result of a verb: its record, if there is one, and the error that sets the exit code, if any.

    `again`: the remaining changes need a new plan.
    """

    record: Record | None
    plan: Plan[Any] | None
    events: tuple[Event, ...] = ()
    error: RollbackError | None = None
    anew: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """How a record ends. `deployed` maps the plan's subjects to their deployed versions.

    `counts` is of `Target.counts`, `relieved_seconds` as of `Record`. `quarantines` maps services to the release to quarantine; `lifts`: lift
    the quarantines of this record.
    """

    status: Status
    counts: Mapping[str, int]
    checks: Sequence[Check]
    deployed: Mapping[str, Deployed]
    quarantines: Mapping[str, str]
    lifts: bool
    relieved_seconds: float | None = None


class Store(Written, Protocol):
    """What a record is written to while it is in progress. Only one process at a time has it."""

    @property
    def record(self) -> Record:
        """The current record."""

    @property
    def commands(self) -> Commands:
        """The commands for this record."""

    def append(self, data: Happened, **changes: Any) -> None:
        """Writes an event (`data` as in `Journal.append`), and the record's fields that change with it
        (`status=…`). May be called from any thread.

        Raises `LeaseLost` where another process has taken over.
        """

    def published(self, deployed: Mapping[str, Deployed]) -> AbstractContextManager[list[Check]]:
        """Updates the SSM parameters that hold what is deployed; returns failed checks where that is not
        possible.
        """

    def close(self, end: End) -> None:
        """Ends the record."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A plan, the target that executes it, and the store of its record.

    `smoke` runs the configured smoke command and returns its check and output, or None. `stop` is set
    on Ctrl-C.
    """

    store: Store
    target: Target
    plan: Plan[Any]
    ui: Ui
    smoke: Callable[[], tuple[Check, str] | None]
    stop: threading.Event = field(default_factory=threading.Event)

    # -- targets.base.Journal --------------------------------------------------------------------------

    @property
    def rollback_id(self) -> str:
        return self.store.record.rollback_id

    @property
    def events(self) -> Sequence[Event]:
        return self.store.events

    @property
    def tag(self) -> str:
        return self.store.tag

    @property
    def taken_over(self) -> bool:
        return self.store.taken_over

    def append(self, data: Happened, **changes: Any) -> None:
        """Like `Store.append`."""
        self.store.append(data, **changes)

    def check(self) -> None:
        self.store.check()

    def stopping(self) -> bool:
        return self.stop.is_set()

    def progress(self, done: int) -> None:
        self.ui.progress(done)

    # -- the lifecycle's -------------------------------------------------------------------------------

    @property
    def record(self) -> Record:
        return self.store.record

    def has(self, kind: type[Happened]) -> bool:
        """Whether the journal has an event of this kind."""
        return has(self.events, kind)

    def counts(self) -> Mapping[str, int]:
        """The numbers of steps so far by the names in `COUNTS`."""
        return self.target.counts(self.plan, self.events)

    def relieved_seconds(self) -> float | None:
        """The seconds until the last alias was updated; None if none was."""
        moved = [event.at for event in self.events if event.kind == AliasesMoved.kind]
        return self.record.seconds_until(moved[-1]) if moved else None

    def failures(self, failures: Sequence[Failure]) -> None:
        """Journals failures: later steps and later processes decide by them."""
        steps = tuple(
            FailedStep(
                subject=item.subject,
                reason=item.reason[:_REASON],
                foreign=item.foreign,
                refused=item.refused,
            )
            for item in failures
        )
        for start in range(0, len(steps), _FAILURES):
            self.append(Failed(failures=steps[start : start + _FAILURES]))

    def deployed(self, done: Collection[str], *, undone: bool) -> dict[str, Deployed]:
        """Subject → its deployed version if it is in `done` (or undone); the others are unknown."""
        left = self.plan.left(undone=undone)
        return {subject: to if subject in done else UNKNOWN for subject, to in left.items()}

    def close(
        self, status: Status, checks: Sequence[Check], *, done: Collection[str] = (), undone: bool = False
    ) -> None:
        """Ends the record. `done`: the plan's subjects now at the target version, verified or not; with `undone`,
        those back at their initial version. Others: unknown.

        The replaced releases of `done` are quarantined; after an undo their quarantine is lifted.
        """
        quarantines = {s: version for s, version in self.plan.quarantines.items() if s in done}
        forgotten(
            self.target, self.plan, self.rollback_id, self.events, self.ui, ended=status is not Status.FAILED
        )
        self.store.close(
            End(
                status=status,
                counts=self.counts(),
                checks=checks,
                deployed=self.deployed(done, undone=undone),
                quarantines={} if undone else quarantines,
                lifts=undone,
                relieved_seconds=None if undone else self.relieved_seconds(),
            )
        )

    def finished(self, error: RollbackError | None = None, *, anew: bool = False) -> Finished:
        """The run's result."""
        return Finished(record=self.record, plan=self.plan, events=tuple(self.events), error=error, anew=anew)


def new_record(
    session: Session, target: Target, plan: Plan[Any], reason: str, *, rollback_id: str, began: str
) -> Record:
    """The record of a plan that has not started. `began` is ISO 8601 in UTC."""
    return Record(
        rollback_id=rollback_id,
        kind=plan.kind,
        environment=plan.environment,
        from_version=plan.from_version,
        to_version=plan.to_version,
        services=plan.services,
        without=plan.request.without,
        reason=reason,
        initiated_by=session.caller,
        initiated_at=began,
        status=Status.PLANNED,
        digest=plan.digest(),
        counts=target.counts(plan, ()),
        rto_seconds=target.minutes * 60,
        adopted_current=plan.request.adopt_current,
        domains=target.domains(plan.request),
        infrastructure=plan.infrastructure,
        run=ci.current().run,
        stack=another_stack(plan.subjects, stored(plan.request).project),
        below=floors.exception(plan.facts, allowed=plan.request.allow_below),
    )


def forgotten(
    target: Target, plan: Plan[Any], rollback_id: str, events: Sequence[Event], ui: Ui, *, ended: bool
) -> None:
    """Lets a target remove what it stored for a plan. A failure is only a notice."""
    try:
        target.forget(plan, rollback_id, events, ended=ended)
    except RollbackError as error:
        ui.notice(f"Temporary data of {rollback_id} could not be removed: {error.what}")


@contextmanager
def working(ui: Ui, what: str, steps: int = 0) -> Iterator[None]:
    """Shows progress of long work; `steps` is 0 if the length is unknown."""
    ui.start(what, steps)
    try:
        yield
    finally:
        ui.finish()


@contextmanager
def interruptible(
    in_flight: Callable[[], bool], do: Commands, owner: str, begun: Callable[[], object] = lambda: True
) -> Iterator[None]:
    """Adds to every error of a running record the commands that continue it.

    Once a run has `begun`, a `UsageError` or `Refused` becomes a `RollbackError`: something may have been changed.

    Raises `StoppedAtOnce` for a second Ctrl-C, `RollbackError` for an unexpected error. The error of a lost lease has
    its own commands.
    """
    then = f"{do.resume}  # to finish it\n{do.undo}  # to undo what can be undone"
    changed = (
        f"{do.place} has what was done so far, except perhaps the last changes: resume and abort detect them."
    )
    try:
        yield
    except KeyboardInterrupt:
        if not in_flight():
            raise
        raise StoppedAtOnce(
            f"Stopped at once, while {owner} was running.",
            changed="The last step may have been done or not; resume will detect it.",
            next=f"{do.resume}  # to finish it\n{do.undo}  # to undo it",
        ) from None
    except RollbackError as error:
        if not in_flight() or isinstance(error, LeaseLost):
            raise
        failed = error
        if begun() and isinstance(error, (UsageError, Refused)):
            own = "" if error.changed == error.changed_default else error.changed
            failed = RollbackError(error.what, code=error.code, changed=own, next=error.next)
        failed.changed = failed.changed or changed
        failed.next = f"{failed.next}\n{then}" if failed.next else then
        raise failed from error.__cause__
    except Exception as error:
        if isinstance(error, OSError) or not in_flight():
            raise
        raise RollbackError(
            f"Unexpected error: {type(error).__name__}: {str(error)[:200]}",
            code=Code.UNEXPECTED,
            changed=changed,
            next=then,
        ) from error
