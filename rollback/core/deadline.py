"""A time after which nothing is begun any more, beside a person who asks to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Deadline(threading.Event):
    """Set where somebody asks to stop, and once so many `seconds` have passed. `asked` is set by a person alone.

    It bounds what comes before anything is changed: what has begun looks at `asked`, and is not cut short by time.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.asked = threading.Event()
        self._clock, self._until = clock, clock() + seconds

    @property
    def left(self) -> float:
        """Seconds; 0 once it has passed."""
        return max(0.0, self._until - self._clock())

    def set(self) -> None:
        self.asked.set()
        super().set()

    def is_set(self) -> bool:
        return super().is_set() or not self.left

    def wait(self, timeout: float | None = None) -> bool:
        super().wait(self.left if timeout is None else min(timeout, self.left))
        return self.is_set()


def asked(stop: threading.Event) -> threading.Event:
    """What a person alone sets of `stop`."""
    return stop.asked if isinstance(stop, Deadline) else stop


def timed_out(stop: threading.Event) -> bool:
    """Whether it is time, and no person, that sets `stop`."""
    return stop.is_set() and not asked(stop).is_set()
