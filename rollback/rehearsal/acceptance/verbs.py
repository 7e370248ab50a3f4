"""`rollback acceptance`: whether AWS behaves as this tool expects."""

from __future__ import annotations

from typing import Annotated

import typer

from rollback.cli.options import DryRun, Env, Json
from rollback.cli.runtime import verb
from rollback.rehearsal.acceptance import api as trying
from rollback.rehearsal.acceptance import view as views
from rollback.util.errors import Code, Refused


def acceptance(
    env: Env,
    idle_version: Annotated[
        str,
        typer.Option(
            "--idle-version",
            metavar="FUNCTION:VERSION",
            help="A version in state Inactive; it is invoked once, which activates it.",
        ),
    ] = "",
    older_than: Annotated[
        int,
        typer.Option(
            "--older-than",
            metavar="MINUTES",
            min=0,
            help="Remove resources of runs that started more than this ago.",
        ),
    ] = 60,
    dry_run: DryRun = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Create and remove the resources without asking.")
    ] = False,
    json: Json = False,
) -> None:
    """Test in a sandbox account that AWS behaves as this tool expects: exit 5 if it does not."""
    with verb(env, json) as (opened, ui):
        planned = opened.acceptance.planned()
        if dry_run:
            ui.show(views.planned_view(planned), views.planned_document(planned))
            ui.next(f"rollback acceptance --env {opened.name} --yes")
            return
        if not yes:
            where, count = f"{opened.name} ({opened.settings.account})", len(planned.resources)
            answer = ui.confirm(f"Create {count} temporary resources in {where}, and remove them afterwards?")
            if not answer:
                raise Refused(
                    "Not confirmed."
                    if answer is False
                    else f"There is no terminal to confirm {count} temporary resources in {where}.",
                    code=Code.CONFIRMATION_MISSING,
                    next=f"rollback acceptance --env {opened.name} --dry-run  # list them\n"
                    f"rollback acceptance --env {opened.name} --yes  # create them",
                )
        report = opened.acceptance.run(planned, idle_version=idle_version, older_than=older_than)
        ui.show(views.view(report), views.document(report))
        trying.judged(report)
