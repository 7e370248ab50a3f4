"""Clocks, sleep, background heartbeats and new identifiers: passed in as values, so that tests can replace
them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ulid import ULID


def in_a_thread(name: str, seconds: float, beat: Callable[[], bool]) -> Callable[[], None]:
    """Calls `beat` every `seconds` in a background thread, until it returns false.

    Returns a function that stops it, and that waits for a running call.
    """
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(seconds):
            if not beat():
                return

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()

    def end() -> None:
        stop.set()
        thread.join()

    return end


def since_boot() -> float:
    """Monotonic seconds that include the time in which the machine was suspended.

    A lease also expires while its holder's laptop is suspended: `CLOCK_MONOTONIC` stops then, `CLOCK_BOOTTIME` does
    not (https://man7.org/linux/man-pages/man2/clock_gettime.2.html). Falls back to `time.monotonic`.
    """
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def _ulid() -> str:
    return str(ULID())


@dataclass(frozen=True, kw_only=True)
class Clocks:
    """`now` returns ISO 8601 in UTC; `monotonic` returns seconds, `sleep` takes seconds.

    `beating` is like `in_a_thread`; `identifier` returns a new unique name each time, which sorts by time.
    """

    now: Callable[[], str]
    monotonic: Callable[[], float] = since_boot
    sleep: Callable[[float], None] = time.sleep
    beating: Callable[[str, float, Callable[[], bool]], Callable[[], None]] = in_a_thread
    identifier: Callable[[], str] = _ulid
