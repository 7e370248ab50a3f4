"""The result: rows of a figure of ours beside another one, and whether it meets its bar."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table

# From here on three digits are too few.
_WHOLE = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
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
            "unit": self.unit,
            "ours": _rounded(self.ours),
            "theirs": _rounded(self.theirs),
            "ratio": _rounded(self.ratio),
            "bar": self.bar_text,
            "met": self.met,
        }


def write(documents: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes rows, as `Measurement.document` gives them, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(documents, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def show(documents: Sequence[Mapping[str, Any]], heading: str, console: Console) -> None:
    """Prints rows under a heading."""
    table = Table(title=heading, box=box.SIMPLE_HEAD, title_justify="left", title_style="")
    table.add_column("", overflow="fold")
    for key in ("ours", "theirs", "ratio", "bar"):
        table.add_column(key, justify="right", no_wrap=True)
    table.add_column("met")
    for document in documents:
        table.add_row(*texts(document))
    console.print(table)


def texts(document: Mapping[str, Any]) -> tuple[str, str, str, str, str, str]:
    """A row's name, ours, theirs, ratio, bar and whether it is met, as people read them."""
    unit, ratio = _spaced(document["unit"]), document["ratio"]
    ours, baseline = (
        "" if figure is None else f"{figure:,.3g}{unit}" if figure < _WHOLE else f"{figure:,.0f}{unit}"
        for figure in (document["ours"], document["theirs"])
    )
    met = {True: "yes", False: "NO", None: ""}[document["met"]]
    return (
        document["name"],
        ours,
        baseline,
        "" if ratio is None else f"{ratio:.2f}×",
        document["bar"] or "",
        met,
    )


def machine() -> str:
    """The machine in one line, with what else it is doing just now."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}{os.cpu_count()} cores, {memory:.0f} GB, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}"
    )


def _processor() -> str:
    """The processor's name where the kernel tells it (Linux on most), with a comma."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, " if names else ""


def _spaced(unit: str) -> str:
    return f" {unit}" if unit else ""


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 4)
