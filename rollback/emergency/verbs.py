"""`rollback lambda --emergency`: rolls aliases back without the ledger."""

from __future__ import annotations

from rollback.api import environment, results
from rollback.cli.emergency_options import Options
from rollback.cli.runtime import end, preview
from rollback.emergency import api as emergencies
from rollback.model import messages
from rollback.model.request import AliasesRequest
from rollback.util.errors import Code, Refused
from rollback.views import documents, records, rich_layout, terminal


def emergency(
    opened: environment.Environment, ui: terminal.Terminal, request: AliasesRequest, options: Options
) -> None:
    """The verb, once its environment is open."""
    acting = opened.emergency
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
