"""`rollback lambda --emergency`: rolls aliases back without the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rollback.api import environment, results
from rollback.cli.runtime import end, preview
from rollback.emergency import api as emergencies
from rollback.model import messages
from rollback.model.request import AliasesRequest
from rollback.util.errors import Code, Refused, UsageError
from rollback.views import documents, records, rich_layout, terminal

# Where `--help` shows these.
PANEL = "In an emergency"

Emergent = Annotated[
    bool,
    typer.Option(
        "--emergency",
        help="Roll back without ledger, lease and approval, under the break-glass role.",
        rich_help_panel=PANEL,
    ),
]
Resume = Annotated[
    Path | None, typer.Option("--resume", metavar="FILE", help="Resume this journal.", rich_help_panel=PANEL)
]
Undo = Annotated[
    Path | None,
    typer.Option("--undo", metavar="FILE", help="Revert what this journal moved.", rich_help_panel=PANEL),
]
AlthoughAnswers = Annotated[
    bool,
    typer.Option(
        "--although-the-ledger-answers",
        help="Even if the ledger answers; asks for the environment's name.",
        rich_help_panel=PANEL,
    ),
]
AlthoughQuarantined = Annotated[
    bool,
    typer.Option(
        "--although-quarantined",
        help="Even to a quarantined release; asks for the environment's name.",
        rich_help_panel=PANEL,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options beside the request."""

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
    opened: environment.Environment, ui: terminal.Terminal, request: AliasesRequest, options: Options
) -> None:
    """The verb, once its environment is open."""
    acting = opened.emergency()
    if options.resume is not None:
        file = options.resume
        end(ui, lambda: acting.resume(file), _ended)
    elif options.undo is not None:
        file = options.undo
        end(ui, lambda: acting.undo(file, reason=options.reason), _ended)
    else:
        _begun(opened, ui, acting, request, options)


def _begun(
    opened: environment.Environment,
    ui: terminal.Terminal,
    acting: emergencies.Emergency,
    request: AliasesRequest,
    options: Options,
) -> None:
    if not options.dry_run:
        messages.checked_reason(options.reason)
        acting.check_needed(although_the_ledger_answers=options.although_answers)
    plan = acting.planned(request, although_quarantined=options.although_quarantined)
    if options.dry_run:
        preview(ui, plan)
        return
    if options.although_answers or options.although_quarantined or request.allow_below:
        _second_confirmation(opened, ui)
    end(ui, lambda: acting.roll_back(plan, reason=options.reason), _ended)


def _second_confirmation(opened: environment.Environment, ui: terminal.Terminal) -> None:
    """Raises `Refused` where nobody types the environment's name."""
    typed = ui.typed(f"This overrides a safety check. Type {opened.name} to continue: ")
    if typed is None:
        raise Refused(
            "Overriding a safety check needs a confirmation on a terminal, and there is none.",
            code=Code.CONFIRMATION_MISSING,
        )
    if typed != opened.name:
        raise Refused(f"What was typed is not {opened.name}.", code=Code.CONFIRMATION_MISSING)


def _ended(ui: terminal.Terminal, result: results.Result) -> None:
    seen, plan = result.seen, result.plan
    if seen is None:
        message = "" if plan is None else f"Nothing to do: every alias is already at {plan.to_version}."
        ui.show(rich_layout.text(message), {"status": result.status})
        return
    document = documents.record_document(seen, result.outcomes)
    ui.show(records.record_view(seen), {**document, "journal": str(result.journal), "imported": False})
    record = seen.record
    ui.alarm(
        f"EMERGENCY {record.rollback_id}: {record.status}. The ledger does not contain it until the journal is imported."
    )
