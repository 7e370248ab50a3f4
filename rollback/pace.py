"""Keeps calls below a quota: a token bucket for each, shared by all threads of the process.

Lambda allows 15 control-plane calls a second in an account and region, and 100 GetFunction calls
(AWS, "Lambda quotas", API requests). Calls beyond are answered with a throttle that costs a retry, so
it is faster never to exceed them. The bucket is asked before every attempt that leaves the process,
retries included.
"""

from __future__ import annotations

import threading
import time
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
