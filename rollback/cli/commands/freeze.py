"""`rollback freeze` and `unfreeze`: nobody else deploys or rolls back for a while."""

from __future__ import annotations

import typer

from rollback.cli.runtime import Env, Json, Reason, verb


def register(app: typer.Typer) -> None:
    """Adds the verbs to the command line."""
    app.command("freeze")(freeze)
    app.command("unfreeze")(unfreeze)


def freeze(env: Env, reason: Reason = "", json: Json = False) -> None:
    """Refuse deployments and rollbacks of everybody else, until unfreeze."""
    with verb(env, json) as (session, _, ui):
        from rollback.actions.freeze import freeze as begin
        from rollback.core.canonical import plain
        from rollback.views.rich_layout import text

        standing = begin(session, reason)
        ui.show(text(f"{session.environment} is frozen.", "cyan"), {"frozen": True, **plain(standing)})
        ui.next(f"rollback unfreeze --env {session.environment} --reason …")


def unfreeze(env: Env, reason: Reason = "", json: Json = False) -> None:
    """Let an environment go that was frozen, whoever froze it."""
    with verb(env, json) as (session, _, ui):
        from rollback.actions.freeze import told
        from rollback.actions.freeze import unfreeze as end
        from rollback.core.canonical import plain
        from rollback.views.rich_layout import text

        standing = end(session, reason)
        ui.show(
            text(f"{session.environment} is free again. It was frozen by {told(standing)}."),
            {"frozen": False, **plain(standing)},
        )
