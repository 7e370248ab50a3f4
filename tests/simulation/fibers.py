"""One thing at a time: a simulated process is a thread that runs only while it is handed the baton."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable


class Killed(BaseException):
    """SIGKILL, as far as one process can play it: nothing that handles errors catches it."""


class Fiber:
    """Runs `body` in turns: `go` hands the baton over and waits until `pause`, or the end, gives it back."""

    def __init__(self, body: Callable[[], None]) -> None:
        self._body = body
        self._mine, self._theirs = _thread.allocate_lock(), _thread.allocate_lock()
        self._mine.acquire()
        self._theirs.acquire()
        self.ended = False
        self._thread: threading.Thread | None = None

    def go(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        else:
            self._mine.release()
        self._theirs.acquire()
        if self.ended:
            self._thread.join()

    def pause(self) -> None:
        """Called by the body."""
        self._theirs.release()
        self._mine.acquire()

    def _run(self) -> None:
        try:
            self._body()
        finally:
            self.ended = True
            self._theirs.release()
