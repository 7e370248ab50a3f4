"""Helpers shared by targets: steps executed in parallel, journalled in batches, and counted for the
record.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from rollback.model.record import COUNTS
from rollback.targets.base import Failure, Outcome
from rollback.util.thread_pool import Pool

T = TypeVar("T")
R = TypeVar("R")
# If a crash loses the last batch, the process that resumes detects what was done.
_MOST, _SECONDS = 25, 1.0


@dataclass(kw_only=True)
class Batch(Generic[T]):
    """Items journalled together: when there are 25, or with the next one after a second.

    `write` journals them; `clock` is monotonic, in seconds.
    """

    write: Callable[[Sequence[T]], object]
    clock: Callable[[], float] = time.monotonic
    waiting: list[T] = field(default_factory=list)
    _flushed: float = field(init=False)

    def __post_init__(self) -> None:
        self._flushed = self.clock()

    def add(self, item: T) -> None:
        self.waiting.append(item)
        self.flush_if_due()

    def flush_if_due(self) -> None:
        if len(self.waiting) >= _MOST or self.clock() - self._flushed >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        if self.waiting:
            self.write(self.waiting)
            self.waiting = []
        self._flushed = self.clock()


def carry_out(
    pool: Pool,
    todo: Sequence[T],
    do: Callable[[T], R | Failure],
    through: Callable[[R], object],
    *,
    stopping: Callable[[], bool],
    go_on: bool = False,
) -> Outcome:
    """Calls `do` for each of `todo` in parallel, and `through` with each result, one at a time.

    The first failure ends it, unless `go_on`: then only a stop leaves items out, which is `interrupted`. Running
    calls are waited for. An exception of `do` or `through` also ends it, and is raised.
    """
    halt, skipped = threading.Event(), threading.Event()
    failures: list[Failure] = []

    def one(item: T) -> R | Failure | None:
        if halt.is_set() or stopping():
            skipped.set()
            return None
        return do(item)

    try:
        for _, result in pool.unordered(one, todo):
            given = result()
            if isinstance(given, Failure):
                failures.append(given)
                if not go_on:
                    halt.set()
            elif given is not None:
                through(given)
    except BaseException:
        halt.set()
        raise
    return Outcome(failures=tuple(failures), interrupted=skipped.is_set() and (go_on or not failures))


def counts(outcomes: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The number of steps by the names in `COUNTS`; `outcomes` as of `Target.outcomes`. Pure.

    Other outcomes count as moved, e.g. `created`.
    """
    found = [item["outcome"] for item in outcomes]
    ends = {name: found.count(name) for name in COUNTS[2:]}
    moved = len(found) - sum(ends.values())
    return {"planned": len(found), "moved": moved, **ends}
