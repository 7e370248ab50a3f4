"""What targets tell while they work: journalled in batches, and counted in the record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
# What a crash loses of the last batch, the process that goes on finds out by itself.
_MOST, _SECONDS = 25, 1.0


@dataclass(kw_only=True)
class Batch(Generic[T]):
    """Things that were done, journalled together: when there are 25, or with the next one after a second.

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


def counts(outcomes: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """planned, moved, confirmed, failed and reverted steps, of the `outcome` of each; pure.

    What is none of the last three and not untouched was moved, whatever the word for it is.
    """
    found = [item["outcome"] for item in outcomes]
    ends = {name: found.count(name) for name in ("confirmed", "failed", "reverted")}
    moved = len(found) - found.count("untouched") - sum(ends.values())
    return {"planned": len(found), "moved": moved, **ends}
