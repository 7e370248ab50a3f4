"""`rollback audit`: whether anything in the ledger was changed, removed or added behind the command's back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from rollback.cli.runtime import Env, Json, verb

if TYPE_CHECKING:
    from rollback.actions.audit import Audited

# Keys that are shown of what was never archived; --json has all.
_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("audit")(audit)


def audit(env: Env, json: Json = False) -> None:
    """Walk the whole ledger and its archive, and name the first place where the trail breaks: exit 5 if any."""
    with verb(env, json) as (session, _, ui):
        from rollback.actions.audit import audit as walk
        from rollback.core.canonical import plain
        from rollback.core.errors import Code, RollbackError, VerificationFailed
        from rollback.views.rich_layout import text

        seen = walk(session.ledger, session.account.each, ui)
        ui.show(
            text("\n".join(_lines(seen))), {**plain(seen), "trail": "broken" if seen.findings else "whole"}
        )
        if seen.findings:
            first, more = seen.findings[0], len(seen.findings) - 1
            raise VerificationFailed(
                f"The audit trail of {env} breaks at {first}" + (f" (and {more} more)." if more else "."),
                code=Code.AUDIT_BROKEN,
                changed="Nothing was changed.",
                next="CloudTrail's data events say who wrote to the table; its point-in-time recovery has what stood "
                "there. Trust no record that is named until then.",
            )
        if seen.declared and seen.unread:
            raise RollbackError(
                f"The ledger holds together, but its archive could not be read: {seen.unread}",
                code=Code.ARCHIVE_UNAVAILABLE,
                changed="Nothing was changed.",
                next="What is newest in the ledger is vouched for by the archive alone. Audit again once it answers.",
            )


def _lines(seen: Audited) -> list[str]:
    """What an audit saw, for people."""
    counted = (
        f"{seen.entries} entries of the timeline, {seen.releases} releases, {seen.records} rollbacks "
        f"({seen.unfinished} not ended), {seen.bars} bars, {seen.approvals} approvals"
    )
    lines = [counted, *(f"✗ {finding}" for finding in seen.findings)]
    if not seen.findings:
        lines.append("✓ Every item is what the one that covers it says.")
    if not seen.declared:
        lines.append(
            "! Nothing outside the ledger vouches for it: `pulumi up` declares the bucket that does."
        )
    if seen.put:
        lines.append(f"! {seen.put} objects that the archive lacked were put there now.")
    if seen.unkept:
        shown = ", ".join(seen.unkept[:_SHOWN])
        more = f" and {len(seen.unkept) - _SHOWN} more" if len(seen.unkept) > _SHOWN else ""
        lines.append(f"! Never archived, so the ledger alone vouches for them: {shown}{more}")
    return lines
