"""Shows the result of an audit, as lines of text and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Group

from rollback.model.grouping import number, some
from rollback.queries.audit import Audited
from rollback.util.canonical import plain
from rollback.views.rich_layout import hanging, text

# How many keys that were never archived are shown; --json has all.
_SHOWN = 10


def view(seen: Audited) -> Group:
    """The same on a terminal."""
    return Group(
        *(
            hanging(one[0], text(one[2:])) if one.startswith(("✗ ", "✓ ", "! ")) else text(one)
            for one in lines(seen)
        )
    )


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
        f"{number(seen.entries, 'entry')} of the timeline, {number(seen.releases, 'release')}, "
        f"{number(seen.records, 'rollback')} ({seen.unfinished} not ended), {number(seen.bars, 'quarantine')}, "
        f"{number(seen.approvals, 'approval')}"
    )
    shown = [counted, *(f"✗ {finding}" for finding in seen.findings)]
    if not seen.findings:
        shown.append("✓ The hash chains and the archive agree.")
    if not seen.declared:
        shown.append(
            "! There is no archive to compare with: run `pulumi up` of the foundation to create its bucket."
        )
    if seen.put:
        shown.append(f"! {seen.put} objects were missing in the archive and have been added.")
    if seen.unkept:
        shown.append(f"! Only in the ledger, never archived: {some(seen.unkept, _SHOWN)}")
    return shown
