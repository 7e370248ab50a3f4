"""`rollback standby …`: a way back that is planned and approved in advance."""

from __future__ import annotations

from typing import Annotated

import typer

from rollback.cli.options import Env, Json, Reason, minutes_in
from rollback.cli.runtime import end, verb


def prepare(
    env: Env,
    for_: Annotated[
        str, typer.Option("--for", metavar="TIME", help="For how long it can be taken: 45m, 2h or 1h30m.")
    ],
    json: Json = False,
) -> None:
    """Plan the way back from the release that was recorded last, to be taken later in seconds."""
    with verb(env, json) as (opened, ui):
        minutes = minutes_in(for_)
        end(ui, lambda: opened.standby.prepare(minutes=minutes))


def take(
    env: Env,
    reason: Reason,
    identifier: Annotated[
        str, typer.Argument(metavar="[ID]", help="Its id; without one, the newest that can be taken.")
    ] = "",
    json: Json = False,
) -> None:
    """Carry out the way back that is on standby, without another approval."""
    with verb(env, json) as (opened, ui):
        end(ui, lambda: opened.standby.take(reason=reason, rollback_id=identifier))
