"""Shows the latest drills against their budgets: for a terminal, for a job's summary, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from rollback.model.drill import FAILED, PASSED, Drill, ScenarioSummary, drill_document
from rollback.util.times import shown_time
from rollback.views.markdown import escape, table
from rollback.views.rich_layout import text

_HEAD = ("scenario", "RTO", "last drill", "measured", "pass", "fault", "by")


def cells(row: ScenarioSummary) -> tuple[str, ...]:
    """A row's cells; `never` for a scenario that was never drilled."""
    budget = f"{row.rto_seconds // 60} min"
    if row.last is None:
        never = "never" + (f" (planned {shown_time(row.planned)})" if row.planned else "")
        return (row.scenario, budget, never, "", "–", "", "")
    last = row.last
    return (
        row.scenario,
        budget,
        shown_time(last.began_at),
        "" if last.seconds is None else f"{last.seconds:.1f} s",
        "yes" if last.status == PASSED else "no",
        last.fault,
        last.by.person,
    )


def view(environment: str, rows: Sequence[ScenarioSummary]) -> Table:
    """For a terminal."""
    made = Table(
        title=text(f"Drills of {environment}"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    for name in _HEAD:
        made.add_column(name, justify="right" if name in ("RTO", "measured") else "left")
    for row in rows:
        shown = cells(row)
        style = "green" if shown[4] == "yes" else "yellow" if row.last is None else "red"
        made.add_row(
            *(text(cell, style if name == "pass" else "") for name, cell in zip(_HEAD, shown, strict=True))
        )
        if row.last is not None and row.last.why:
            made.add_row("", "", Text.assemble(text(row.last.why, "red")), "", "", "", "")
    return made


def one(drill: Drill) -> Table:
    """One drill, for a terminal: what the ledger has of it."""
    grid = Table(
        title=text(f"Drill {drill.drill_id}"),
        title_justify="left",
        box=None,
        show_header=False,
        padding=(0, 2, 0, 0),
        pad_edge=False,
    )
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    style = {PASSED: "green", FAILED: "red"}.get(drill.status, "yellow")
    budget = f"RTO {drill.rto_seconds // 60} min"
    rows = {
        "status": text(drill.status, style),
        "scenario": text(
            f"{drill.scenario} of {drill.environment}{', planned only' if drill.read_only else ''}"
        ),
        "fault": text(drill.fault),
        "by": text(str(drill.by)),
        "began": text(shown_time(drill.began_at)),
        "ended": text(shown_time(drill.ended_at or "not yet, or it was interrupted")),
        "measured": text("–" if drill.seconds is None else f"{drill.seconds:.1f} s, {budget}"),
        "rollbacks": text(", ".join(drill.rollbacks) or "–"),
        **({"why": text(drill.why, style)} if drill.why else {}),
    }
    for name, value in rows.items():
        grid.add_row(name, value)
    return grid


def one_document(drill: Drill) -> dict[str, Any]:
    """One drill as JSON, like its row of the history."""
    return {"drill": True, **drill_document(drill)}


def markdown(environment: str, rows: Sequence[ScenarioSummary]) -> str:
    """For a job's summary."""
    lines = table(_HEAD, [[escape(cell) for cell in cells(row)] for row in rows])
    return "\n".join([f"### Drills of {escape(environment)}", "", *lines])


def document(row: ScenarioSummary) -> dict[str, Any]:
    """A row as JSON: `{"scenario", "rto_seconds", "last": <model.drill.drill_document>, "planned_at": <ISO time>}`;
    `last` is null where the scenario was never drilled.
    """
    return {
        "scenario": row.scenario,
        "rto_seconds": row.rto_seconds,
        "last": drill_document(row.last) if row.last else None,
        "planned_at": row.planned,
    }
