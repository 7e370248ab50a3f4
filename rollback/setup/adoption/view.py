"""Shows which declared resources an account already has, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rollback.setup.adoption.import_ids import ImportPlan, ImportState
from rollback.views.rich_layout import Either, text

_STYLES = {ImportState.exists: "green", ImportState.differs: "yellow", ImportState.replaced: "bold red"}
# The width that the wide table needs beside types and names, in columns.
_REST = 50


def view(found: ImportPlan, stem: str, *, nothing: bool) -> RenderableType:
    """The resources and how each is adopted; `stem`, which begins every name, is shortened to an ellipsis."""
    wide = _table("type", "resource", "state", "then", whole=3)
    narrow = _table("state", "resource", whole=1)
    named = 0
    for one in found.found:
        kind, name = text(one.declared.kind_name), text(one.declared.name.replace(stem, "…"))
        stands, then = text(one.state, _STYLES.get(one.state, "dim")), text(one.then)
        wide.add_row(kind, name, stands, then)
        named = max(named, kind.cell_len + name.cell_len)
        narrow.add_row(stands, Text.assemble(kind, " ", name, "\n  " if then else "", then))
    counts = Counter(one.state for one in found.found)
    parts: list[RenderableType] = []
    if counts:
        message = ", ".join(f"{deployed}: {count}" for deployed, count in sorted(counts.items()))
        parts = [Either(named + _REST, wide, narrow), Text(), text(f"{message}. … is short for {stem}.")]
    if nothing:
        parts.append(text(_nothing(found)))
    if found.held:
        parts.append(text("Managed by Terraform; remove them from its state, without destroying them:"))
        parts.extend(text(f"  {address}", "yellow") for address in found.held)
        parts.append(
            text("Also remove these blocks from its configuration; otherwise Terraform creates them again.")
        )
    return Group(*parts)


def _table(*names: str, whole: int) -> Table:
    """A table whose first `whole` columns are never wrapped; the others wrap between words."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, name in enumerate(names):
        table.add_column(name, overflow="fold", no_wrap=number < whole)
    return table


def resources(found: ImportPlan) -> list[dict[str, Any]]:
    """Each resource as JSON: `{"urn", "type", "id", "state", "properties", "then"}`, all text but `properties`, a list
    of names; `id` is null for an unknown type.
    """
    return [
        {
            "urn": one.declared.urn,
            "type": one.declared.type,
            "id": one.declared.id,
            "state": str(one.state),
            "properties": list(one.properties),
            "then": one.then,
        }
        for one in found.found
    ]


def _nothing(found: ImportPlan) -> str:
    if found.found:
        return f"Nothing to adopt: none of these {len(found.found)} resources exists; pulumi up creates them."
    return "Nothing to adopt: the stack has every resource that the program declares."
