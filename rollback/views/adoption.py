"""Shows what an account already has of what the program declares: for people, and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rollback.actions.adoption.import_ids import ImportPlan, ImportState
from rollback.views.rich_layout import text

_STYLES = {ImportState.exists: "green", ImportState.differs: "yellow", ImportState.replaced: "bold red"}


def view(found: ImportPlan, stem: str, *, nothing: bool) -> RenderableType:
    """The resources and how each is adopted; `stem`, which begins every name, is shortened to an ellipsis."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("type", "resource", "stands", "then"):
        table.add_column(name, overflow="fold", no_wrap=name in ("type", "stands"))
    for one in found.found:
        table.add_row(
            text(one.declared.kind_name),
            text(one.declared.name.replace(stem, "…")),
            text(one.state, _STYLES.get(one.state, "dim")),
            text(one.then),
        )
    counts = Counter(one.state for one in found.found)
    parts: list[RenderableType] = []
    if counts:
        message = ", ".join(f"{deployed}: {count}" for deployed, count in sorted(counts.items()))
        parts = [table, Text(), text(f"{message}. … is {stem}.")]
    if nothing:
        parts.append(text(_nothing(found)))
    if found.held:
        parts.append(text("Terraform holds, and lets go of without destroying it:"))
        parts.extend(text(f"  {address}", "yellow") for address in found.held)
        parts.append(text("Take these blocks out of its configuration, too, or it makes them anew."))
    return Group(*parts)


def resources(found: ImportPlan) -> list[dict[str, Any]]:
    """Each resource as `--json` has it: `{"urn", "type", "id", "standing", "properties", "then"}`, all text
    but `properties`, a tuple of names; `id` is null for an unknown type.
    """
    return [
        {
            "urn": one.declared.urn,
            "type": one.declared.type,
            "id": one.declared.id,
            "standing": one.state,
            "properties": one.properties,
            "then": one.then,
        }
        for one in found.found
    ]


def _nothing(found: ImportPlan) -> str:
    if found.found:
        return f"Nothing to adopt: none of these {len(found.found)} exists; pulumi up makes them."
    return "Nothing to adopt: the stack has everything that the program declares."
