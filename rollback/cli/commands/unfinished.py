"""The verbs that go on with a record that has not ended: `approve`, `apply`, `resume` and `abort`."""

from __future__ import annotations

from typing import Annotated

import typer

from rollback.cli.options import ConfirmDead, Identifier, Json, MaybeEnv, Reason
from rollback.cli.runtime import end, verb
from rollback.core.canonical import plain
from rollback.views import rich_layout


def approve(
    identifier: Identifier,
    digest: Annotated[str, typer.Option("--digest", help="The plan's digest, as you read it.")],
    env: MaybeEnv = None,
    json: Json = False,
) -> None:
    """Say yes to exactly one plan, as another person under the approver role."""
    with verb(env, json) as (session, flow, ui):
        opened = flow.approve(identifier, digest)
        ui.planned(opened.plan(session.target(opened.record.kind).step))
        document = {
            "rollback_id": identifier,
            "digest": opened.record.digest,
            "approved_by": plain(session.caller),
        }
        ui.show(rich_layout.text(f"Approved by {session.caller}.", "green"), document)
        ui.next(f"rollback apply {identifier} --env {session.environment}")


def apply(
    identifier: Identifier,
    digest: Annotated[
        str, typer.Option("--digest", help="The plan's digest, where your own word is enough.")
    ] = "",
    env: MaybeEnv = None,
    json: Json = False,
) -> None:
    """Carry out an approved plan, or one that you confirm by its digest."""
    with verb(env, json, first=True) as (session, flow, ui):
        end(session, ui, flow.apply(identifier, digest))


def resume(
    identifier: Identifier, env: MaybeEnv = None, confirm_dead: ConfirmDead = "", json: Json = False
) -> None:
    """Finish what was interrupted, from any machine."""
    with verb(env, json, confirm_dead=confirm_dead, first=True) as (session, flow, ui):
        end(session, ui, flow.resume(identifier))


def abort(
    identifier: Identifier,
    env: MaybeEnv = None,
    reason: Reason = "",
    confirm_dead: ConfirmDead = "",
    json: Json = False,
) -> None:
    """Give up a plan, or undo what an unfinished run has done."""
    with verb(env, json, confirm_dead=confirm_dead, first=True) as (session, flow, ui):
        end(session, ui, flow.abort(identifier, reason))
