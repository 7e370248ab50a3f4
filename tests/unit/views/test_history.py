"""History as it is shown: what a commit is about once, and not at length."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from rollback.queries.history import Moment
from rollback.views.records import history_view

RELEASE = Moment(
    at="2026-11-28T12:00:00Z",
    kind="release",
    what="v1.1.0",
    result="COMPLETE",
    actor="dana",
    commit="a" * 40,
    subject="Orders are priced by the hour " + "and all that follows from it " * 4,
)


def shown(*moments: Moment, width: int) -> str:
    output = io.StringIO()
    Console(file=output, width=width, highlight=False, markup=False, emoji=False).print(
        history_view(moments), crop=False
    )
    return " ".join(output.getvalue().split())


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_subject_of_a_commit_is_shown_once_and_not_at_length(width: int) -> None:
    text = shown(RELEASE, replace(RELEASE, what="v1.0.0"), width=width)

    assert text.count("Orders are priced") == 1
    assert text.count("commit aaaaaaaaaaaa") == 2
    assert text.count("that follows") < 2


def test_the_reason_of_a_rollback_is_shown_whole_and_each_time() -> None:
    one = replace(RELEASE, kind="aliases", what="01M", movement="v2 → v1", commit="")

    text = shown(one, replace(one, what="01N"), width=200)

    assert text.count("that follows") == 8


@pytest.mark.parametrize("width", [32, 40, 49, 50, 60, 75, 76])
def test_an_id_is_in_one_piece_on_a_narrow_terminal_too(width: int) -> None:
    rollback = replace(RELEASE, kind="aliases", what="01M8JX2VXJ6YYXTC9PQD332Z52", movement="v2 → v1")

    assert rollback.what in shown(rollback, width=width).split()
