"""Proposed files: what they would change, and how they are written."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rollback.config import settings as configured
from rollback.util import bounded_file, safe_yaml
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)

# The subfolder to use if the current one is not empty.
FOLDER = "rollbacks"


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file to be written: its path below a folder, and its text; or `link`, what it is a symbolic link to."""

    path: str
    text: str = ""
    link: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What writing a file would do in `folder`. `before` is what is there; None where nothing is."""

    folder: Path
    file: File
    before: str | None

    @property
    def place(self) -> Path:
        return self.folder / self.file.path

    @property
    def kind(self) -> str:
        """`new`, `unchanged`, or `differs`: the existing text would be lost."""
        if self.before is None:
            return "new"
        return "unchanged" if self.before == (self.file.link or self.file.text) else "differs"

    @property
    def diff(self) -> str:
        """A unified diff; empty where nothing would change."""
        after = self.file.link or self.file.text
        lines = difflib.unified_diff(
            (self.before or "").splitlines(),
            after.splitlines(),
            self.file.path if self.before is not None else os.devnull,
            self.file.path,
            lineterm="",
        )
        return "\n".join(lines)


def changes(folder: Path, files: Iterable[File]) -> tuple[Change, ...]:
    """What writing files in a folder would do. Raises `UsageError` for a file that cannot be read."""
    return tuple(Change(folder=folder, file=one, before=_before(folder / one.path, one)) for one in files)


def _before(place: Path, file: File) -> str | None:
    if place.is_symlink() and file.link:
        return str(place.readlink())
    if not (place.exists() or place.is_symlink()):
        return None
    try:
        return bounded_file.content(place, safe_yaml.MAX_BYTES).decode("utf-8", "replace")
    except bounded_file.UnreadableFile as error:
        raise UsageError(f"Cannot read {place}: {error}.", code=Code.FOLDER_IN_USE) from None


def write(wanted: Iterable[Change]) -> tuple[Path, ...]:
    """Writes what is new or differs, each file atomically. Returns what was written.

    Raises `RollbackError` where a file cannot be written, or was changed after its diff was shown.
    """
    written: list[Path] = []
    for one in wanted:
        if one.kind == "unchanged":
            continue
        if _before(one.place, one.file) != one.before:
            raise Refused(
                f"{one.place} was changed by something else in the meantime.",
                code=Code.CHANGED_BY_OTHERS,
                changed=_written(written),
                next="Run the same command again.",
            )
        try:
            one.place.parent.mkdir(parents=True, exist_ok=True)
            _replace(one)
        except OSError as error:
            raise RollbackError(
                f"Cannot write {one.place}: {error.strerror}.",
                code=Code.OUTPUT_UNWRITABLE,
                changed=_written(written),
            ) from error
        written.append(one.place)
    return tuple(written)


def _written(places: Iterable[Path]) -> str:
    named = ", ".join(place.name for place in places)
    return f"Written: {named}." if named else "Nothing was changed."


def _replace(one: Change) -> None:
    with tempfile.TemporaryDirectory(prefix=".rollback-", dir=one.place.parent) as folder:
        made = Path(folder) / one.place.name
        if one.file.link:
            made.symlink_to(one.file.link)
        else:
            made.write_text(one.file.text, encoding="utf-8")
            if one.place.exists():
                made.chmod(one.place.stat().st_mode & 0o777)
        made.replace(one.place)


def choose_folder(start: Path, named: str = "") -> Path:
    """The folder for an environment's files: the named one, that of other environments, or a new one.

    The current folder is used if it only has hidden files. Raises `UsageError` for a folder of another
    Pulumi program, or for something that is not a folder.
    """
    try:
        return _chosen(start, named)
    except OSError as error:
        raise UsageError(
            f"--folder {named[:80]!a} cannot be used: {error.strerror}.",
            code=Code.FOLDER_IN_USE,
            next="--folder DIR",
        ) from None
    except ValueError:
        raise UsageError(
            f"--folder {named[:80]!a} is not a path.", code=Code.FOLDER_IN_USE, next="--folder DIR"
        ) from None


def _chosen(start: Path, named: str) -> Path:
    if named:
        folder = (start / named).resolve()
        with suppress(FileNotFoundError, NotADirectoryError):
            folder.stat()
    elif (known := _known(start)) is not None:
        folder = known
    else:
        empty = not any(not one.name.startswith(".") for one in start.iterdir())
        folder = start if empty else start / FOLDER
    if (folder / configured.PROJECT_FILE).exists() and not configured.has_settings(folder):
        raise UsageError(
            f"{folder} contains another Pulumi program.",
            code=Code.FOLDER_IN_USE,
            next=f"Use another folder: --folder {FOLDER}",
        )
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", code=Code.FOLDER_IN_USE, next="--folder DIR")
    return folder


def _known(start: Path) -> Path | None:
    """The folder that already has settings: the current one, one above in the same repository, or the usual subfolder."""
    above = [start, *start.parents]
    top = next((number for number, folder in enumerate(above) if (folder / ".git").exists()), 0)
    return next(
        (
            folder
            for folder in (*above[: top + 1], start / FOLDER)
            if (folder / configured.PROJECT_FILE).is_file() and configured.has_settings(folder)
        ),
        None,
    )
