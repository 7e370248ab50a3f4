"""Temporary folders that are removed with their process, or, if it was killed, by the next command.

The file `held` in such a folder is locked while its process lives, or while a child that inherited the
descriptor does: so the folder of a dead process can be told from one that is in use.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_HELD = "held"


def named(prefix: str) -> Iterator[Path]:
    """All temporary folders whose names begin with `prefix`, of any user."""
    return Path(tempfile.gettempdir()).glob(f"{prefix}*")


def make(prefix: str) -> Path:
    """A new temporary folder that nobody else may read, to be `held`."""
    return Path(tempfile.mkdtemp(prefix=prefix))


@contextmanager
def held(folder: Path) -> Iterator[int]:
    """Locks a folder, gives the lock's file descriptor, and removes the folder with its content at the
    block's end.
    """
    # Locked before it has its name: no other finds it free.
    new = folder / f"{_HELD}.new"
    with new.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.rename(folder / _HELD)
            yield lock.fileno()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def clear_dead(folders: Iterable[Path], before: Callable[[Path], object] = lambda _: None) -> None:
    """Removes those of our own folders that nobody holds any more, each after `before` was done with it."""
    for folder in folders:
        with suppress(OSError):
            if folder.lstat().st_uid != os.getuid():
                continue
            with (folder / _HELD).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                before(folder)
                shutil.rmtree(folder, ignore_errors=True)
