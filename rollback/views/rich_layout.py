"""Layouts that follow the terminal's width: blocks side by side, and texts that wrap under themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from rollback.util.sanitize import line
from rollback.views.json_output import is_command

_GAP = 3
# A cleaned piece of a line, and its style.
Part = tuple[str, str]
# The lines of a cell.
Cell = Sequence[Sequence[Part]]


def text(value: object, style: str = "") -> Text:
    """Anything as plain text on one line, without control characters."""
    return Text(line(str(value)), style=style)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks of lines, in as many columns as fit.

    Each block goes to the shortest column so far, to use few lines.
    """

    blocks: Sequence[Sequence[Text]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if not self.blocks:
            return
        widest = max(part.cell_len for block in self.blocks for part in block)
        count = max(1, min(len(self.blocks), (options.max_width + _GAP) // (widest + _GAP)))
        columns: list[list[Text]] = [[] for _ in range(count)]
        for block in self.blocks:
            shortest = min(columns, key=len)
            shortest.extend([Text(), *block] if shortest else block)
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        for _ in columns:
            grid.add_column(no_wrap=count > 1)
        for number in range(max(map(len, columns))):
            grid.add_row(*(column[number] if number < len(column) else Text() for column in columns))
        yield grid


@dataclass(frozen=True, slots=True)
class Either:
    """`wide` where the terminal has at least so many `columns`, else `narrow`."""

    columns: int
    wide: RenderableType
    narrow: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield self.wide if options.max_width >= self.columns else self.narrow


@dataclass(frozen=True, slots=True)
class Tall:
    """`whole`, and `again` after it on a terminal that has not the lines for it: its beginning has scrolled away there."""

    whole: RenderableType
    again: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield self.whole
        # Below come a digest, a question and its answer.
        if console.is_terminal and len(console.render_lines(self.whole, options)) > console.height - 4:
            yield self.again


def following(steps: Sequence[str]) -> Iterator[RenderableType]:
    """Shows what to type next. Commands are not wrapped, so that they can be copied; a comment goes on the next line where the
    line has no room. Sentences are wrapped between words.
    """
    for index, each in enumerate(steps):
        head = "  next: " if index == 0 else "        "
        if is_command(each):
            command, _, comment = each.partition("  # ")
            yield Command(head, command, comment)
        else:
            yield hanging(head[:-1], text(each, "cyan"), "dim")


@dataclass(frozen=True, slots=True)
class Command:
    """A command after its `head`, to be copied whole, and a comment: beside it where that fits, else below."""

    head: str
    command: str
    comment: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        shown = Text.assemble((self.head, "dim"), text(self.command, "cyan"))
        comment = text(f"# {self.comment}" if self.comment else "", "dim")
        if shown.cell_len + 2 + comment.cell_len <= options.max_width:
            yield unwrapped(Text.assemble(shown, "  " if comment else "", comment))
            return
        yield unwrapped(shown)
        if comment:
            yield hanging(" " * (len(self.head) - 1), comment)


@dataclass(frozen=True, slots=True)
class Listing:
    """A table for thousands of rows, ten times as fast as rich's, which lays out each cell separately.

    The first column is never wrapped; the others wrap instead of being cut, down to their `least` width.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    least: Sequence[int]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        natural = [
            max(map(_width, [[(head, "")], *(line for row in self.rows for line in row[column])]))
            for column, head in enumerate(self.heads)
        ]
        gaps = _GAP * (len(natural) - 1)
        widths = [natural[0], *fitted(natural[1:], self.least[1:], options.max_width - gaps - natural[0])]
        styles: dict[str, Style] = {}

        def shown(cells: Sequence[Cell]) -> Iterator[Segment]:
            """A row of cells: as many lines as the tallest cell."""
            broken = [
                [part for line in cell for part in _broken(console, line, width)]
                for cell, width in zip(cells, widths, strict=True)
            ]
            for number in range(max(map(len, broken))):
                filler = 0
                for lines, width in zip(broken, widths, strict=True):
                    line = lines[number] if number < len(lines) else ()
                    if line and filler:
                        yield Segment(" " * filler)
                        filler = 0
                    for part, style in line:
                        if style not in styles:
                            styles[style] = console.get_style(style) if style else Style.null()
                        yield Segment(part, styles[style])
                    filler += width - _width(line) + _GAP
                yield Segment.line()

        yield from shown([[[(head, "bold")]] for head in self.heads])
        yield Segment(("-" if options.ascii_only else "─") * (sum(widths) + gaps))
        yield Segment.line()
        for row in self.rows:
            yield from shown(row)


def fitted(natural: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """The widths of columns that share `width`: their `natural` widths, if there is room.

    Otherwise the widest columns shrink first, none below its `least`. Pure.
    """
    order = sorted(range(len(natural)), key=natural.__getitem__)
    lowest = [min(wanted, max(below, 1)) for wanted, below in zip(natural, least, strict=True)]
    found = dict.fromkeys(order, 0)
    for place, column in enumerate(order):
        left, others = width - sum(found.values()), order[place + 1 :]
        share = min(left // (len(others) + 1), left - sum(lowest[one] for one in others))
        found[column] = min(natural[column], max(share, lowest[column]))
    return [found[column] for column in range(len(natural))]


def _width(line: Sequence[Part]) -> int:
    return sum(len(part) if part.isascii() else cell_len(part) for part, _ in line)


def _broken(console: Console, line: Sequence[Part], width: int) -> Iterator[Sequence[Part]]:
    """A line, wrapped at `width`."""
    if _width(line) <= width:
        yield line
        return
    for piece in Text.assemble(*line).wrap(console, width, overflow="fold"):
        yield [(segment.text, str(segment.style or "")) for segment in piece.render(console) if segment.text]


def aligned(rows: Sequence[tuple[Text, ...]], right: Sequence[int] = ()) -> list[Text]:
    """Rows of cells as aligned lines; the columns `right` are flush right."""
    widths = [max(row[index].cell_len for row in rows) for index in range(len(rows[0]))] if rows else []
    lines = []
    for row in rows:
        whole = Text()
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            filler = " " * (width - cell.cell_len)
            whole.append_text(Text.assemble(filler, cell) if index in right else Text.assemble(cell, filler))
            whole.append(" ")
        whole.rstrip()
        lines.append(whole)
    return lines


def hanging(mark: str, text: Text, style: str = "") -> Table:
    """A text whose lines wrap to the right of its mark."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(mark, style=style), text)
    return grid


def shortened(value: str, most: int) -> str:
    """A text of at most `most` characters; an ellipsis marks what was cut."""
    return value if len(value) <= most else f"{value[: most - 1].rstrip()}…"


def unwrapped(text: Text) -> Text:
    """A line to copy: it is not wrapped, whatever the width.

    It must be printed without cropping (`terminal.Terminal`).
    """
    text.no_wrap, text.overflow = True, "ignore"
    return text


def lines_to_copy(*values: object, under: str = "") -> Group:
    """Each value on its own line, not wrapped, so that it can be copied; `under` a sentence, which is wrapped."""
    return Group(*([text(under)] if under else []), *(unwrapped(text(value)) for value in values))
