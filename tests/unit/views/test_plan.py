"""A plan as it is shown: what matters most is there where the screen ends."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from rollback.model.alias_moves import Move
from rollback.views.plan import plan_view
from tests.doubles.records import a_plan


def shown(functions: int, *, height: int, terminal: bool = True) -> list[str]:
    steps = [
        Move(
            function=f"f{number}",
            service="teams",
            from_version="2",
            to_version="1",
            code_sha256="a",
            revision_id="r",
        )
        for number in range(functions)
    ]
    output = io.StringIO()
    console = Console(
        file=output, force_terminal=terminal, color_system=None, width=80, height=height, highlight=False
    )
    console.print(plan_view(a_plan(*steps)), crop=False)
    return output.getvalue().splitlines()


@pytest.mark.parametrize(
    ("functions", "terminal", "times"), [(42, True, 2), (3, True, 1), (42, False, 1)], ids=str
)
def test_where_a_plan_is_longer_than_the_screen_it_ends_with_what_it_changes(
    functions: int, terminal: bool, times: int
) -> None:
    lines = shown(functions, height=24, terminal=terminal)

    changes = [line for line in lines if f"v2 → v1   {functions} to change" in line]
    assert len(changes) == times
    assert lines[-1].startswith("Digest ")
    assert times == 1 or lines[-2] == changes[-1]
