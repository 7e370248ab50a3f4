"""The one JSON document that a verb answers with on standard output (docs/json.md, docs/output.schema.json).

Whatever a verb shows comes through here, so that all documents have the same frame: `schema_version`, `next`, and `error`
where it ended with one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rollback.core.errors import RollbackError
from rollback.core.sanitize import clean, lines
from rollback.core.stdio import write_out

# Raised where a key is taken away or changes its meaning; a key that is new raises nothing.
SCHEMA_VERSION = 1
_COMMAND = re.compile(r"(?:[A-Z][A-Z0-9_]*=\S+ )*(?:rollback|pulumi|git|aws) \S")


class JsonAnswer:
    """What a verb answers, until it is known how the verb ends."""

    def __init__(self) -> None:
        self._document: Any = None
        self._next: list[str] = []

    def show(self, document: Any) -> None:
        """Keeps a result, to be written at the end. An earlier one is written at once: that verb answers with several.

        Raises `RollbackError` where that cannot be written.
        """
        if self._document is not None:
            self.end()
        self._document = document

    def next(self, text: str) -> None:
        """What is said to type next, after a result."""
        self._next += commands(text)

    def end(self, error: RollbackError | None = None) -> None:
        """Writes what there is to say, as one document. A list of rows stays a list: its error is on standard error alone.

        Raises `RollbackError` where it cannot be written.
        """
        document, following = self._document, self._next
        self._document, self._next = None, []
        if document is None and error is None:
            return
        # In ASCII whatever it holds: any terminal and any encoding takes it, and none acts upon it.
        write_out(json.dumps(framed(document, following, error), indent=2, default=str))


def framed(document: Any, following: Sequence[str] = (), error: RollbackError | None = None) -> Any:
    """A result as it is written: an object with `schema_version` and `next`, and `error` where there is one; or a list of
    rows, each with `schema_version`. Pure.
    """
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


def error_document(error: RollbackError) -> dict[str, Any]:
    """An error as JSON: `code`, `message`, what was `changed`, the commands to type `next`, `hint`, which is all that is
    said of it, words too, and `exit_code`. Pure.
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
    """The commands among lines of what to type next, without the comments beside them. Pure."""
    return typed([line for line in lines(text) if is_command(line)])


def typed(steps: Sequence[str]) -> list[str]:
    """Lines of a shell, without the comments beside them. Pure."""
    return [step.partition("  # ")[0].rstrip() for step in steps]


def with_former(document: Mapping[str, Any], **former: str) -> dict[str, Any]:
    """`document` with some of its values a second time, under the names that they had until version 0.1: `former` maps a
    key to that name. Pure.
    """
    return {**document, **{old: document[new] for new, old in former.items()}}
