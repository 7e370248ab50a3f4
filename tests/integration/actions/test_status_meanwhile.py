"""What `status` and `history` read at the same time, and what they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, TypeVar

from rollback.actions.status import overview
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
