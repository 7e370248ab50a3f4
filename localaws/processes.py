"""Processes by identity, not by number: a pid is used again, a pid with its start time is not."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

_POLL = 0.02
_PARENT_POLL = 0.2


def started(pid: int) -> str | None:
    """When the process `pid` began, in the kernel's own words; None if there is none (or a zombie)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except (ProcessLookupError, PermissionError):
        return None
    else:
        # The command, in brackets, may hold anything; what follows the last bracket is fixed.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, begun = answer.stdout.strip().partition(" ")
    return None if not begun or state.startswith("Z") else begun.strip()


def alive(pid: int, begun: str) -> bool:
    """Whether `pid` is still the process that began at `begun`."""
    return started(pid) == begun


def end(pid: int, begun: str, *, grace: float = 10.0) -> None:
    """SIGTERM, then SIGKILL after `grace` seconds; returns when the process is gone.

    Does nothing if the process has ended already, even if its pid is somebody else's by now.
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
    """Call `gone` when `parent` is no longer this process's parent, even after its SIGKILL.

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


def until_told(parent: int) -> Callable[[], None]:
    """From here on SIGINT, SIGTERM and the end of `parent` are noticed; what is returned waits for the first of them.

    For the main thread. It waits on a pipe that the kernel's own notice is written to: of a signal that comes in
    the moment before the wait, a handler in Python would be run only after it (`signal.set_wakeup_fd`).
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
