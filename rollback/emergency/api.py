"""Rolls aliases back without the ledger, under the break-glass role, with a journal on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rollback.api.events import Alarm
from rollback.api.results import Plan, Result
from rollback.emergency import journal, run
from rollback.ledger import health
from rollback.ledger.audit_bucket import Archive
from rollback.lifecycle.context import Session
from rollback.lifecycle.run import Finished
from rollback.model import messages
from rollback.model.record import Record
from rollback.model.release import PREVIOUS
from rollback.model.request import AliasesRequest
from rollback.model.situation import RecordSeen
from rollback.util.errors import Code, Refused

if TYPE_CHECKING:
    from rollback.api.environment import Environment


class Emergency:
    """What `Environment.emergency` returns. There is no lease and no approval."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._needed = False
        with environment.operation() as session:
            run.under_its_role(session)
            _archive(session)
        environment.reporter.emit(
            Alarm(
                text=f"EMERGENCY in {environment.name} ({environment.settings.account}), by {environment.caller}. No "
                f"ledger, no lease, no approval: every step is written to a journal in {journal.folder()} on this machine."
            )
        )

    def check_needed(self, *, although_the_ledger_answers: bool = False) -> None:
        """Raises `Refused` (`NO_EMERGENCY`) if the ledger answers, unless `although_the_ledger_answers`."""
        with self._environment.operation() as session:
            answer = health.ask(session.ledger.timeline)
            if answer.usable and not although_the_ledger_answers:
                raise Refused(
                    "The ledger is reachable: use the normal command.",
                    code=Code.NO_EMERGENCY,
                    next=f'rollback lambda --env {session.environment} --reason "…"  # under '
                    f"{session.settings.called('rollback')}; where that cannot be: --although-the-ledger-answers, on a "
                    "terminal",
                )
            self._environment.reporter.notice(
                answer.why or "The ledger answers, but this command does not use it."
            )
        self._needed = True

    def plan(
        self,
        to: str = PREVIOUS,
        *,
        services: Sequence[str] = (),
        without: Sequence[str] = (),
        although_quarantined: bool = False,
        allow_below: bool = False,
    ) -> Plan:
        """What would be done, from the archive and the aliases; `allow_below` as in `Functions`, without an approval.
        Raises `Refused` if a guard refuses it.
        """
        request = self._environment.functions.request(
            to, services=services, without=without, allow_below=allow_below
        )
        return self.planned(request, although_quarantined=although_quarantined)

    def planned(self, request: AliasesRequest, *, although_quarantined: bool = False) -> Plan:
        """The same as `plan`, for a request."""
        with self._environment.operation() as session:
            plan = self._acting(session).plan(request, although_quarantined=although_quarantined)
            return Plan(details=plan)

    def roll_back(self, plan: Plan, *, reason: str, although_the_ledger_answers: bool = False) -> Result:
        """Applies `plan`; `Result.journal` is the file for `Environment.ledger.import_journal`.

        To override a guard (`although_…`), the command makes a person type the environment's name on a terminal.
        Raises as `check_needed` and `Environment.roll_back` do.
        """
        messages.checked_reason(reason)
        if not self._needed:
            self.check_needed(although_the_ledger_answers=although_the_ledger_answers)
        return self._ended(lambda acting: acting.start(plan.details, reason))

    def resume(self, file: Path) -> Result:
        """Resumes an interrupted emergency from its journal. Raises `Refused` if it has ended."""
        return self._ended(lambda acting: acting.resume(file))

    def undo(self, file: Path, *, reason: str) -> Result:
        """Moves the aliases of a journal back to where they were. Raises `Refused` if that is already done."""
        return self._ended(lambda acting: acting.undo(file, reason))

    def _acting(self, session: Session) -> run.Emergency:
        env = self._environment
        return run.Emergency(
            session=session,
            ui=env.reporter,
            archive=_archive(session),
            place=journal.folder(),
            stop=env.stop,
        )

    def _ended(self, work: Callable[[run.Emergency], Finished]) -> Result:
        with self._environment.operation() as session:
            acting = self._acting(session)
            finished = work(acting)
            record: Record | None = finished.record
            if record is None:
                return self._environment.ended(session, finished)
            place = journal.place_of(acting.place, record, session.settings.account)
            seen = RecordSeen(record=record)
            ended = self._environment.ended(session, finished, seen=seen, journal=place)
            command = f"rollback ledger import {place} --env {session.environment}  # when the ledger is available again"
            return replace(ended, next=(command,))


def _archive(session: Session) -> Archive:
    archive = session.ledger.archive
    if archive is None:
        raise Refused(
            "This environment has no archive; an emergency rollback needs it.", code=Code.ARCHIVE_UNAVAILABLE
        )
    return archive
