"""`rollback guard …`: the function that takes the standby when an alarm goes off."""

from __future__ import annotations

from typing import Annotated

import typer

from rollback.api import guard
from rollback.cli import output
from rollback.cli.options import Env, Json
from rollback.cli.runtime import answering, verb
from rollback.core.errors import Code, RollbackError
from rollback.views import guard as views


def build(
    env: Annotated[str, typer.Option("--env", help="The environment.", metavar="ENV")],
    file: Annotated[
        str,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            callback=output.file,
            help="The file to write; default: the setting guard.package.",
        ),
    ] = "",
    python: Annotated[
        str,
        typer.Option(
            "--python",
            metavar="VERSION",
            help="The version of Python; default: that of the function's runtime.",
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Build the package of the guard's function; run it before `pulumi up` of the foundation."""
    with answering(env, json) as ui:
        made = guard.build(env, file, python=python)
        ui.show(
            views.built(made),
            {"environment": env, "package": str(made), "bytes": made.stat().st_size},
        )


def status(env: Env, json: Json = False) -> None:
    """Show whether the guard would act on an alarm, and why it ignored recent ones."""
    with verb(env, json, reads=True) as (opened, ui):
        found = opened.guard.status()
        ui.show(views.state(found), {"environment": opened.name, **views.document(found)})
        if not found.ok:
            raise RollbackError(
                "The guard would not act on an alarm.", code=Code.NOT_DECLARED, changed="Nothing was changed."
            )


def rehearse(
    env: Env,
    alarm: Annotated[
        str, typer.Option("--alarm", metavar="NAME", help="The alarm; default: the first.")
    ] = "",
    json: Json = False,
) -> None:
    """Run the guard as if an alarm went into ALARM now, without rolling back."""
    with verb(env, json) as (opened, ui):
        found = opened.guard.test(alarm)
        ui.show(views.rehearsed(found), {"environment": opened.name, **found})
        holds = found["holds"] or {"refusals": []}
        if found["problems"] or holds["refusals"] or not found["reported"]:
            raise RollbackError(
                "The guard would not have taken the standby.",
                code=Code.NOT_DECLARED,
                changed="Nothing was changed.",
            )
