"""Time, and all that depends on it, handed in: clocks, sleep, a beat, and names that nobody else has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ulid import ULID


def in_a_thread(name: str, seconds: float, beat: Callable[[], bool]) -> Callable[[], None]:
    """Calls `beat` every `seconds` in a thread of its own, until it returns false.

    Returns what ends that; it waits for a beat that is under way.
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


def _ulid() -> str:
    return str(ULID())


@dataclass(frozen=True, kw_only=True)
class Clocks:
    """`now` is ISO 8601 in UTC, `monotonic` and `sleep` are seconds.

    `beating` is as `in_a_thread`; `identifier` gives a new name each time, and they sort by time.
    """

    now: Callable[[], str]
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    beating: Callable[[str, float, Callable[[], bool]], Callable[[], None]] = in_a_thread
    identifier: Callable[[], str] = _ulid
