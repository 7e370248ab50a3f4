"""What `status` shows at once, and what waits for Lambda's quota."""

from __future__ import annotations

import io
import threading
from collections import Counter
from dataclasses import replace

from rich.console import Console

from rollback.queries.status import InfrastructureStatus, Overview, overview
from rollback.views.documents import overview_document
from rollback.views.records import overview_view
from tests.doubles.world import World


def test_what_is_known_without_weights_is_there_before_any_alias_has_answered(world: World) -> None:
    world.story()
    name = world.names[0]
    world.functions.point(name, "3", {"1": 0.25})
    shown, early = threading.Event(), list[Overview]()

    def before(operation: str, _function: str) -> None:
        if operation == "GetAlias":
            assert shown.wait(20), "an alias was waited for"

    world.functions.before = before

    def look(view: Overview) -> None:
        early.append(view)
        shown.set()

    whole = overview(world.session(), early=look)

    (first,) = early
    assert (first.pending, first.exact, whole.pending, whole.exact) == (True, False, False, True)
    assert first.stands == whole.stands == "v1.2.0"
    assert first.advice[0].state == "HEALTHY"
    assert whole.advice[0].state == "DRIFT", "the weight was read"
    assert "pending" not in overview_document(whole)


def test_where_nobody_looks_meanwhile_each_function_is_asked_for_once(world: World) -> None:
    world.story()
    asked: Counter[str] = Counter()
    world.functions.before = lambda operation, _: asked.update([operation])

    overview(world.session())

    assert asked["GetAlias"] == len(world.names)
    assert asked["GetFunction"] == 0


def test_a_long_subject_of_a_commit_takes_one_line_of_80_columns(world: World) -> None:
    world.story()
    long = InfrastructureStatus(name="terraform", stands="a" * 40, says="words " * 20, quarantined=())
    output = io.StringIO()

    Console(file=output, width=80).print(
        overview_view(replace(overview(world.session()), infrastructure=(long,)))
    )

    assert sum("words" in line for line in output.getvalue().splitlines()) == 1
