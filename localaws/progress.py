"""Progress on one line: live on a terminal, occasional lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

_SELDOM = 20.0


class BuildProgress:
    """Call it with the current state: `progress("building pulumi: 12 s")`.

    On a terminal a message replaces the one before it. Elsewhere a message is written if the text
    before its colon is new, or after 20 s. `done()` ends the line.
    """

    def __init__(self, stream: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._live = stream.isatty()
        self._topic, self._written = "", 0.0

    def __call__(self, message: str) -> None:
        topic = message.partition(":")[0]
        if self._live:
            if topic != self._topic:
                self.done()
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[K{message[:width]}")
        elif topic != self._topic or self._clock() - self._written >= _SELDOM:
            self._stream.write(f"{message}\n")
            self._written = self._clock()
        self._topic = topic
        self._stream.flush()

    def done(self) -> None:
        """Ends the live line, if any."""
        if self._live and self._topic:
            self._stream.write("\n")
            self._stream.flush()
        self._topic = ""
