"""`rollback drill`: rehearse the bad day, and say when it was rehearsed last."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from rollback.cli import completion
from rollback.cli.runtime import Env, Json, Services, names_in, verb
from rollback.core.errors import Code, UsageError


class Fault(StrEnum):
    """What gets in the way."""

    none = "none"
    failing = "failing"
    throttled = "throttled"
    killed = "killed"


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("drill")(drill)


def drill(
    env: Env,
    scenario: Annotated[
        str,
        typer.Option(
            "--scenario",
            help="What goes bad: code, configuration, infrastructure, full, table; some, or all.",
        ),
    ] = "",
    fault: Annotated[
        Fault | None, typer.Option("--fault", help="What gets in the way; default: the scenario's own.")
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Only the table of the last drills.")] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Only plan, and see that what stands answers.")
    ] = False,
    services: Services = "all",
    table: Annotated[
        str,
        typer.Option(
            "--table",
            help="The table; default: the first one configured.",
            autocompletion=completion.tables,
        ),
    ] = "",
    approver: Annotated[
        str,
        typer.Option("--approver-profile", metavar="PROFILE", help="The AWS profile of who approves."),
    ] = "",
    wait: Annotated[
        int, typer.Option("--wait", metavar="MINUTES", min=0, max=1440, help="Wait for who approves.")
    ] = 0,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table as Markdown.")] = False,
    json: Json = False,
) -> None:
    """Make something bad on purpose, put it back, and measure; never in production."""
    from rollback.drill.roles import Roles

    roles = Roles(read_only=read_only or report, approver=approver)
    with verb(env, json, first=not report, reading=report, acting=roles.take) as (session, flow, ui):
        from rollback.actions import drill_store
        from rollback.core.stdio import write_out
        from rollback.model.drill import scenarios, told
        from rollback.model.drill import table as rows_of
        from rollback.views.drill import document, view
        from rollback.views.drill import markdown as as_markdown

        if report:
            rows = rows_of(session.settings, drill_store.drills(session.ledger))
            if markdown:
                write_out(as_markdown(session.environment, rows))
                return
            ui.show(view(session.environment, rows), [document(row) for row in rows])
            return
        if markdown:
            raise UsageError("--markdown goes with --report.", code=Code.OPTION_INVALID)
        from rollback.drill.runner import Asked, Conduct, judged

        asked = Asked(
            scenarios=scenarios(scenario),
            fault=fault.value if fault else "",
            services=names_in(services),
            table=table,
            read_only=read_only,
            patience=wait * 60.0,
        )
        done = Conduct(session=session, roles=roles, ui=ui, stop=flow.stop, asked=asked).run()
        rows = rows_of(session.settings, drill_store.drills(session.ledger))
        ui.show(view(session.environment, rows), [told(one) for one in done])
        judged(done)
