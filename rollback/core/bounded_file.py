"""Reads a file that may be anything: a pipe would be waited for, a device has no end, a large one fills the memory."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class UnreadableFile(Exception):
    """Why a file was not read, in words."""


def content(path: Path, limit: int) -> bytes:
    """What a regular file of at most `limit` bytes holds. Raises `UnreadableFile`."""
    try:
        # A pipe that nobody writes to would be waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableFile("it is not a regular file")
            found = file.read(limit + 1)
    except OSError as error:
        raise UnreadableFile(str(error.strerror)) from None
    if len(found) > limit:
        raise UnreadableFile(f"it is larger than {limit:,} bytes")
    return found
