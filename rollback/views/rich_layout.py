"""Layouts that follow the terminal's width: blocks side by side, and texts that wrap under themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from rollback.core.sanitize import line

_GAP = 3


def text(value: object, style: str = "") -> Text:
    """Anything as plain text on one line, without what a terminal would act upon."""
    return Text(line(str(value)), style=style)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks of lines, in as many columns as the width holds.

    Each goes under the shortest column so far, so that all of them take as few lines as may be.
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


def aligned(rows: Sequence[tuple[Text, ...]], right: Sequence[int] = ()) -> list[Text]:
    """Rows of cells as lines whose cells stand under each other; columns `right` flush right."""
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


def unwrapped(text: Text) -> Text:
    """A line to copy: whatever the width, there is no line break in it but the terminal's own.

    Only where it is printed without cropping (`terminal.Terminal`).
    """
    text.no_wrap, text.overflow = True, "ignore"
    return text


def lines_to_copy(*values: object) -> Group:
    """Each value on a line of its own, which is copied whole."""
    return Group(*(unwrapped(text(value)) for value in values))
