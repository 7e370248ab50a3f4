"""What tests share although none depends on another: it takes long to make, and lasts as long as they pass.

    @pytest.fixture(scope="module")
    def worlds() -> Iterator[Shared[World]]:
        with Shared(made) as shared:
            yield shared

    @pytest.fixture
    def world(worlds: Shared[World], request: pytest.FixtureRequest) -> Iterator[World]:
        with worlds.lent(request) as world:
            yield world

A test finds it as one that passed has left it, and the next one after a failure finds one made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import TracebackType
from typing import Generic, Self, TypeVar

import pytest

T = TypeVar("T")


class Shared(Generic[T]):
    """Made when it is first asked for; ended when a test that had it has failed, and at the end."""

    def __init__(self, make: Callable[[], AbstractContextManager[T]]) -> None:
        self._make = make
        self._now: list[T] = []
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @contextmanager
    def lent(self, request: pytest.FixtureRequest) -> Iterator[T]:
        """To one test. That it has failed is known when its fixtures end."""
        if not self._now:
            self._now.append(self._closing.enter_context(self._make()))
        failed = request.session.testsfailed
        try:
            yield self._now[0]
        except BaseException:
            self._end()
            raise
        if request.session.testsfailed != failed:
            self._end()

    def _end(self) -> None:
        self._now.clear()
        self._closing.close()
