"""How long somebody at a terminal waits until a command has shown them something."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from localaws.errors import LocalError

_LINES, _COLUMNS = 24, 80


def first(command: Sequence[str], folder: Path, env: Mapping[str, str], sign: str) -> tuple[float, float]:
    """Seconds until `sign` is on a terminal of 80×24, and until the command has ended. Raises `LocalError` where it is
    never there, or the command fails.
    """
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
    began, shown, seen = time.monotonic(), 0.0, b""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**env, "TERM": "xterm-256color"},
        stdin=writing,
        stdout=writing,
        stderr=writing,
    )
    os.close(writing)
    try:
        while True:
            try:
                part = os.read(reading, 65536)
            except OSError:  # Linux's word for the end of a pseudo-terminal
                part = b""
            if not part:
                break
            seen += part
            if not shown and sign.encode() in seen:
                shown = time.monotonic() - began
    finally:
        os.close(reading)
    if process.wait() or not shown:
        text = seen.decode(errors="replace")
        raise LocalError(f"{' '.join(command)} did not show {sign!r} and end well:\n{text[-2000:]}")
    return shown, time.monotonic() - began
