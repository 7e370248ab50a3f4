"""The verbs for a record that has not ended: `approve`, `apply`, `resume` and `abort`."""

from __future__ import annotations

from typing import Annotated

import typer

from rollback.cli.options import (
    ConfirmDead,
    Identifier,
    Json,
    MaybeEnv,
    Timeout,
    Wait,
    WholeIdentifier,
    minutes_if,
)
from rollback.cli.runtime import end, verb
from rollback.model.advice import once_approved
from rollback.util.canonical import plain
from rollback.views import rich_layout


def approve(
    identifier: WholeIdentifier,
    digest: Annotated[
        str, typer.Option("--digest", metavar="DIGEST", help="The digest of the plan that you reviewed.")
    ],
    env: MaybeEnv = None,
    json: Json = False,
) -> None:
    """Approve another person's plan, under the approver role."""
    with verb(env, json) as (opened, ui):
        record = opened.approve(identifier, digest)
        document = {
            "environment": opened.name,
            "rollback_id": record.rollback_id,
            "digest": record.digest,
            "approved_by": plain(opened.caller),
        }
        ui.show(rich_layout.text(f"Approved by {opened.caller}.", "green"), document)
        ui.next(once_approved(record))


def apply(
    identifier: Identifier,
    digest: Annotated[
        str,
        typer.Option(
            "--digest",
            metavar="DIGEST",
            help="The plan's digest, to confirm it where no other person has to approve.",
        ),
    ] = "",
    env: MaybeEnv = None,
    wait: Wait = "",
    timeout: Timeout = "",
    json: Json = False,
) -> None:
    """Apply an approved plan, or one that you confirm by its digest."""
    with verb(env, json, timeout) as (opened, ui):
        minutes = minutes_if(wait)
        end(ui, lambda: opened.apply(identifier, digest, wait_minutes=minutes))


def resume(
    identifier: Identifier, env: MaybeEnv = None, confirm_dead: ConfirmDead = "", json: Json = False
) -> None:
    """Finish an interrupted rollback, from any machine."""
    with verb(env, json) as (opened, ui):
        end(ui, lambda: opened.resume(identifier, confirm_dead=confirm_dead))


def abort(
    identifier: Identifier,
    env: MaybeEnv = None,
    reason: Annotated[
        str, typer.Option("--reason", "-r", metavar="TEXT", help="The reason, on one line; optional.")
    ] = "",
    confirm_dead: ConfirmDead = "",
    json: Json = False,
) -> None:
    """Cancel a plan, or undo an unfinished rollback."""
    with verb(env, json) as (opened, ui):
        end(ui, lambda: opened.abort(identifier, reason, confirm_dead=confirm_dead))
