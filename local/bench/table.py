"""The result: rows of a figure of ours beside another one, and whether it meets its bar."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """`ours` in `unit`, beside `theirs` where there is something to compare it with.

    `bar` bounds the ratio where there is one, else `ours`: from below where larger is `better`, else from
    above. None: shown for information.
    """

    name: str
    ours: float
    unit: str = "s"
    theirs: float | None = None
    better: Literal["larger", "smaller"] = "smaller"
    bar: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times faster than theirs where larger is better; else how many times theirs."""
        if not self.theirs or not self.ours:
            return None
        return self.theirs / self.ours if self.better == "larger" else self.ours / self.theirs

    @property
    def met(self) -> bool | None:
        if self.bar is None:
            return None
        figure = self.ours if self.ratio is None else self.ratio
        return figure >= self.bar if self.better == "larger" else figure <= self.bar

    @property
    def bar_text(self) -> str | None:
        if self.bar is None:
            return None
        unit = "×" if self.ratio is not None else _spaced(self.unit)
        return f"{'≥' if self.better == 'larger' else '≤'} {self.bar:g}{unit}"

    def document(self) -> dict[str, Any]:
        """The row as `bench.json` has it."""
        return {
            "name": self.name.strip(),
            "ours": _rounded(self.ours),
            "theirs": _rounded(self.theirs),
            "ratio": _rounded(self.ratio),
            "bar": self.bar_text,
            "met": self.met,
        }


def write(rows: Sequence[Row], path: Path) -> None:
    """Writes the rows as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([row.document() for row in rows], indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def show(rows: Sequence[Row], heading: str, console: Console) -> None:
    """Prints the rows under a heading."""
    table = Table(title=heading, box=box.SIMPLE_HEAD, title_justify="left", title_style="")
    table.add_column("", overflow="fold")
    for word in ("ours", "theirs", "ratio", "bar"):
        table.add_column(word, justify="right", no_wrap=True)
    table.add_column("met")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.ours:,.4g}{_spaced(row.unit)}",
            "" if row.theirs is None else f"{row.theirs:,.4g}{_spaced(row.unit)}",
            "" if row.ratio is None else f"{row.ratio:.2f}×",
            row.bar_text or "",
            {True: "yes", False: "NO", None: ""}[row.met],
        )
    console.print(table)


def machine() -> str:
    """The machine in one line, with what else it is doing just now."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GB, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}"
    )


def _spaced(unit: str) -> str:
    return f" {unit}" if unit else ""


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 4)
