"""Writes a file that only its owner can read, atomically."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Writes `text`, replacing an existing file, and creates the folder. Raises `OSError`.

    The temporary file of a killed process has the file's name as prefix.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Independent of the umask.
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
