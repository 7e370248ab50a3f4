"""`rollback prune`: published versions that nobody needs any more."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from rollback.actions import context, freeze
from rollback.cli.options import Env, Json, Reason
from rollback.cli.runtime import end, verb
from rollback.core.errors import UsageError
from rollback.ledger import lease
from rollback.model import messages
from rollback.model.kind import Kind
from rollback.model.plan import plain_plan
from rollback.model.request import PruneRequest
from rollback.views import rich_layout


def prune(
    env: Env,
    keep: Annotated[int, typer.Option("--keep", min=2, help="How many releases of each service to keep.")],
    reason: Reason = "",
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Delete; without it, only what would be deleted is said.")
    ] = False,
    json: Json = False,
) -> None:
    """Delete published versions that no kept release, quarantine, alias or unfinished record needs."""
    with verb(env, json) as (session, flow, ui):
        request = PruneRequest(keep=keep)
        typed = f"rollback prune --env {session.environment} --keep {keep}"
        if not yes:
            plan = flow.preview(Kind.PRUNE, request)
            then = f"{typed} --reason {shlex.quote(reason) if reason else chr(34) + '…' + chr(34)} --yes"
            if json:
                ui.show(
                    "", {"digest": plan.digest(), **plain_plan(plan), "next": then if plan.changing else ""}
                )
            elif plan.changing:
                ui.next(then)
            else:
                ui.show(rich_layout.text("Nothing to prune: every published version is needed."), {})
            return
        messages.checked_reason(reason)
        freeze.respected(session)
        if (begun := _interrupted(session)) is not None:
            ui.notice(f"{begun} was interrupted, and is gone on with.")
            end(session, ui, flow.resume(begun))
            return
        finished = flow.start(Kind.PRUNE, request, reason)
        if finished.record is None:
            nothing = "Nothing to prune: every published version is needed."
            ui.show(rich_layout.text(nothing), {"status": "NOTHING_TO_DO"})
            return
        end(session, ui, finished)


def _interrupted(session: context.Session) -> str | None:
    """The prune that holds the lease on the aliases, whoever began it."""
    holder = session.leases.holder(lease.ALIASES)
    if holder is None:
        return None
    try:
        record = session.ledger.load(str(holder["owner"])).record
    except UsageError:  # a recording of a release, which has no record
        return None
    return record.rollback_id if record.kind == Kind.PRUNE else None
