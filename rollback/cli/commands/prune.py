"""`rollback prune`: published versions that nobody needs any more."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from rollback.actions import approval, context, freeze
from rollback.cli.options import Env, Json, Reason
from rollback.cli.runtime import end, verb
from rollback.core.errors import Code, Refused, UsageError
from rollback.ledger import lease, stored_record
from rollback.model import advice, messages, retention
from rollback.model.kind import Kind
from rollback.model.plan import plain_plan
from rollback.model.request import PruneRequest
from rollback.views import rich_layout

_NOTHING = "Nothing to prune: every published version is needed."


def prune(
    env: Env,
    keep: Annotated[int, typer.Option("--keep", min=2, help="How many releases of each service to keep.")],
    reason: Reason = "",
    digest: Annotated[
        str, typer.Option("--digest", help="Delete exactly what was shown with this digest.")
    ] = "",
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Delete what is found, without a look at it first (dev).")
    ] = False,
    json: Json = False,
) -> None:
    """Delete published versions that nothing needs: without --digest and --yes only shows them, or asks."""
    with verb(env, json) as (session, flow, ui):
        request = PruneRequest(keep=keep)
        reason = messages.checked_reason(reason) if reason or digest or yes else ""
        begun = _interrupted(session)
        if begun is not None and (digest or yes):
            _as_begun(begun, request, reason, digest)
            freeze.respected(session)
            ui.notice(f"{begun.record.rollback_id} was interrupted, and is gone on with.")
            end(session, ui, flow.resume(begun.record.rollback_id))
            return
        if not (digest or yes):
            plan = flow.preview(Kind.PRUNE, request)
            typed = _typed(session.environment, request, reason, plan.digest())
            then = advice.next_for(begun.record) if begun is not None else typed if plan.changing else ""
            if json:
                ui.show("", {"digest": plan.digest(), **plain_plan(plan), "next": then})
            if begun is not None:
                ui.notice(f"{_named(begun)} was interrupted.")
            elif not plan.changing and not json:
                ui.show(rich_layout.text(_NOTHING), {})
            elif plan.changing and reason and not json:
                answer = ui.confirm(f"Delete exactly this in {plan.environment}, for good?")
                digest = plan.digest() if answer else ""
                then = typed if answer is None else ""
            if not digest:
                if then and not json:
                    ui.next(then)
                return
        finished = flow.start(Kind.PRUNE, request, reason, yes=yes, digest=digest)
        if finished.record is None:
            ui.show(rich_layout.text(_NOTHING), {"status": "NOTHING_TO_DO"})
            return
        end(session, ui, finished)


def _typed(environment: str, request: PruneRequest, reason: str, digest: str) -> str:
    """What to type so that exactly what was shown is deleted."""
    why = shlex.quote(reason) if reason else '"…"'
    return f"rollback prune --env {environment} --keep {request.keep} --reason {why} --digest {digest[:16]}"


def _interrupted(session: context.Session) -> stored_record.Opened | None:
    """The prune that holds the lease on the aliases, whoever began it."""
    holder = session.leases.holder(lease.ALIASES)
    if holder is None:
        return None
    try:
        opened = session.ledger.load(str(holder["owner"]))
    except UsageError:  # a recording of a release, which has no record
        return None
    return opened if opened.record.kind == Kind.PRUNE else None


def _as_begun(begun: stored_record.Opened, request: PruneRequest, reason: str, digest: str) -> None:
    """Raises `Refused` where an interrupted prune is not what is asked for: it deletes what was shown for it."""
    record = begun.record
    same = _asked(begun) == request and record.reason == reason
    if same and (not digest or approval.is_digest_of(digest.lower(), record.digest)):
        return
    again = _typed(record.environment, _asked(begun), record.reason, record.digest)
    raise Refused(
        f"{_named(begun)} was interrupted, and is not what is asked for.",
        code=Code.LEASE_HELD,
        next=f"{advice.next_for(record)}\n{again}  # as it was begun",
    )


def _asked(begun: stored_record.Opened) -> PruneRequest:
    return begun.plan(retention.Doomed).request.expected(PruneRequest)


def _named(begun: stored_record.Opened) -> str:
    """An interrupted prune in words, so that who reads it knows it again."""
    record = begun.record
    return (
        f"{record.rollback_id} (--keep {_asked(begun).keep}, {record.initiated_by.person}, "
        f"{record.initiated_at[:16]}: {record.reason})"
    )
