"""Temporary folders that are removed when their process ends, or, if it was killed, by the next command.

The file `held` in such a folder is locked while its process runs, or while a child that inherited the
descriptor does, so that the folder of a dead process can be recognised.
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
    """A new private temporary folder, to be `held`."""
    return Path(tempfile.mkdtemp(prefix=prefix))


@contextmanager
def held(folder: Path) -> Iterator[int]:
    """Locks a folder, yields the lock's file descriptor, and removes the folder with its content at the
    block's end.
    """
    # Locked before it has its name, so that no other process finds it unlocked.
    new = folder / f"{_HELD}.new"
    with new.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.rename(folder / _HELD)
            yield lock.fileno()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def clear_dead(folders: Iterable[Path], before: Callable[[Path], object] = lambda _: None) -> None:
    """Removes this user's folders that are no longer locked; calls `before` with each."""
    for folder in folders:
        with suppress(OSError):
            if folder.lstat().st_uid != os.getuid():
                continue
            with (folder / _HELD).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                before(folder)
                shutil.rmtree(folder, ignore_errors=True)
