"""Keeps calls below a quota: a limit for each, shared by all threads of the process.

Lambda allows 15 control-plane calls a second in an account and region, and 100 GetFunction calls
(AWS, "Lambda quotas", API requests). Calls beyond are answered with a throttle that costs a retry, so
it is faster never to exceed them. The limit is asked before every attempt that leaves the process,
retries included.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class TokenBucket:
    """`rate` tokens a second, at most `burst` saved up. `take` waits until one is free."""

    rate: float
    burst: int
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _next: float = field(init=False, default=float("-inf"))
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def take(self) -> float:
        """Takes a token; returns the seconds waited for it.

        The bucket is kept as the time at which it would have been full but for `burst` tokens, so that
        the order of threads does not matter and nobody wakes up in vain.
        """
        with self._lock:
            now = self.clock()
            slot = max(self._next, now - (self.burst - 1) / self.rate)
            self._next = slot + 1 / self.rate
        wait = slot - now
        if wait > 0:
            self.sleep(wait)
            return wait
        return 0.0


@dataclass(kw_only=True)
class SlidingWindow:
    """At most `limit` calls in any `seconds`, as early as that allows. `take` waits until one may go.

    It keeps below a quota of that many a second however it is counted: by the second or by a bucket. A few
    dozen reads, which are what a person waits for, go at once.
    """

    limit: int
    seconds: float = 1.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _slots: deque[float] = field(init=False, default_factory=deque)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def take(self) -> float:
        """Takes a call's place; returns the seconds waited for it."""
        with self._lock:
            now = slot = self.clock()
            if len(self._slots) >= self.limit:
                slot = max(now, self._slots.popleft() + self.seconds)
            self._slots.append(slot)
        wait = slot - now
        if wait > 0:
            self.sleep(wait)
            return wait
        return 0.0


@dataclass(kw_only=True)
class Budget:
    """`rate` units a second, paid for after they were used: whoever used many waits until they are paid."""

    rate: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _paid: float = field(init=False, default=float("-inf"))
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def spend(self, units: float) -> None:
        """Accounts for `units` that were used, and returns once they are paid for."""
        with self._lock:
            now = self.clock()
            self._paid = max(self._paid, now) + units / self.rate
            wait = self._paid - now
        if wait > 0:
            self.sleep(wait)
