"""Shows the result of an audit, as lines of text and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Group

from rollback.actions.audit import Audited
from rollback.core.canonical import plain
from rollback.model.grouping import some
from rollback.views.rich_layout import text

# Keys that are shown of what was never archived; --json has all.
_SHOWN = 10


def view(seen: Audited) -> Group:
    """The same on a terminal."""
    return Group(*map(text, lines(seen)))


def document(seen: Audited) -> dict[str, Any]:
    """The same as JSON: the fields of `Audited`, and whether its `trail` is whole or broken."""
    fields = plain(seen)
    renamed = {"quarantines": "bars", "not_archived": "unkept", "archived_now": "put"}
    more = {"archive_declared": "declared", "archive_unread": "unread"}
    return {
        **{new: fields[old] for new, old in (renamed | more).items()},
        **fields,
        "trail": "broken" if seen.findings else "whole",
    }


def lines(seen: Audited) -> list[str]:
    """The counts and findings of an audit, for people."""
    counted = (
        f"{seen.entries} entries of the timeline, {seen.releases} releases, {seen.records} rollbacks "
        f"({seen.unfinished} not ended), {seen.bars} quarantines, {seen.approvals} approvals"
    )
    shown = [counted, *(f"✗ {finding}" for finding in seen.findings)]
    if not seen.findings:
        shown.append("✓ The hash chains and the archive agree.")
    if not seen.declared:
        shown.append(
            "! There is no archive to compare with: `pulumi up` of the foundation declares its bucket."
        )
    if seen.put:
        shown.append(f"! {seen.put} objects were missing in the archive, and were added now.")
    if seen.unkept:
        shown.append(f"! Never archived, so only the ledger has them: {some(seen.unkept, _SHOWN)}")
    return shown
