"""`python -m bench.figures`: checks that docs/benchmarks.md shows the figures of docs/bench.json.

`--write` updates the page; without it, exit 1 reports a difference.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bench.table import texts
from localaws.paths import ROOT
from tools.generated import in_step

PAGE = ROOT / "docs" / "benchmarks.md"
RESULT = ROOT / "docs" / "bench.json"
MARKERS = ("<!-- bench:begin -->", "<!-- bench:end -->")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 up to date (or written), 1 not."""
    return in_step(
        arguments,
        module="bench.figures",
        page=PAGE,
        markers=MARKERS,
        content=lambda: section(published()),
        what="the figures of docs/bench.json",
    )


def publish(rows: Sequence[Mapping[str, Any]], machine: str) -> None:
    """Writes new rows to docs/bench.json and docs/benchmarks.md.

    Older rows that were not measured now remain, each with its date and machine.
    """
    at = datetime.now(UTC).date().isoformat()
    names = {row["name"] for row in rows}
    kept = [row for row in published()["rows"] if row["name"] not in names]
    new = {"machine": machine, "at": at, "rows": [*({**row, "at": at} for row in rows), *kept]}
    RESULT.write_text(json.dumps(new, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    main(["--write"])


def published() -> dict[str, Any]:
    """What was published last: machine, day, and rows, each with its own day."""
    if not RESULT.exists():
        return {"machine": "", "at": "", "rows": []}
    return dict(json.loads(RESULT.read_text(encoding="utf-8")))


def section(figures: Mapping[str, Any]) -> str:
    """The figures as a Markdown table, the machine named."""
    lines = [
        f"Measured on {figures['machine']}, on {figures['at']}, on the local account.",
        "",
        "| what | ours | theirs | ratio | bar | met |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for row in figures["rows"]:
        name, *shown = texts(row)
        day = f" ({row['at']})" if row["at"] != figures["at"] else ""
        lines.append(f"| {name}{day} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
