"""`python -m bench.readme`: README's measured figures are those of docs/bench.json, between two markers.

With `--write` they are made so; without it, exit 1 says that they are not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.table import texts
from localaws.errors import LocalError
from localaws.paths import ROOT

RESULT = ROOT / "docs" / "bench.json"
README = ROOT / "README.md"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
_FIX = "python -m bench.readme --write"


def in_step(
    arguments: Sequence[str] | None,
    *,
    module: str,
    page: Path,
    markers: tuple[str, str],
    content: Callable[[], str],
    what: str,
) -> int:
    """Whether a page shows `content` between its markers, or with `--write` made so: the exit code, 0 or 1."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=sys.modules["__main__"].__doc__)
    parser.add_argument("--write", action="store_true", help="replace what is between the markers")
    options = parser.parse_args(arguments)
    text = page.read_text(encoding="utf-8")
    try:
        wanted = between(text, markers, content())
    except LocalError as error:
        print(f"{page.name}: {error}", file=sys.stderr)
        return 1
    if options.write:
        page.write_text(wanted, encoding="utf-8")
    elif wanted != text:
        print(f"{page.name} does not show {what}. Run: python -m {module} --write", file=sys.stderr)
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 in step (or made so), 1 not."""
    parser = argparse.ArgumentParser(prog="python -m bench.readme", description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace what stands between the markers")
    options = parser.parse_args(arguments)
    text = README.read_text(encoding="utf-8")
    try:
        wanted = replaced(text, published())
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    if options.write:
        README.write_text(wanted, encoding="utf-8")
    elif wanted != text:
        print(f"README.md does not show what docs/bench.json holds. Run: {_FIX}", file=sys.stderr)
        return 1
    return 0


def publish(rows: Sequence[Mapping[str, Any]], machine: str) -> None:
    """Puts rows that were measured now into docs/bench.json and README.md; rows of before that were not
    measured stay, each with its day and machine.
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


def replaced(text: str, figures: Mapping[str, Any]) -> str:
    """README's text with `figures` (as `published` gives them). Raises `LocalError` where the markers are missing."""
    return between(text, (BEGIN, END), section(figures))


def between(text: str, markers: tuple[str, str], section: str) -> str:
    """A page's text with `section` between two markers. Raises `LocalError` where these are missing."""
    first, last = markers
    head, begin, rest = text.partition(first)
    _, end, tail = rest.partition(last)
    if not begin or not end:
        raise LocalError(f"The page has no lines {first} and {last} for what is generated.")
    return f"{head}{begin}\n{section}{end}{tail}"


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
