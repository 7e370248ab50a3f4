"""`rollback freeze` and `unfreeze`: nobody else deploys or rolls back for a while."""

from __future__ import annotations

from rollback.cli.options import Env, Json, Reason
from rollback.cli.runtime import verb
from rollback.util.canonical import plain
from rollback.views import documents, rich_layout


def freeze(env: Env, reason: Reason = "", json: Json = False) -> None:
    """Block deployments and rollbacks by everybody else until unfreeze."""
    with verb(env, json) as (opened, ui):
        frozen = opened.freeze(reason)
        ui.show(
            rich_layout.text(f"{opened.name} is frozen.", "cyan"),
            {
                "environment": opened.name,
                "frozen": documents.freeze_document(frozen),
                **plain(frozen),
            },
        )
        ui.next(f'rollback unfreeze --env {opened.name} --reason "…"')


def unfreeze(env: Env, reason: Reason = "", json: Json = False) -> None:
    """Lift an environment's freeze, no matter who set it."""
    with verb(env, json) as (opened, ui):
        frozen = opened.unfreeze(reason)
        ui.show(
            rich_layout.text(f"{opened.name} is unfrozen. It was frozen by {frozen}."),
            {
                "environment": opened.name,
                "frozen": None,
                "lifted": documents.freeze_document(frozen),
                **plain(frozen),
            },
        )
