"""Ends processes of the local account: others by pid and start time, and this one with its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

from rollback.util.process_identity import alive

_POLL = 0.02
_PARENT_POLL = 0.2


def end(pid: int, begun: str, *, grace: float = 10.0) -> None:
    """Ends the process `pid` that began at `begun`: SIGTERM, then SIGKILL after `grace` seconds; returns when it has
    ended.

    Does nothing if the process has ended already, even if another process has its pid now.
    """
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        if not alive(pid, begun):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and alive(pid, begun):
            time.sleep(_POLL)


def watch_parent(parent: int, gone: Callable[[], object]) -> threading.Thread:
    """Calls `gone` when `parent` is no longer this process's parent, even after its SIGKILL.

    Polled, because a kernel notice (PR_SET_PDEATHSIG) is Linux's alone and fires when the parent's
    *thread* ends.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_POLL)
        gone()

    thread = threading.Thread(target=watch, name="parent-watch", daemon=True)
    thread.start()
    return thread


def until_notified(parent: int) -> Callable[[], None]:
    """Starts to watch for SIGINT, SIGTERM and the end of `parent`; returns a function that waits for the first of them.

    For the main thread. It waits on a pipe to which the kernel's notice is written: for a signal in
    the moment before the wait, a Python handler would run only after it (`signal.set_wakeup_fd`).
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    watch_parent(parent, lambda: os.write(wake, b"\0"))

    def wait() -> None:
        os.read(woken, 1)

    return wait
