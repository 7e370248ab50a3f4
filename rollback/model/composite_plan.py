"""A plan made of plans: several kinds are rolled back with one plan, one digest and one record.

Each part's plan is stored as JSON texts, in as many steps as needed; its events are the record's events
with the part's name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from rollback.model.events import Failed, stored, typed
from rollback.model.kind import Kind
from rollback.model.plan import Plan, from_chunks, to_chunks
from rollback.model.record import Event

# In the order of execution: fast relief first.
PARTS = {
    Kind.ALIASES: ("rollback.model.alias_moves", "Move"),
    Kind.STACK: ("rollback.model.resource_changes", "ResourceChange"),
    Kind.TERRAFORM: ("rollback.model.resource_changes", "ResourceChange"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Piece `number` of the text of a part's plan. `changing`: whether the part changes anything."""

    part: str
    number: int
    text: str
    changing: bool

    @property
    def subject(self) -> str:
        return f"{self.part}/{self.number}"

    @property
    def changes(self) -> bool:
        return self.changing


def pieces(plan: Plan[Any]) -> list[Piece]:
    """A part's plan in pieces. Its notices and refusals are shown with the whole plan."""
    bare = replace(plan, notices=(), refusals=())
    return [
        Piece(part=plan.kind, number=number, text=text, changing=bool(plan.changing))
        for number, text in enumerate(to_chunks(bare), start=1)
    ]


def parts(plan: Plan[Any]) -> dict[str, Plan[Any]]:
    """Kind → the plan of each part, in the order of execution; empty for a plan of one kind."""
    found: dict[str, Plan[Any]] = {}
    if plan.kind != Kind.FULL:
        return found
    for part, (module, name) in PARTS.items():
        texts = [piece.text for piece in plan.steps if piece.part == part]
        if texts:
            found[part] = from_chunks(texts, getattr(import_module(module), name))
    return found


def events_of(part: Plan[Any], events: Iterable[Event]) -> list[Event]:
    """The events of one part, as its target wrote them, and the failures of its steps."""
    subjects = {step.subject for step in part.steps}
    found = []
    for event in events:
        if event.data.get("part") == part.kind:
            data = {key: value for key, value in event.data.items() if key != "part"}
            found.append(replace(event, data=data))
        elif event.kind == Failed.kind:
            failed = typed(event, Failed)
            failures = tuple(step for step in failed.failures if step.subject in subjects)
            if failures:
                found.append(replace(event, data=stored(replace(failed, failures=failures))))
    return found
