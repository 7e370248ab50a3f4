"""Shows what changed between two releases, for people and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from rollback.model.grouping import number
from rollback.releases.differences import CommitChange, Difference, FunctionChange
from rollback.views.plan import common_prefix, prefix_line
from rollback.views.rich_layout import Blocks, aligned, text

_SHORT = 12
# Characters of a code hash: enough to tell two apart, and to find one in the console.
_HASH = 8


def view(found: Difference) -> RenderableType:
    """The functions that differ, by service, and the commits between."""
    head = Text.assemble((f"{found.environment}  ", "bold"), text(f"{found.before} → {found.after}"))
    services: dict[str, list[FunctionChange]] = {}
    for change in found.functions:
        services.setdefault(change.service, []).append(change)
    common = common_prefix([change.function for change in found.functions])
    blocks = [_service(name, changes, common) for name, changes in services.items()]
    differ = "differs" if len(found.functions) == 1 else "differ"
    same = "is" if found.unchanged == 1 else "are"
    counted = f"{number(len(found.functions), 'function')} {differ}, {found.unchanged} {same} the same"
    return Group(
        head,
        Text(),
        *prefix_line(common),
        Blocks(blocks),
        *([Text()] if blocks else []),
        text(counted),
        *map(_commits, found.commits),
    )


def _service(name: str, changes: list[FunctionChange], common: str) -> list[Text]:
    rows = [
        (
            text(f"  {change.function[len(common) :]}"),
            text(f"{change.before or '–'} → {change.after or '–'} "),
            text(_code(change), "dim"),
        )
        for change in changes
    ]
    return [text(name, "bold"), *aligned(rows)]


def _code(change: FunctionChange) -> str:
    if not change.code:
        return "same code"
    return f"code {change.before_code[:_HASH] or '–'} → {change.after_code[:_HASH] or '–'}"


def _commits(change: CommitChange) -> RenderableType:
    way = "" if change.forwards else ", back"
    head = text(f"{change.what:<9} {change.before[:_SHORT]} → {change.after[:_SHORT]}{way}", "bold")
    return Group(Text(), head, *(text(f"  {sha[:_SHORT]} {subject}") for sha, subject in change.subjects))


def document(found: Difference) -> dict[str, Any]:
    """The same as JSON: `{"environment", "before", "after", "from_version", "to_version", "unchanged", "functions": [{"service",
    "function", "from_version", "to_version", "code_differs": bool, "from_code_sha256", "to_code_sha256"}], "next": [command],
    "commits": [{"kind", "from_commit", "to_commit", "forwards": bool,
    "commits": [{"commit", "subject"}]}]}`; a version or a hash that one side does not have is null.
    """
    return {
        "environment": found.environment,
        "before": found.before,
        "after": found.after,
        "from_version": found.from_version or None,
        "to_version": found.to_version or None,
        "unchanged": found.unchanged,
        "functions": [
            {
                "service": change.service,
                "function": change.function,
                "from_version": change.before or None,
                "to_version": change.after or None,
                "code_differs": change.code,
                "from_code_sha256": change.before_code or None,
                "to_code_sha256": change.after_code or None,
            }
            for change in found.functions
        ],
        "next": list(found.resources),
        "commits": [
            {
                "kind": change.what,
                "from_commit": change.before,
                "to_commit": change.after,
                "forwards": change.forwards,
                "commits": [{"commit": sha, "subject": subject} for sha, subject in change.subjects],
            }
            for change in found.commits
        ],
    }
