"""The same sentence of many subjects is one sentence with a count."""

from __future__ import annotations

import pytest

from rollback.model.grouping import together

ALL = [f"teams-{number:02}" for number in range(1, 43)]


def at(number: int) -> str:
    return f"is at version {number + 1}, expected {number}"


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        ([], []),
        ([("a", "no alias")], ["a: no alias"]),
        ([("a", "no alias"), ("b", "no alias")], ["a, b: no alias"]),
        (
            [(name, "no alias") for name in ALL],
            ["teams-01, teams-02, teams-03 and 39 more: no alias"],
        ),
        ([("a", at(1)), ("b", at(2))], [f"a: {at(1)}", f"b: {at(2)}"]),
        (
            [(name, at(number)) for number, name in enumerate(ALL, 1)],
            [f"teams-01: {at(1)}; and 41 more like it (teams-02, teams-03, teams-04 and 38 more)"],
        ),
        ([("a", "x"), ("b", "y"), ("c", "x")], ["a, c: x", "b: y"]),
        ([("", "once for all"), ("", "once for all")], ["once for all"]),
    ],
)
def test_each_sentence_is_shown_once_with_whom_it_is_about(
    found: list[tuple[str, str]], lines: list[str]
) -> None:
    assert together(found) == lines
