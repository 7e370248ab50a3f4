"""A time after which nothing new is started, combined with a person's request to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Deadline(threading.Event):
    """Set by a request to stop, and after `seconds`. `asked` is only set by the request.

    It limits the time before anything is changed: later steps check `asked`, and are not interrupted by time.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.asked = threading.Event()
        self._clock, self._until = clock, clock() + seconds

    @property
    def left(self) -> float:
        """The remaining seconds; 0 after the deadline."""
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
    """The event in `stop` that only a person sets."""
    return stop.asked if isinstance(stop, Deadline) else stop


def timed_out(stop: threading.Event) -> bool:
    """Whether `stop` is set by time, not by a person."""
    return stop.is_set() and not asked(stop).is_set()
