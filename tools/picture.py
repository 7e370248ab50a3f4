"""`python -m tools.picture`: checks that `docs/who-calls-what.svg` matches the description here; `--write` draws it.

The picture needs no other file: no font, no script and no style. It is light or dark like the reader's
browser. https://www.w3.org/TR/SVG2/
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from localaws.paths import ROOT

PAGE = ROOT / "docs" / "who-calls-what.svg"
_ROW, _BOX, _TOP = 62, 46, 20
# Where each column begins, and how wide its boxes are.
_COLUMNS = ((10, 200), (300, 190), (580, 330))
_WIDTH = 920
_STYLE = (
    "text{font:14px sans-serif;fill:#1a1a1a}.small{font-size:12px;fill:#555}"
    "rect{fill:#f4f6f8;stroke:#8a949e}.page{fill:#fff;stroke:none}path{fill:none;stroke:#57606a}"
    "marker path{fill:#57606a;stroke:none}.ours{fill:#dbeafe;stroke:#3b82f6}"
    "@media(prefers-color-scheme:dark){text{fill:#e6e6e6}.small{fill:#a8b0b8}rect{fill:#24292f;stroke:#6e7781}"
    ".page{fill:#0d1117}path{stroke:#9aa4af}marker path{fill:#9aa4af}.ours{fill:#1e3a5f;stroke:#60a5fa}}"
)


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box: its name, what it does in one line, its column, and its rows."""

    name: str
    does: str
    column: int
    row: float
    rows: int = 1

    @property
    def middle(self) -> float:
        return _TOP + self.row * _ROW + ((self.rows - 1) * _ROW + _BOX) / 2

    @property
    def left(self) -> int:
        return _COLUMNS[self.column][0]

    @property
    def right(self) -> int:
        return sum(_COLUMNS[self.column])


COMMAND = Box(name="rollback", does="the command, or the Python API", column=1, row=0, rows=9)
PEOPLE = (
    Box(name="Person on call, or a CI job", does="rollback role", column=0, row=1),
    Box(name="Deployer, or a CI job", does="deployer role", column=0, row=3),
    Box(name="Another person", does="approver role: approve", column=0, row=5),
    Box(name="Alarm → guard function", does="takes a standby, if enabled", column=0, row=7),
)
# What the command calls: name → purpose.
CALLED = {
    "STS": "who you are, and in which account",
    "DynamoDB: the ledger": "releases, records, leases, approvals",
    "S3: the archive of the ledger": "heads and manifests that nobody can change",
    "Lambda": "reads functions, moves aliases, invokes them",
    "SSM Parameter Store": "what is deployed: version and commits",
    "Pulumi, Terraform": "for stack, terraform and full",
    "DynamoDB: your tables": "for table: point-in-time recovery",
    "git": "commits, and the settings of the protected branch",
    "Your smoke command, and Slack": "proves the release; tells people",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if the picture is up to date, or was drawn; 1 if not."""
    made = "\n".join(svg()) + "\n"
    if "--write" in (sys.argv[1:] if arguments is None else arguments):
        PAGE.write_text(made, encoding="utf-8")
    if PAGE.read_text(encoding="utf-8") == made:
        return 0
    print(f"{PAGE.name} is out of date. Run: python -m tools.picture --write", file=sys.stderr)
    return 1


def svg() -> Iterator[str]:
    """The picture, line by line."""
    called = [Box(name=name, does=does, column=2, row=row) for row, (name, does) in enumerate(CALLED.items())]
    height = round(2 * _TOP + (len(called) - 1) * _ROW + _BOX)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        'aria-labelledby="title">'
    )
    yield '<title id="title">Who calls rollback, and what it calls</title>'
    yield f"<style>{_STYLE}</style>"
    yield (
        '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z"/></marker></defs>'
    )
    yield f'<rect class="page" width="{_WIDTH}" height="{height}"/>'
    for who in PEOPLE:
        yield _arrow(who.right, who.middle, COMMAND.left, who.middle)
    for there in called:
        yield _arrow(COMMAND.right, there.middle, there.left, there.middle)
    for box in (*PEOPLE, COMMAND, *called):
        yield from _drawn(box)
    yield "</svg>"


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<path d="M{x:g} {y:g}L{to_x:g} {to_y:g}" marker-end="url(#end)"/>'


def _drawn(box: Box) -> Iterator[str]:
    height = (box.rows - 1) * _ROW + _BOX
    ours = ' class="ours"' if box is COMMAND else ""
    yield (
        f'<rect{ours} x="{box.left}" y="{box.middle - height / 2:g}" width="{box.right - box.left}" '
        f'height="{height}" rx="6"/>'
    )
    for text, offset, style in ((box.name, -4, ""), (box.does, 14, ' class="small"')):
        yield (
            f'<text{style} x="{(box.left + box.right) / 2:g}" y="{box.middle + offset:g}" '
            f'text-anchor="middle">{escape(text)}</text>'
        )


if __name__ == "__main__":
    sys.exit(main())
