"""`rollback guard …`: the function that takes the standby when an alarm goes off."""

from __future__ import annotations

from typing import Annotated

import typer

from rollback.cli.options import Env, Json
from rollback.cli.runtime import answering, verb
from rollback.guard import api as guard
from rollback.guard import view as views
from rollback.util.canonical import plain


def build(
    env: Annotated[str, typer.Option("--env", help="The environment.", metavar="ENV")],
    file: Annotated[
        str,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="The file to write; default: the setting guard.package.",
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Build the package of the guard's function; run it before `pulumi up` of the foundation."""
    with answering(env, json) as ui:
        made, runtime = guard.build(env, file)
        ui.show(
            views.built(made, runtime),
            {"environment": env, "package": str(made), "runtime": runtime, "bytes": made.stat().st_size},
        )


def status(env: Env, json: Json = False) -> None:
    """Show whether the guard would act on an alarm, and why it ignored recent ones."""
    with verb(env, json, reads=True) as (opened, ui):
        found = opened.guard.status()
        ui.show(views.state(found), {"environment": opened.name, **views.document(found)})
        if (error := guard.error(plain(found), "The guard would not act on an alarm.")) is not None:
            raise error


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
        ui.show(views.rehearsed(found), {"environment": opened.name, **views.without_error(found)})
        if (error := guard.error(found, "The guard would not have taken the standby.")) is not None:
            raise error
