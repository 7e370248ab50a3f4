"""`rollback standby …`: a rollback that is planned and approved in advance."""

from __future__ import annotations

from typing import Annotated

import typer

from rollback.cli import completion
from rollback.cli.options import Env, Json, Reason, Timeout, Version, minutes_if, minutes_in
from rollback.cli.runtime import end, shown, verb
from rollback.util.errors import RollbackError
from rollback.views import documents, rich_layout


def prepare(
    env: Env,
    for_: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long it can be taken: 45m, 2h or 1h30m.")
    ],
    json: Json = False,
) -> None:
    """Plan the rollback of the newest release in advance, so that it can be taken in seconds."""
    with verb(env, json) as (opened, ui):
        minutes = minutes_in(for_, "--for")
        end(ui, lambda: opened.standby.prepare(minutes=minutes))


def take(
    env: Env,
    reason: Reason,
    identifier: Annotated[
        str,
        typer.Argument(
            metavar="[ID]",
            help="The standby's id; default: the newest that can be taken.",
            autocompletion=completion.records,
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Apply the standby, without another approval."""
    with verb(env, json) as (opened, ui):
        end(ui, lambda: opened.standby.take(reason=reason, rollback_id=identifier))


def watch(
    env: Env,
    version: Version,
    bake: Annotated[
        str,
        typer.Option(
            "--bake",
            metavar="TIME",
            help="How long to watch: 10m or 1h; default: the setting automatic.bake.",
        ),
    ] = "",
    timeout: Timeout = "",
    json: Json = False,
) -> None:
    """Watch a release's alarms, and take the standby if one goes off: exit 4 if so."""
    with verb(env, json, timeout) as (opened, ui):
        try:
            watched = opened.standby.watch(version, minutes=minutes_if(bake, "--bake"))
        except RollbackError as error:
            if error.result is not None:
                shown(ui, error.result)
            raise
        document = {
            "environment": opened.name,
            "version": watched.version,
            "minutes": watched.minutes,
            "alarms": [documents.alarm_document(one) for one in watched.alarms],
            # A healthy release names no alarm.
            "decision": str(getattr(watched.decision, "code", "TAKE")),
            "why": watched.decision.reason,
        }
        ui.show(
            rich_layout.text(
                f"{version} is healthy after {watched.minutes} minutes: {watched.decision.reason}.", "green"
            ),
            {**document, "healthy": True},
        )
