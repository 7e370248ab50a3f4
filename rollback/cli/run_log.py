"""The log of a run: one file per run; `--verbose` and `--debug` also show it on standard error.

The file is in the user's log folder, `~/.local/state/rollback/log` (XDG's `XDG_STATE_HOME`,
https://specifications.freedesktop.org/basedir/latest/), readable only by its owner. The newest `FILES` are kept, each
about `_LARGEST` bytes at most. It contains no secrets: AWS calls are logged by name (`rollback.aws.call_log`), the
output of programs is not logged, options have no values, and what looks like a secret is masked (`core.secrets`).

A log that cannot be written never fails a run.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from platformdirs.unix import Unix

from rollback.api import events
from rollback.util.errors import RollbackError
from rollback.util.sanitize import line
from rollback.util.secrets import masker
from rollback.util.version import __version__

if TYPE_CHECKING:
    from rollback.api.environment import Environment

# `off` writes no file.
SWITCH = "ROLLBACK_LOG"
FILES = 30
_LARGEST = 1_000_000
_NAME = re.compile(r"\d{8}T\d{9}-\d+(?:-[a-z-]+)?\.log")
# Lines that the screen shows anyway: only for the file.
_SCREEN = "rollback.screen"
_LOG = logging.getLogger("rollback")
_RUN, _SHOWN = logging.getLogger("rollback.run"), logging.getLogger(_SCREEN)


class RunLog:
    """The log of one verb. `path` is its file; None where there is none."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._began: list[tuple[str, float]] = []

    def hear(self, event: events.Event) -> None:
        """Logs an event of an operation."""
        match event:
            case events.PlanMade(plan=plan):
                _RUN.info("plan of %d steps, digest %s", len(plan.steps), plan.digest()[:16])
            case events.WorkBegan(what=what):
                self._began.append((what, time.monotonic()))
            case events.WorkEnded() if self._began:
                what, began = self._began.pop()
                _RUN.info("%s: %.1f s", what, time.monotonic() - began)
            case events.Output(text=text):
                _SHOWN.info("a program printed %d lines, which are not kept", len(text.splitlines()))
            case events.Alarm(text=text) | events.LedgerNotice(text=text):
                _SHOWN.warning("%s", text)
            case events.Notice(text=text):
                _SHOWN.info("%s", text)

    def opened(self, environment: Environment) -> None:
        """Logs the account, the caller and the settings' folder."""
        its = environment.settings
        _RUN.info(
            "%s in account %s, %s, as %s, by the settings in %s",
            environment.name,
            its.account,
            its.region,
            environment.caller,
            environment.root,
        )

    def failed(self, error: RollbackError, cause: BaseException | None = None) -> None:
        """Logs how the verb ended; for an unexpected error also its stack, without values."""
        _SHOWN.error("%s: %s %s", error.code, error.what, error.changed)
        while cause is not None:
            for frame in traceback.extract_tb(cause.__traceback__):
                _SHOWN.error(
                    "%s at %s:%s, %s", type(cause).__name__, frame.filename, frame.lineno, frame.name
                )
            cause = cause.__cause__ or cause.__context__


@contextmanager
def kept(
    arguments: Sequence[str],
    show: Callable[[str], object] | None,
    *,
    level: int = logging.WARNING,
    variables: Mapping[str, str] = os.environ,
) -> Iterator[RunLog]:
    """Logs what happens inside the block. `arguments`: the command line's; `show` receives what is logged at `level` or above."""
    mask = masker(variables)
    file, path = _opened(_verb(arguments), variables)
    handlers: list[logging.Handler] = [_File(file, mask)] if file is not None else []
    if show is not None:
        handlers.append(_Screen(show, mask, level))
    before = _LOG.level
    if handlers:
        _LOG.setLevel(logging.DEBUG)
    for handler in handlers:
        _LOG.addHandler(handler)
    began = time.monotonic()
    _RUN.info("rollback %s on %s: %s", __version__, sys.platform, named(arguments))
    try:
        yield RunLog(path)
    finally:
        _RUN.info("ended after %.1f s", time.monotonic() - began)
        _LOG.setLevel(before)
        for handler in handlers:
            _LOG.removeHandler(handler)
            with suppress(OSError, ValueError):
                handler.close()


def named(arguments: Sequence[str]) -> str:
    """A command line as its verb and option names, without values, which may be secret. Pure."""
    verb = _verb(arguments)
    options = [word.partition("=")[0] for word in arguments if word.startswith("--") and word != "--"]
    return " ".join([*filter(None, [verb.replace("-", " ")]), *options])


def _verb(arguments: Sequence[str]) -> str:
    """The leading words that are a verb's."""
    words: list[str] = []
    for word in arguments:
        if word.startswith("-") and not words:
            continue
        if not re.fullmatch(r"[a-z]{2,20}", word) or len(words) == 2:  # noqa: PLR2004 - a group and its verb
            break
        words.append(word)
    return "-".join(words)


def _opened(verb: str, variables: Mapping[str, str]) -> tuple[IO[str] | None, Path | None]:
    """Opens a new file that only its owner can read, and deletes the oldest."""
    if variables.get(SWITCH, "").casefold() in ("off", "0", "no", "false"):
        return None, None
    try:
        folder = Unix("rollback").user_log_path
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _cleared(folder)
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"[:-3] + f"-{os.getpid()}"
        path = folder / (f"{stamp}-{verb}.log" if verb else f"{stamp}.log")
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except (OSError, RuntimeError):  # RuntimeError: pathlib's, where the home folder is unknown
        return None, None
    return os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", buffering=1), path


def _cleared(folder: Path) -> None:
    """Deletes old files so that one more fits. Names sort by time."""
    logs = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    for path in logs[: max(0, len(logs) - FILES + 1)]:
        path.unlink(missing_ok=True)


class _File(logging.Handler):
    """Writes lines to a file of limited size: near the limit only errors are written."""

    def __init__(self, file: IO[str], mask: Callable[[str], str]) -> None:
        super().__init__(logging.DEBUG)
        self._file, self._mask, self._left = file, mask, _LARGEST

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._left < 0 and record.levelno < logging.ERROR:
                return
            at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6]
            text = f"{at}Z {record.levelname} {record.name} {self._mask(line(record.getMessage()))}\n"
            self._left -= len(text)
            self._file.write(text)
            if self._left < 0:
                self._file.write("The log is full: only errors follow.\n")
        except Exception:  # noqa: BLE001, S110 - a full disk, or an argument that cannot be written: a log ends no run
            pass

    def close(self) -> None:
        with suppress(OSError, ValueError):
            self._file.close()
        super().close()


class _Screen(logging.Handler):
    """Writes lines to the terminal, beside the command's own output."""

    def __init__(self, show: Callable[[str], object], mask: Callable[[str], str], level: int) -> None:
        super().__init__(level)
        self._show, self._mask = show, mask

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == _SCREEN:
            return
        with suppress(Exception):  # as above
            self._show(self._mask(line(record.getMessage())))
