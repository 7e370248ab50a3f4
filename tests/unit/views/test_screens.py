"""The screens of `status` as the docs show them, and what is watched on a terminal of any size."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from rollback.views.live_status import LiveScreen
from tools import screens


@pytest.mark.parametrize("name", list(screens.pictures()))
def test_a_picture_is_what_the_view_draws_now_and_needs_nothing_from_elsewhere(name: str) -> None:
    command, view = screens.pictures()[name]
    page = screens.PLACE / f"{name}.svg"

    text = page.read_text(encoding="utf-8")

    assert text == screens.drawn(name, command, view), "python -m tools.screens --write"
    assert "url(http" not in text
    assert len(text) < 20_000


def test_each_state_is_the_one_that_its_picture_is_called_by() -> None:
    states = {name: str(view.advice[0].state) for name, view in screens.overviews().items()}

    assert states == {
        "healthy": "HEALTHY",
        "drift": "DRIFT_TO_RECORDED",
        "running": "RUNNING",
        "interrupted": "INTERRUPTED",
        "waiting-for-approval": "AWAITING_APPROVAL",
        "failed-verification": "NOT_VERIFIED",
        "frozen": "FROZEN",
        "standby": "HEALTHY",
    }


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 10), (200, 60)])
@pytest.mark.parametrize("functions", [12, 42, 5000])
def test_what_is_watched_fits_the_terminal_whatever_there_is(size: tuple[int, int], functions: int) -> None:
    watched = screens.watched()
    step = dict(watched.runs[0].outcomes[0])
    many = tuple({**step, "name": f"acme-prod-lambda-orders-{number}"} for number in range(functions))
    run = replace(watched.runs[0], outcomes=many)
    output = io.StringIO()
    console = Console(file=output, width=size[0], height=size[1], highlight=False, markup=False, emoji=False)

    console.print(LiveScreen(replace(watched, runs=(run,)), 2.0))

    lines = output.getvalue().splitlines()
    assert len(lines) <= size[1]
    assert max(map(len, lines)) <= size[0]


@pytest.mark.parametrize("width", [80, 120])
def test_a_command_to_type_next_is_whole_on_the_watched_screen(width: int) -> None:
    view = screens.overviews()["drift"]
    watched = replace(
        screens.watched(), functions=view, advice=view.advice, busy=False, runs=(), leases=(), in_flight=()
    )
    output = io.StringIO()
    Console(file=output, width=width, height=24, highlight=False, markup=False, emoji=False).print(
        LiveScreen(watched, 2.0)
    )

    shown = output.getvalue()
    # As a shell reads what is copied from the screen.
    joined = " ".join(shown.replace("\\\n", " ").split())
    for step in view.advice[0].steps:
        assert step.command in joined
    assert "orders" in shown
