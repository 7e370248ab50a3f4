"""Processes that end with the one that has started them, however that one ends."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager


@contextmanager
def pool() -> Iterator[ProcessPoolExecutor]:
    """One process a core. An exception in the block, Ctrl-C included, ends them at once, whatever they are at."""
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawned, initializer=_end_with_parent) as running:
        try:
            yield running
        except BaseException:
            for process in multiprocessing.active_children():
                process.kill()
            raise


def _end_with_parent() -> None:
    """The others hold the queue's ends as well, so that none would find it closed once their parent is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
