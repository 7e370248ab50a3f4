"""Secrets that tests plant, and the search for them in all that commands have said and left behind.

End-to-end tests give every command secrets that can be recognised: keys, tokens, passphrases, a stack's
configuration and outputs. Whatever a command prints, stores or leaves in a folder is `heard`, by whichever
worker ran it, and at the end of the whole run `tests/conftest.py` searches it all. One mark found fails the run.
"""

from __future__ import annotations

import base64
import itertools
import os
import tempfile
from pathlib import Path

# Where this run's processes write down what they hear; each test process inherits it.
FOLDER = "ROLLBACK_TESTS_HEARD"
# Put together when it is asked for, so that neither a listing of this file nor its bytecode is a find.
_MARK = "planted" + "secret".upper()
_ALSO = "also"
_LARGEST = 5_000_000
_NUMBERS = itertools.count()


def secret(of: str) -> str:
    """A secret that is recognised wherever it comes up. `of` says where it was planted: letters and digits."""
    return f"{_MARK}0{of}"


def begin() -> Path:
    """Begins a run: from now on what is heard is kept."""
    folder = tempfile.mkdtemp(prefix="heard-")
    os.environ[FOLDER] = folder
    return Path(folder)


def also(value: str) -> str:
    """Has a value that somebody else has made, a credential of the emulator's say, searched for as well."""
    if FOLDER in os.environ:
        place = Path(os.environ[FOLDER]) / _ALSO
        place.mkdir(exist_ok=True)
        (place / f"{os.getpid()}-{next(_NUMBERS)}").write_text(value)
    return value


def heard(what: str, *texts: str) -> None:
    """Keeps what a command said, or stored, for the search at the end."""
    if FOLDER in os.environ:
        place = Path(os.environ[FOLDER]) / f"{os.getpid()}-{next(_NUMBERS)}"
        place.write_text("\n".join((what, *texts)), encoding="utf-8", errors="surrogateescape")


def left(what: str, folder: Path) -> None:
    """Keeps what lies in a folder and has a secret in it. Links are not followed; what is no file, or very
    large, is passed over.
    """
    marks = _marks(Path(os.environ[FOLDER])) if FOLDER in os.environ else []
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST:
                found = path.read_bytes()
                if any(mark in found for mark in marks):
                    heard(f"{what}: {path.relative_to(folder)}", found.decode(errors="surrogateescape"))


def search(folder: Path) -> list[str]:
    """Where a secret came up: what was heard, in a line, and what of it."""
    marks = [mark.decode() for mark in _marks(folder)]
    return [
        f"{text.partition(chr(10))[0]}: …{text[max(0, at - 80) : at + 80]!r}…"
        for path in sorted(folder.iterdir())
        if path.is_file()
        for text in (path.read_text(encoding="utf-8", errors="surrogateescape"),)
        for at in (text.find(mark) for mark in marks)
        if at >= 0
    ]


def _marks(folder: Path) -> list[bytes]:
    """The mark as it is, and as base64 has it wherever in three bytes it begins; and what others have made."""
    plain = _MARK.encode()
    made = [path.read_bytes() for path in folder.glob(f"{_ALSO}/*")]
    return [plain, *(base64.b64encode(b"0" * shift + plain)[4:-4] for shift in range(3)), *sorted(set(made))]
