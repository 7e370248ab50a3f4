"""Standard output and standard error, which may be closed, full, or without a reader."""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import suppress
from typing import IO, Any, cast

from rollback.util.errors import Code, RollbackError


def write_out(document: str, *, to_the_end: bool = True) -> None:
    """Writes a command's result to standard output, as UTF-8 whatever the locale.

    Raises `RollbackError` where it cannot, because the caller has no result then. If a reader stops early
    (`| head`), that is only an error for a result that is needed `to_the_end`.
    """
    why = "it is closed"
    if sys.stdout is not None:
        try:
            if isinstance(sys.stdout, io.TextIOWrapper):
                sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
            sys.stdout.write(f"{inert(document) if on_a_runner() else document}\n")
            sys.stdout.flush()
        except BrokenPipeError:
            if not to_the_end:
                to_nowhere(sys.stdout)
                return
            why = "the reader has closed it"
        except OSError as error:
            why = str(error.strerror)
        else:
            return
        to_nowhere(sys.stdout)
    raise RollbackError(
        f"The result could not be written to standard output: {why}.",
        code=Code.OUTPUT_UNWRITABLE,
        changed="Everything that was done is recorded: `rollback status` shows it.",
    )


def warn(text: str) -> None:
    """Writes a text to standard error, if it is open."""
    stderr = steady(sys.stderr)
    stderr.write(f"{text}\n")
    stderr.flush()


def steady(stream: IO[str] | None) -> IO[str]:
    """Wraps `stream` so that writing never fails: a closed terminal must not stop a running rollback."""
    return cast("IO[str]", _Steady(_Nowhere() if stream is None else stream))


def on_a_runner() -> bool:
    """Whether this is a step of a GitHub job, whose runner interprets commands in the output."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def inert(text: str, before: str = "") -> str:
    """`text` with commands for a job's runner disabled: reasons and commit subjects must not become commands.

    The runner interprets a line that begins with `::`, after spaces, and `##[` anywhere
    (https://docs.github.com/actions/reference/workflow-commands-for-github-actions). `before` is what its first line
    already contains. Pure.
    """
    begins = not before.strip()
    if before.endswith("#") and text.startswith("["):
        text = f" {text}"
    return (_FIRST if begins else _LATER).sub(r"\1\2: ", text).replace("#[", "# [")


_FIRST = re.compile(r"(\A|[\r\n])([^\S\r\n]*):")
_LATER = re.compile(r"([\r\n])([^\S\r\n]*):")


class _Steady:
    def __init__(self, stream: IO[str] | io.TextIOBase) -> None:
        self._stream = stream
        self._runner = on_a_runner()
        self._line = ""

    def write(self, text: str) -> int:
        if self._runner:
            text = inert(text, self._line)
            self._line = re.split(r"[\r\n]", self._line + text)[-1]
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: Python's error for a closed stream
            self._gone()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._gone()

    def _gone(self) -> None:
        to_nowhere(self._stream)
        self._stream = _Nowhere()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def to_nowhere(stream: IO[str] | io.TextIOBase) -> None:
    """Redirects a stream, because Python would otherwise write its buffer, and report an error, when the process ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Nowhere(io.TextIOBase):
    def write(self, text: str) -> int:
        return len(text)
