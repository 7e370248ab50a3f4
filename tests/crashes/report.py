"""How the runs ended, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run: where it was ended, what was typed then, how that ended, and what is wrong with it."""

    phase: str
    point: str
    then: str
    outcome: str
    wrong: str = ""


def table(rows: Sequence[Row]) -> str:
    """All rows, those that are wrong with why."""
    lines = [("phase", "point", "then", "outcome")]
    lines += [(row.phase, row.point, row.then, row.outcome if not row.wrong else "WRONG") for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    shown = [
        "  ".join([*(text.ljust(width) for text, width in zip(line, widths, strict=False)), line[3]])
        for line in lines
    ]
    wrong = [f"\n{row.point}, then {row.then}:\n{row.wrong}" for row in rows if row.wrong]
    return "\n".join([*shown, f"{len(rows)} runs, {len(wrong)} wrong", *wrong])
