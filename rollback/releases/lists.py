"""Shows recorded releases, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from rollback.model.grouping import number
from rollback.model.release import NOTHING, is_of_drill
from rollback.releases.api import ListedRelease
from rollback.releases.record_release import Recorded
from rollback.util.canonical import plain
from rollback.util.times import shown_time
from rollback.views.records import SIX, headed, some_of
from rollback.views.rich_layout import Either, text


def listed_document(row: ListedRelease) -> dict[str, Any]:
    """A release of `release list`."""
    return {
        "kind": "adoption" if row.adopted else "release",
        "id": row.version,
        "seq": row.seq,
        "version": row.version,
        "created_at": row.at,
        "created_by": plain(row.recorded_by),
        "by": row.by,
        "commit": row.commit,
        "services": list(row.services),
        "deployed_for": list(row.stands_for),
        "quarantined_for": list(row.quarantined_for),
        "not_below": row.not_below,
    }


def recorded_document(recorded: Recorded) -> dict[str, Any]:
    """A release that was recorded: its fields without the manifest, whether it is `new`, and what is `deployed` now."""
    release = {name: value for name, value in plain(recorded.release).items() if name != "manifest"}
    return {
        **release,
        "function_count": release["functions"],
        "deployed": recorded.deployed,
        "new": recorded.new,
    }


def releases_view(rows: Sequence[ListedRelease], *, everything: bool = False) -> RenderableType:
    """The releases, newest first. Quarantined releases of drills that are not
    deployed are summed up in one line, unless `everything` is shown.
    """
    if not rows:
        return text("No releases recorded yet.", "dim")
    wide = headed("version", "when", "by", "commit", "deployed for", "quarantined for")
    narrow = headed("when", "release")
    for column in wide.columns[1:4]:
        column.no_wrap = True
    shown = [row for row in rows if everything or not _is_over(row)]
    for row in shown:
        below = f" (not below {row.not_below})" if row.not_below else ""
        version = text(f"{row.version}{below}", "bold" if row.stands_for else "")
        by, commit = text(row.by.partition(" (")[0]), text(row.commit[:7])
        deployed = text(some_of(row.stands_for, row.services), "green")
        quarantined = text(some_of(row.quarantined_for, row.services), "yellow")
        wide.add_row(version, text(shown_time(row.at)), by, commit, deployed, quarantined)
        text_parts = Text.assemble(version, "  by ", by, f", commit {commit}" if commit else "")
        for name, what in (("deployed for ", deployed), ("quarantined for ", quarantined)):
            text_parts.append_text(Text.assemble("\n", name, what) if what else Text())
        narrow.add_row(text(shown_time(row.at)), text_parts)
    hidden = len(rows) - len(shown)
    more = [text(f"{hidden} quarantined releases of drills are hidden; use --all.", "dim")] if hidden else []
    return Group(Either(SIX, wide, narrow), *more)


def _is_over(row: ListedRelease) -> bool:
    """Whether a row is a drill's release that is quarantined and not deployed."""
    return is_of_drill(row.version) and bool(row.quarantined_for) and not row.stands_for


def recorded_view(environment: str, recorded: Recorded) -> Text:
    """What was recorded, and what is deployed now."""
    release = recorded.release
    what = "Recorded" if recorded.new else "Already recorded:"
    commit = f"commit {release.commit[:12]}" if release.commit else "an unknown commit"
    now = "is at no recorded release" if recorded.deployed == NOTHING else f"is at {recorded.deployed}"
    floor = f" Rollbacks to releases older than {release.not_below} are refused." if release.not_below else ""
    return text(
        f"{what} {release.version}: {number(release.functions, 'function')} at {commit}. {environment} {now}.{floor}"
    )
