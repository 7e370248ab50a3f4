"""A plan as it is shown: what matters most is there where the screen ends."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from rollback.model.alias_moves import Move
from rollback.model.retention import Doomed, Published
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


def test_what_is_deleted_is_a_line_each_and_the_same_reason_to_keep_is_one_line_with_a_count() -> None:
    steps = [
        Doomed(
            function=f"acme-dev-lambda-teams-f{number}",
            service="teams",
            delete=(Published(number=1, size=1000),) if number < 30 else (),
            kept={"2": "release v1", "3": "alias live, v2 stands"},
        )
        for number in range(42)
    ]
    output = io.StringIO()
    plan = a_plan(*steps, kind="prune", infrastructure={"delete": 30})

    Console(file=output, width=80).print(plan_view(plan), crop=False)

    lines = output.getvalue().splitlines()
    assert all(any(f"  f{number} " in line for line in lines) for number in range(30))
    assert sum("release v1" in line for line in lines) == 1
    assert any("42" in line and "v2 is deployed" in line for line in lines)
    assert any("42" in line and "alias live" in line for line in lines)
    assert any("12 lose nothing" in line for line in lines)
    assert max(map(len, lines)) <= 80
