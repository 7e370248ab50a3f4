"""What `status` says while something is under way, and what it reads at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from rich.console import Console

from rollback.model.request import AliasesRequest, FullRequest
from rollback.queries.status import Overview, overview
from rollback.views.records import overview_view
from tests.doubles.world import World

T = TypeVar("T")
R = TypeVar("R")


class LastFirst:
    """A pool whose threads happen to begin with what was asked for last."""

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        return iter([function(item) for item in reversed(list(items))][::-1])

    def unordered(
        self, function: Callable[[T], R], items: Iterable[T]
    ) -> Iterator[tuple[T, Callable[[], R]]]:
        raise NotImplementedError


class Noting:
    """A client whose calls are noted."""

    def __init__(self, client: Any, notes: list[str]) -> None:
        self._client, self._notes = client, notes

    def __getattr__(self, name: str) -> Any:
        self._notes.append(name)
        return getattr(self._client, name)


def pool() -> AbstractContextManager[Any]:
    return nullcontext(LastFirst())


def test_what_is_recorded_is_read_before_what_is_deployed_so_that_a_rollback_that_ends_meanwhile_is_no_drift(
    world: World,
) -> None:
    world.story()
    notes: list[str] = []
    session = world.session()
    account = replace(session.account, lambda_=Noting(session.account.lambda_, notes), workers=pool)
    session.ledger.watch = lambda _: notes.append("the timeline's head")

    overview(replace(session, account=account))

    assert notes[0] == "the timeline's head"
    assert "get_alias" in notes


def stopped_half_way(world: World, request: Any, kind: str) -> str:
    """The id of a rollback that was interrupted after it had moved an alias."""
    stop = threading.Event()
    world.functions.after = lambda operation, _: stop.set() if operation == "UpdateAlias" else None
    ended = world.flow(stop=stop).start(kind, request, "it went bad")
    assert ended.record is not None
    if ended.record.status == "AWAITING_APPROVAL":
        ended = world.flow(stop=stop).apply(ended.record.rollback_id, ended.record.digest)
    world.functions.after = lambda *_: None
    assert ended.record is not None
    assert ended.record.status == "IN_PROGRESS"
    return ended.record.rollback_id


def on_the_screen(view: Overview) -> list[str]:
    console = Console(width=120, force_terminal=False)
    with console.capture() as shown:
        console.print(overview_view(view), crop=False)
    return shown.get().splitlines()


@pytest.mark.parametrize(
    ("kind", "request_"), [("aliases", AliasesRequest()), ("full", FullRequest(release="v1.1.0"))]
)
def test_what_an_interrupted_rollback_has_moved_is_no_drift_and_is_one_line(
    world: World, kind: str, request_: Any
) -> None:
    world.story()
    name = stopped_half_way(world, request_, kind)

    view = overview(world.session())

    statuses = [status for service in view.services for status in service.functions]
    assert {status.moved_by for status in statuses} >= {name}
    assert all(status.ok for status in statuses)
    lines = on_the_screen(view)
    assert len([line for line in lines if name in line and "changed by" in line]) == 1
    assert not [line for line in lines if "at version" in line]


def test_what_somebody_else_moves_meanwhile_is_drift_all_the_same(world: World) -> None:
    world.story()
    stopped_half_way(world, AliasesRequest(), "aliases")
    other = world.names[-1]
    world.functions.point(other, world.functions.publish(other, "v9"))

    view = overview(world.session())

    assert [
        status.function for service in view.services for status in service.functions if not status.ok
    ] == [other]
