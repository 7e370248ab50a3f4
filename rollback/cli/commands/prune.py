"""`rollback prune`: deletes published versions that no release needs."""

from __future__ import annotations

from typing import Annotated

import typer

from rollback.api import kinds
from rollback.cli.options import Env, Json, Reason
from rollback.cli.runtime import end, verb
from rollback.model import advice, messages
from rollback.model.request import PruneRequest
from rollback.util.errors import Cancelled
from rollback.views import documents, json_output, rich_layout

_NOTHING = "Nothing to prune: every published version is needed."


def prune(
    env: Env,
    keep: Annotated[
        int, typer.Option("--keep", metavar="N", min=2, help="How many releases of each service to keep.")
    ],
    reason: Reason = "",
    digest: Annotated[
        str,
        typer.Option("--digest", metavar="DIGEST", help="Delete exactly what was shown with this digest."),
    ] = "",
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Delete without asking (not in production)."),
    ] = False,
    json: Json = False,
) -> None:
    """Delete published versions that no release needs; without --digest or --yes, list them and ask."""
    with verb(env, json) as (opened, ui):
        request = PruneRequest(keep=keep)
        reason = messages.checked_reason(reason) if reason or digest or yes else ""
        if not (digest or yes):
            begun = opened.prune.interrupted()
            plan = opened.plan(request)
            plan.check()
            typed = kinds.prune_command(opened.name, request, reason, plan.digest)
            then = advice.next_for(begun.record) if begun is not None else typed if plan.changes else ""
            if json:
                ui.show("", {**documents.plan_document(plan.details), "next": json_output.commands(then)})
            if begun is not None:
                ui.notice(f"{begun.described} was interrupted.")
            elif not plan.changes and not json:
                ui.show(rich_layout.text(_NOTHING), {})
            elif plan.changes and reason and not json:
                answer = ui.confirm(f"Permanently delete these versions in {plan.environment}?")
                if answer is False:
                    raise Cancelled("Not confirmed.")
                digest = plan.digest if answer else ""
                then = typed if answer is None else ""
            if not digest:
                if then and not json:
                    ui.next(then)
                return
        end(ui, lambda: opened.prune.delete(request, reason=reason, digest=digest, yes=yes))
