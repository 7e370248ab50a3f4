"""Writes a file for its owner only, in place at once or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Puts `text` there, in the place of what there was, and makes the folder. Raises `OSError`.

    What a killed process leaves has a name that begins with the file's.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Whatever the umask.
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
