"""The one JSON document that a verb answers with on standard output (docs/json.md, docs/output.schema.json).

Every document is written here, so that all have the same frame: `schema_version`, `next`, and `error`
where the verb failed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rollback.util.errors import RollbackError
from rollback.util.sanitize import clean, lines
from rollback.util.stdio import write_out
from rollback.util.times import shown_time

# Increased when a key is removed or changes its meaning; a new key does not increase it.
SCHEMA_VERSION = 1
# Times by the names that they had until version 0.1; those of today end with `_at`.
_TIMES = frozenset({"at", "expires", "planned", "standby_until"})
# What is hashed as it is, or what a person has typed.
_EXACT = frozenset({"events", "facts", "request"})
_COMMAND = re.compile(r"(?:[A-Z][A-Z0-9_]*=\S+ )*(?:rollback|pulumi|git|aws) \S")


class JsonAnswer:
    """Collects a verb's result until the verb ends."""

    def __init__(self) -> None:
        self._document: Any = None
        self._next: list[str] = []

    def show(self, document: Any) -> None:
        """Keeps a result, which is written at the end. An earlier result is written now: such a verb writes several documents.

        Raises `RollbackError` where that cannot be written.
        """
        if self._document is not None:
            self.end()
        self._document = document

    def next(self, text: str) -> None:
        """Adds lines of what to type next."""
        self._next += commands(text)

    def end(self, error: RollbackError | None = None) -> None:
        """Writes the document. A list of rows stays a list: its error is on standard error only.

        Raises `RollbackError` where it cannot be written.
        """
        document, following = self._document, self._next
        self._document, self._next = None, []
        if document is None and error is None:
            return
        # Escaped to ASCII: every terminal and encoding accepts it, and no terminal interprets it.
        write_out(json.dumps(framed(document, following, error), indent=2, default=str))


def framed(document: Any, following: Sequence[str] = (), error: RollbackError | None = None) -> Any:
    """The document of a result: an object with `schema_version` and `next`, and `error` where there is one; or a list of
    rows, each with `schema_version`. Pure.
    """
    document = _with_shown_times(document)
    if isinstance(document, (list, tuple)):
        return [{"schema_version": SCHEMA_VERSION, **row} for row in document]
    failed = error_document(error) if error else None
    typed = list(following) or (failed["next"] if failed else [])
    return {
        "schema_version": SCHEMA_VERSION,
        "next": typed,
        **(document or {}),
        **({"error": failed} if failed else {}),
    }


def _with_shown_times(value: Any) -> Any:
    """A document with its times as they are shown to people (`shown_time`). A journal's `events` keep theirs: their
    hashes are over them, and events of the same second have an order.
    """
    if isinstance(value, Mapping):
        return {
            key: shown_time(one)
            if isinstance(one, str) and one and (key.endswith("_at") or key in _TIMES)
            else one
            if key in _EXACT
            else _with_shown_times(one)
            for key, one in value.items()
        }
    return [_with_shown_times(one) for one in value] if isinstance(value, (list, tuple)) else value


def error_document(error: RollbackError) -> dict[str, Any]:
    """An error as JSON: `code`, `message`, what was `changed`, the commands to type `next`, the full text of the `hint`
    and the `exit_code`. Pure.
    """
    return {
        "code": str(error.code),
        "message": clean(error.what),
        "changed": clean(error.changed),
        "next": commands(error.next),
        "hint": clean(error.next),
        "exit_code": error.exit_code,
    }


def is_command(line: str) -> bool:
    """Whether a line of what to type next is a command, and no sentence. Pure."""
    return _COMMAND.match(line) is not None


def commands(text: str) -> list[str]:
    """The commands among the lines of `next`, without their comments. Pure."""
    return typed([line for line in lines(text) if is_command(line)])


def typed(steps: Sequence[str]) -> list[str]:
    """Shell lines without their comments. Pure."""
    return [step.partition("  # ")[0].rstrip() for step in steps]
