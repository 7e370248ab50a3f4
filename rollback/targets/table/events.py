"""What the journal of a table's rollback says: a type for each kind of event (`model.events`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollback.model.events import Happened


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDone(Happened):
    """A step of a table's plan is done, with its result: the `copy`, the settings `given` to it, the
    `backup`, the `items` that were written, the `parameter`; of a comparison the loss `report`, its `counts`,
    the same as text (`loss`), its location (`kept`), and what to type `next`.
    """

    kind = "done"
    step: str
    copy: str | None = None
    given: str | None = None
    backup: str | None = None
    items: str | None = None
    parameter: str | None = None
    report: Mapping[str, Any] | None = None
    counts: Mapping[str, int] | None = None
    loss: str | None = None
    kept: str | None = None
    next: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Restoring(Happened):
    """`copy` is about to be restored from `table` as of `at`, ISO 8601 in UTC."""

    kind = "restoring"
    table: str
    copy: str
    at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored(Happened):
    """The restore was started, and `copy` belongs to this record."""

    kind = "restored"
    copy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreUndone(Happened):
    """The restored table is deleted."""

    kind = "undone"
    deleted: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Writing(Happened):
    """Items are about to be copied back; `report` is the key of the loss report."""

    kind = "writing"
    report: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrote(Happened):
    """How many lines of the loss report are done (`through`); the numbers of those `left` unchanged, and of those `already` as wanted."""

    kind = "wrote"
    through: int
    written: int
    left: tuple[int, ...]
    already: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointing(Happened):
    """The parameter is about to be changed."""

    kind = "pointing"
    from_: str
    to: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointed(Happened):
    """The parameter is changed."""

    kind = "pointed"
    to: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CutoverUndone(Happened):
    """A cutover was undone, except for what was `left`, as text."""

    kind = "undone"
    left: tuple[str, ...]
