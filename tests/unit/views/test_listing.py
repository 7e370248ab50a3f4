"""Tables of thousands of rows: laid out by width, nothing of them cut."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from rollback.views.rich_layout import Cell, Listing, fitted

_ID = "01M8HTKNS4C65QW0CF6SBNAGE0"


def shown(width: int, rows: list[list[Cell]], least: tuple[int, ...] = (0, 26, 0)) -> list[str]:
    output = io.StringIO()
    console = Console(file=output, width=width, highlight=False, markup=False, emoji=False)
    console.print(Listing(("when", "what", "how"), rows, least), crop=False)
    return output.getvalue().splitlines()


def plain(*lines: str) -> Cell:
    return [[(line, "")] for line in lines]


def test_a_row_has_as_many_lines_as_its_longest_cell_each_in_its_column() -> None:
    _, _, first, second, third, after = shown(
        100, [[plain("08:00"), plain("a", "b"), plain("x", "y", "z")], [plain("09:00"), plain(), plain("w")]]
    )

    assert [line.split() for line in (first, second, third)] == [["08:00", "a", "x"], ["b", "y"], ["z"]]
    assert first.index("x") == second.index("y") == third.index("z") == after.index("w")
    assert first.index("a") == second.index("b")


def test_what_is_too_long_is_broken_and_an_id_stays_whole() -> None:
    lines = shown(76, [[plain("2026-01-01 00:00:23"), plain("v" * 40, _ID), plain("by " + "w" * 70)]])

    assert any(_ID in line for line in lines)
    assert all(len(line.rstrip()) <= 76 for line in lines)
    assert sum(line.count("v") for line in lines) == 40
    assert sum(line.count("w") for line in lines[1:]) == 70


def test_letters_that_take_two_columns_are_counted_as_two() -> None:
    wide, narrow = shown(
        100, [[plain("1"), plain("図書館"), plain("x")], [plain("2"), plain("ab"), plain("x")]]
    )[2:]

    assert cell_len(wide[: wide.index("x")]) == narrow.index("x")


def test_styles_are_kept_where_a_line_is_broken() -> None:
    output = io.StringIO()
    console = Console(file=output, width=60, force_terminal=True, color_system="standard")
    red: Cell = [[("bad " * 20, "red")]]
    console.print(Listing(("when", "what", "how"), [[plain("1"), plain("a"), red]], (0, 0, 0)), crop=False)

    assert output.getvalue().count("\x1b[31m") >= 2


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 30)), min_size=1, max_size=5), st.integers(1, 300)
)
def test_columns_take_what_they_want_or_share_what_there_is(
    columns: list[tuple[int, int]], width: int
) -> None:
    natural, least = [one for one, _ in columns], [one for _, one in columns]

    widths = fitted(natural, least, width)

    assert all(0 <= got <= wanted for got, wanted in zip(widths, natural, strict=True))
    assert all(got >= min(a, b) for got, a, b in zip(widths, least, natural, strict=True))
    if sum(natural) <= width:
        assert widths == natural
    if sum(max(one, 1) for one in least) <= width:
        assert sum(widths) <= width
