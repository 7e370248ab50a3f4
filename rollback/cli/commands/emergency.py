"""`rollback lambda --emergency`: rolls aliases back without the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rollback.actions import context
from rollback.actions import run as runs
from rollback.actions.emergency import journal, run
from rollback.core.errors import Code, Refused, UsageError
from rollback.ledger import health
from rollback.model import messages
from rollback.model.plan import plain_plan
from rollback.model.request import AliasesRequest
from rollback.model.situation import RecordSeen
from rollback.views import records, rich_layout, terminal

Emergent = Annotated[
    bool,
    typer.Option("--emergency", help="Without ledger, lease and approval, under the break-glass role."),
]
Resume = Annotated[
    Path | None, typer.Option("--resume", metavar="FILE", help="Emergency: go on with this journal.")
]
Undo = Annotated[
    Path | None, typer.Option("--undo", metavar="FILE", help="Emergency: put back what this journal moved.")
]
AlthoughAnswers = Annotated[
    bool,
    typer.Option("--although-the-ledger-answers", help="Emergency all the same; asks for a second word."),
]
AlthoughQuarantined = Annotated[
    bool,
    typer.Option("--although-quarantined", help="Emergency to a barred release; asks for a second word."),
]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was typed beside the request. `although` says why a second word is asked for."""

    reason: str
    resume: Path | None
    undo: Path | None
    although_answers: bool
    although_quarantined: bool
    dry_run: bool


def only_in_an_emergency(options: Options) -> None:
    """Raises `UsageError` where an option of emergencies is given without one."""
    given = {
        "--resume": options.resume,
        "--undo": options.undo,
        "--although-the-ledger-answers": options.although_answers,
        "--although-quarantined": options.although_quarantined,
    }
    if arguments := [option for option, value in given.items() if value]:
        raise UsageError(f"{', '.join(arguments)} is for --emergency only.", code=Code.OPTION_INVALID)


def emergency(
    session: context.Session, ui: terminal.Terminal, stop: object, request: AliasesRequest, options: Options
) -> None:
    """The verb, once its session has begun."""
    run.under_its_role(session)
    archive = session.ledger.archive
    if archive is None:
        raise Refused("This environment has no archive to go back by.", code=Code.ARCHIVE_UNAVAILABLE)
    acting = run.Emergency(session=session, ui=ui, archive=archive, place=journal.folder(), stop=stop)  # type: ignore[arg-type] # an Event
    ui.alarm(
        f"EMERGENCY in {session.environment} ({session.settings.account}), by {session.caller}. No ledger, no lease, "
        f"no approval: what is done is journalled in {acting.place} on this machine."
    )
    if options.resume is not None:
        _ended(session, ui, acting, acting.resume(options.resume))
    elif options.undo is not None:
        _ended(session, ui, acting, acting.undo(options.undo, options.reason))
    else:
        _begun(session, ui, acting, request, options)


def _begun(
    session: context.Session,
    ui: terminal.Terminal,
    acting: run.Emergency,
    request: AliasesRequest,
    options: Options,
) -> None:
    if not options.dry_run:
        messages.checked_reason(options.reason)
        answer = health.ask(session.ledger.timeline)
        if answer.usable and not options.although_answers:
            raise Refused(
                "The ledger answers: this is no emergency.",
                code=Code.NO_EMERGENCY,
                next=f"rollback lambda --env {session.environment} --reason …, under "
                f"{session.settings.names.role('rollback')}. Where that cannot be: --although-the-ledger-answers, on a "
                "terminal.",
            )
        ui.notice(answer.why or "The ledger answers, and is left aside.")
    plan = acting.plan(request, although_quarantined=options.although_quarantined)
    if options.dry_run:
        if ui.json_output:
            ui.show("", {"digest": plan.digest(), **plain_plan(plan)})
        return
    if options.although_answers or options.although_quarantined:
        _second_confirmation(session, ui)
    _ended(session, ui, acting, acting.start(plan, options.reason))


def _second_confirmation(session: context.Session, ui: terminal.Terminal) -> None:
    """Raises `Refused` where nobody types the environment's name."""
    typed = ui.typed(f"This goes past a guard. Type {session.environment} to go on: ")
    if typed is None:
        raise Refused(
            "Going past a guard takes a second word on a terminal, and there is none.",
            code=Code.CONFIRMATION_MISSING,
        )
    if typed != session.environment:
        raise Refused(f"That is not {session.environment}.", code=Code.CONFIRMATION_MISSING)


def _ended(
    session: context.Session, ui: terminal.Terminal, acting: run.Emergency, finished: runs.Finished
) -> None:
    if finished.record is None or finished.plan is None:
        message = (
            f"Nothing to do: every alias stands at {finished.plan.to_version} already."
            if finished.plan
            else ""
        )
        ui.show(rich_layout.text(message), {"status": "NOTHING_TO_DO"})
        return
    record = finished.record
    outcomes = session.target(record.kind).outcomes(finished.plan, finished.events)
    path = journal.place_of(acting.place, record, session.settings.account)
    seen = RecordSeen(record=record)
    document = {**records.record_document(seen, outcomes), "journal": str(path), "imported": False}
    ui.show(records.record_view(seen), document)
    ui.alarm(
        f"EMERGENCY {record.rollback_id}: {record.status}. The ledger knows nothing of it until it has the journal."
    )
    if finished.error is not None:
        raise finished.error
    ui.next(f"rollback ledger import {path} --env {session.environment}, once the ledger is back")
