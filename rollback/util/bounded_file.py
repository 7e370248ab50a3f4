"""Reads a regular file of limited size: a pipe could block, a device has no end, a large file could fill the memory."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class UnreadableFile(Exception):
    """A file cannot be read; the message is the reason."""


def content(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes. Raises `UnreadableFile`."""
    try:
        # Opening a pipe without a writer would block.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UnreadableFile("it is not a regular file")
            found = file.read(limit + 1)
    except OSError as error:
        raise UnreadableFile(str(error.strerror)) from None
    if len(found) > limit:
        raise UnreadableFile(f"it is larger than {limit:,} bytes")
    return found
