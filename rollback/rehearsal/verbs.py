"""`rollback drill`: rehearse a rollback, and show the latest rehearsals."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from rollback.cli import completion
from rollback.cli.options import Env, Json, Services, names_in
from rollback.cli.runtime import verb
from rollback.model import drill as drills
from rollback.rehearsal import api as judging
from rollback.util.errors import Code, UsageError
from rollback.util.stdio import write_out
from rollback.views import drill as views


class Fault(StrEnum):
    """What goes wrong during the rollback."""

    none = "none"
    failing = "failing"
    throttled = "throttled"
    killed = "killed"


def drill(
    env: Env,
    scenario: Annotated[
        str,
        typer.Option(
            "--scenario",
            metavar="SCENARIO",
            help="What to break: code, configuration, infrastructure, full, table, automatic; a list, or all.",
        ),
    ] = "",
    fault: Annotated[
        Fault | None, typer.Option("--fault", help="The fault to add; default: the scenario's own.")
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Only show the table of the last drills.")] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Only plan, and check that the current release responds.")
    ] = False,
    services: Services = "all",
    table: Annotated[
        str,
        typer.Option(
            "--table",
            metavar="TABLE",
            help="The table; default: the first one configured.",
            autocompletion=completion.tables,
        ),
    ] = "",
    approver: Annotated[
        str,
        typer.Option("--approver-profile", metavar="PROFILE", help="The AWS profile of the approver."),
    ] = "",
    wait: Annotated[
        int,
        typer.Option(
            "--wait", metavar="MINUTES", min=0, max=1440, help="How many minutes to wait for the approval."
        ),
    ] = 0,
    markdown: Annotated[bool, typer.Option("--markdown", help="Show the table as Markdown.")] = False,
    json: Json = False,
) -> None:
    """Rehearse a rollback: break something, roll it back and measure the time; not in production."""
    with verb(env, json) as (opened, ui):
        if markdown and json:
            raise UsageError(
                "--markdown and JSON both write to standard output.",
                code=Code.OPTION_INVALID,
                next="Remove one of the two.",
            )
        if report:
            rows = opened.drills.table()
            if markdown:
                write_out(views.markdown(opened.name, rows))
                return
            ui.show(views.view(opened.name, rows), [views.document(row) for row in rows])
            return
        if markdown:
            raise UsageError("--markdown goes with --report.", code=Code.OPTION_INVALID)
        done = opened.drills.run(
            scenario,
            fault=fault.value if fault else "",
            services=names_in(services),
            table=table,
            read_only=read_only,
            approver_profile=approver,
            patience=wait * 60.0,
        )
        ui.show(views.view(opened.name, opened.drills.table()), [drills.drill_document(one) for one in done])
        judging.judged(done)
