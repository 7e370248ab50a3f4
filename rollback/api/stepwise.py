"""Work that is reported step by step, as events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rollback.api.events import Reporter

# Begins a piece of work of so many steps (0: unknown), and returns what is called after each.
Progress = Callable[[str, int], Callable[[], None]]


@contextmanager
def stepwise(reporter: Reporter) -> Iterator[Progress]:
    """Gives a function that begins the next piece of work and emits its events."""
    running = False
    lock = threading.Lock()

    def begin(what: str, total: int) -> Callable[[], None]:
        nonlocal running
        if running:
            reporter.finish()
        running, done = True, 0
        reporter.start(what, total)

        def step() -> None:
            nonlocal done
            with lock:
                done += 1
                reporter.progress(done)

        return step

    try:
        yield begin
    finally:
        if running:
            reporter.finish()
