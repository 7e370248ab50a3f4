"""The kinds of things that can be rolled back."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The kind of a plan and a record, as stored."""

    ALIASES = "aliases"
    STACK = "stack"
    TERRAFORM = "terraform"
    TABLE = "table"
    CUTOVER = "cutover"
    FULL = "full"
    PRUNE = "prune"
