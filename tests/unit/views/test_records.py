"""A record as it is shown: what its journal says many times is one line."""

from __future__ import annotations

import io

from rich.console import Console

from rollback.model.record import Event
from rollback.model.situation import RecordSeen
from rollback.views.records import record_view
from tests.doubles.records import a_record
from tests.doubles.world import ALICE


def _found(number: int, version: int) -> Event:
    return Event(
        number=number,
        kind="found",
        at=f"2026-11-24T12:00:{number:02}.000Z",
        by=ALICE,
        data={"function": f"acme-dev-lambda-f{number}", "version": str(version), "weights": {}},
        previous="",
        hash="",
    )


def test_how_many_functions_were_found_is_one_line_of_the_journal() -> None:
    moved = Event(
        number=1,
        kind="moved",
        at="2026-11-24T12:00:00.000Z",
        by=ALICE,
        data={"functions": [f"acme-dev-lambda-f{number}" for number in range(2, 44)]},
        previous="",
        hash="",
    )
    output = io.StringIO()

    seen = RecordSeen(record=a_record())
    Console(file=output, width=80).print(
        record_view(seen, [moved, *(_found(number, number % 3) for number in range(2, 44))])
    )

    lines = output.getvalue().splitlines()
    (row,) = [line for line in lines if " found " in line]
    assert row.startswith("2–43")
    assert "and 41 more like it" in " ".join(output.getvalue().split())
    assert len(lines) < 24
