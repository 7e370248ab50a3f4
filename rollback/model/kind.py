"""The kinds of things that can be rolled back."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a plan and a record are of, as they are stored."""

    ALIASES = "aliases"
    STACK = "stack"
    TERRAFORM = "terraform"
    TABLE = "table"
    CUTOVER = "cutover"
    FULL = "full"
    PRUNE = "prune"
