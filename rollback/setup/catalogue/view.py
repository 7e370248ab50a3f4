"""Shows how the catalogue and the account differ, and the diff of the settings file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType

from rollback.model.grouping import number
from rollback.setup.catalogue.sync import Synced
from rollback.setup.view import diff_view, few, steps_view
from rollback.util.canonical import plain
from rollback.views.json_output import typed
from rollback.views.rich_layout import text

__all__ = ["document", "steps_view", "view"]


def view(synced: Synced, alias: str) -> RenderableType:
    """New, missing and renamed functions, the diff of the file, and notes."""
    found, shown = synced.difference, list[RenderableType]()
    if found.empty:
        others = found.without_alias or synced.elsewhere or synced.unlisted or synced.unlooked
        shown.append(
            text("No function is new, missing or renamed.")
            if others
            else text("The catalogue matches the account.", "green")
        )
    for word, services in (("new", found.new), ("gone", found.gone)):
        for service, entries in services.items():
            shown.append(text(f"{word:<8} {service}: {few(list(entries))}"))
    shown += [text(f"renamed  {service}: {entry} is {new} now") for service, entry, _, new in found.renamed]
    if synced.change is not None:
        shown.append(diff_view(synced.change))
    shown += [text(line, "yellow") for line in notes(synced, alias)]
    return Group(*shown)


def notes(synced: Synced, alias: str) -> list[str]:
    """The notes, one sentence each."""
    found = synced.difference
    made = [f"{name} is new, but not added: it has no alias {alias}." for name in found.without_alias]
    made += [one.advice for one in synced.deletes]
    made += [f"Not checked: {why}" for why in synced.unlooked]
    if synced.elsewhere:
        made.append(
            f"Not checked, because they contain no listed function: stacks {few(synced.elsewhere)} (use --stack NAME)."
        )
    if synced.unlisted:
        made.append(
            f"Not checked, because their names have no listed prefix: {number(len(synced.unlisted), 'function')} "
            f"({few(synced.unlisted)}; use --name-prefix PREFIX)."
        )
    return made


def document(synced: Synced, alias: str, steps: Sequence[str], *, written: bool) -> dict[str, Any]:
    """The same as JSON: `{"new", "gone", "renamed", "without_alias", "elsewhere", "unlisted", "notes", "diff",
    "written", "next"}`; `new` and `gone` are as the setting `services`.
    """
    found = synced.difference
    return {
        "new": plain(found.new),
        "gone": plain(found.gone),
        "renamed": [
            {"service": service, "entry": entry, "from_function": old, "to_function": new}
            for service, entry, old, new in found.renamed
        ],
        "without_alias": list(found.without_alias),
        "elsewhere": list(synced.elsewhere),
        "unlisted": list(synced.unlisted),
        "notes": notes(synced, alias),
        "diff": synced.change.diff if synced.change else "",
        "written": written,
        "next": typed(steps),
    }
