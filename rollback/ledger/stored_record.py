"""A stored record with its plan and journal, and the writes that append an event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from rollback.ledger.integrity import plan_digest
from rollback.ledger.schema import METADATA, event_item, malformed
from rollback.ledger.store import ABSENT, Item, Write
from rollback.model.plan import Plan, from_chunks
from rollback.model.record import ADOPTED, Entered, Event, Record, next_event
from rollback.util.canonical import digest, plain
from rollback.util.errors import Code, Refused


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A stored record: its plan, and its journal so far. `items` are all of its items,
    as in `schema`.
    """

    record: Record
    plan_chunks: tuple[str, ...]
    events: tuple[Event, ...]
    # All of the record's items, as read.
    items: tuple[Item, ...] = ()

    @property
    def adopted(self) -> bool:
        """Whether an emergency's journal was completely imported."""
        return any(event.kind == ADOPTED for event in self.events)

    def tampered(self, why: str) -> Refused:
        """The error for a record that was not changed by this command."""
        name = f"{self.record.rollback_id} --env {self.record.environment}"
        return Refused(
            f"{self.record.rollback_id} was changed in the table: {why}.",
            code=Code.LEDGER_DAMAGED,
            changed="Nothing was changed by this command.",
            next=f"rollback audit --env {self.record.environment}\n"
            f"rollback show {name}\n"
            f"rollback abort {name}  # ends it without reverting anything",
        )

    def plan(self, step: type[Any]) -> Plan[Any]:
        """The plan, with steps of the target's type.

        Raises `RollbackError` where it is malformed, or differs from the one that was planned and approved.
        """
        first = self.events[0] if self.events else None
        recorded = (first.data.get("plan"), first.data.get("digest"), first.by) if first else ()
        if (
            recorded != (digest(list(self.plan_chunks)), self.record.digest, self.record.initiated_by)
            or plan_digest(self.plan_chunks) != self.record.digest
        ):
            raise self.tampered("its plan, or the person who started it, differs from its journal")
        try:
            return from_chunks(list(self.plan_chunks), step)
        except (ValidationError, ValueError, IndexError) as error:
            raise malformed(f"ROLLBACK#{self.record.rollback_id}", "PLAN#", error) from error


def advance(
    record: Record, entered: Entered, changes: Mapping[str, Any]
) -> tuple[Record, Event, list[Write]]:
    """The record after an event, the event, and the writes that store both if the record has not changed since it was
    read.

    `changes` maps fields of `Record` to their new values.
    """
    changed = replace(record, **changes)
    event = next_event(record, entered, after=changed)
    after = replace(changed, events=event.number, head=event.hash)
    values = plain(after)
    fields = ["events", "head", *changes]
    writes = [
        Write(
            name="record",
            key=(f"ROLLBACK#{record.rollback_id}", METADATA),
            update="SET " + ", ".join(f"#{name} = :{name}" for name in fields),
            condition="#events = :before AND #head = :was",
            names={f"#{name}": name for name in fields},
            values={
                **{f":{name}": values[name] for name in fields},
                ":before": record.events,
                ":was": record.head,
            },
        ),
        event_write(record, event),
    ]
    return after, event, writes


def event_write(record: Record, event: Event) -> Write:
    """The write of one of a record's events; its condition is that the number is unused."""
    return Write(name="event", item=event_item(record.rollback_id, event), condition=ABSENT)
