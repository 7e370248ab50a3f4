"""`rollback lambda --emergency`: rolls aliases back without the ledger, with a journal on this machine.

It uses the same target, steps, conditional writes and fencing tags as a normal rollback
(`actions.lifecycle`). What the ledger would add is missing, and the plan says so: no lease, no approval, no
knowledge of other rollbacks. The journal has what was done: anybody who has the file can resume or undo
it, and it is imported into the ledger afterwards (`importer`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rollback.config.naming import BREAK_GLASS
from rollback.emergency import planner
from rollback.emergency.journal import FileStore, read
from rollback.ledger.audit_bucket import Archive
from rollback.lifecycle.context import Session
from rollback.lifecycle.lifecycle import execute, undo
from rollback.lifecycle.ports import Ui
from rollback.lifecycle.run import (
    Finished,
    Run,
    interruptible,
    new_record,
    working,
)
from rollback.lifecycle.smoke_test import smoke
from rollback.model.alias_moves import Move
from rollback.model.command_line import after, ways_past
from rollback.model.events import Resumed, Reverting
from rollback.model.kind import Kind
from rollback.model.messages import checked_reason, refuse
from rollback.model.plan import Plan
from rollback.model.record import UNFINISHED, Status
from rollback.model.request import AliasesRequest
from rollback.util.errors import Code, Refused, RollbackError


@dataclass(frozen=True, kw_only=True)
class Emergency:
    """Emergencies of one environment. `place` is the folder of the journals."""

    session: Session
    ui: Ui
    archive: Archive
    place: Path
    stop: threading.Event = field(default_factory=threading.Event)

    def plan(self, request: AliasesRequest, *, although_quarantined: bool = False) -> Plan[Move]:
        """The plan. Raises `Refused` where a guard refuses it."""
        with working(self.ui, "Reading the archive and the aliases"):
            try:
                plan = planner.make(
                    self.session.account, self.archive, request, although_quarantined=although_quarantined
                )
            except RollbackError as error:
                error.next = after(error, request, self.session.environment, emergency=True)
                raise
        self.ui.planned(plan)
        refuse(plan.refusals, ways_past(plan.refusals, request, plan.environment, emergency=True))
        return plan

    def start(self, plan: Plan[Move], reason: str) -> Finished:
        """Executes `plan`, with a journal on this machine."""
        reason, target = checked_reason(reason), self.session.target(Kind.ALIASES)
        if not plan.changing:
            return Finished(record=None, plan=plan)
        clocks = self.session.clocks
        record = new_record(
            self.session, target, plan, reason, rollback_id=clocks.identifier(), began=clocks.now()
        )
        record = replace(record, status=Status.IN_PROGRESS, emergency=True)
        store = FileStore.create(
            self.place, record, plan, by=self.session.caller, holder=clocks.identifier(), now=clocks.now
        )
        with self._running(store) as run:
            self.ui.notice(f"Journal: {store.path}")
            return execute(run)

    def resume(self, path: Path) -> Finished:
        """Resumes an interrupted emergency from the journal in `path`. Raises `Refused` where it
        has ended.
        """
        with self._again(path) as run:
            if run.record.status in (Status.COMPLETE, Status.REVERTED):
                raise Refused(
                    f"{run.rollback_id} is {run.record.status}: there is nothing to resume.",
                    code=Code.WRONG_STATUS,
                    next=self._import(path),
                )
            if run.has(Reverting):
                return undo(run, "")
            run.append(Resumed())
            return execute(run)

    def undo(self, path: Path, reason: str) -> Finished:
        """Undoes the changes in the journal in `path`: versions and weights. Raises `Refused` where that
        is already done.
        """
        reason = checked_reason(reason)
        with self._again(path) as run:
            if run.record.status is Status.REVERTED:
                raise Refused(
                    f"{run.rollback_id} is already undone.", code=Code.WRONG_STATUS, next=self._import(path)
                )
            run.append(Reverting(reason=reason))
            return undo(run, "")

    # -- helpers ---------------------------------------------------------------------------------------

    @contextmanager
    def _again(self, path: Path) -> Iterator[Run]:
        file = read(path)
        file.check_environment(self.session.settings)
        clocks = self.session.clocks
        store = FileStore.go_on(file, by=self.session.caller, holder=clocks.identifier(), now=clocks.now)
        with self._running(store) as run:
            self.ui.planned(run.plan)
            yield run

    @contextmanager
    def _running(self, store: FileStore) -> Iterator[Run]:
        run = Run(
            store=store,
            target=self.session.target(Kind.ALIASES),
            plan=store.plan,
            ui=self.ui,
            smoke=partial(smoke, self.session.settings, self.session.root, ui=self.ui),
            stop=self.stop,
        )
        try:
            with interruptible(lambda: store.record.status in UNFINISHED, store.commands, run.rollback_id):
                yield run
        finally:
            store.release()

    def _import(self, path: Path) -> str:
        return f"rollback ledger import {path} --env {self.session.environment}  # once the ledger is available again"


def under_its_role(session: Session) -> None:
    """Raises `Refused` under any role but the break-glass role.

    Other roles that may update aliases need an approval, which IAM cannot check.
    """
    role = session.settings.called(BREAK_GLASS)
    if not session.settings.acts_as(session.caller.role, BREAK_GLASS):
        raise Refused(
            f"An emergency needs the role {role}; you are {session.caller}.",
            code=Code.WRONG_ROLE,
            next=f"rollback login --env {session.environment} --role {BREAK_GLASS}  # for people in people.breakGlass\n"
            "# then run the same command with the profile that login prints (docs/reference/permissions.md)",
        )
