"""Thread pools, for doing the same with many functions or items in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")
WORKERS = 16


class Pool(Protocol):
    """Calls a function for many items."""

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """The results in order; the first error is raised."""

    def unordered(
        self, function: Callable[[T], R], items: Iterable[T]
    ) -> Iterator[tuple[T, Callable[[], R]]]:
        """Yields each item as soon as it is done, with a function that returns its result or raises its error."""


class Threads:
    """A `Pool` of threads."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        return self._executor.map(function, items)

    def unordered(
        self, function: Callable[[T], R], items: Iterable[T]
    ) -> Iterator[tuple[T, Callable[[], R]]]:
        futures: dict[Future[R], T] = {self._executor.submit(function, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result


@contextmanager
def workers() -> Iterator[Pool]:
    """A pool of threads that waits for running work at its end, unless a second Ctrl-C stops it at once."""
    executor = ThreadPoolExecutor(WORKERS)
    wait = True
    try:
        yield Threads(executor)
    except KeyboardInterrupt:
        wait = False
        raise
    finally:
        executor.shutdown(wait=wait, cancel_futures=not wait)
