"""`rollback show`: everything in one record, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rollback.ledger.stored_record import Opened
from rollback.model.advice import Advice, for_record
from rollback.model.plan import Plan
from rollback.model.record import SCHEMA, Event, Record, Status, chain_break
from rollback.model.situation import RecordSeen
from rollback.targets.base import Target
from rollback.util.errors import RollbackError


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordDetails:
    """One record with its plan (None if damaged) and its journal.

    `outcomes` has one mapping per step (`Target.outcomes`). `broken` is what is wrong with the record, empty if
    nothing is; `chain` is `whole`, or why it was not verified. `advice` is what to type next.
    """

    seen: RecordSeen
    plan: Plan[Any] | None
    events: tuple[Event, ...]
    outcomes: tuple[Mapping[str, Any], ...]
    broken: str
    chain: str
    advice: Advice

    @property
    def record(self) -> Record:
        return self.seen.record


def details(opened: Opened, target: Target, seen: RecordSeen | None = None) -> RecordDetails:
    """The details of a record. Pure."""
    record, events = opened.record, opened.events
    seen = seen or RecordSeen(record=record)
    older = record.schema < SCHEMA
    broken = "" if older else chain_break(record, events) or ""
    plan: Plan[Any] | None = None
    outcomes: tuple[Mapping[str, Any], ...] = ()
    try:
        plan = opened.plan(target.step)
        outcomes = tuple(target.outcomes(plan, events))
        if record.status is Status.IN_PROGRESS:
            # Counts are stored when a record ends: until then they come from its journal.
            record = replace(record, counts=target.counts(plan, events))
    except RollbackError as error:
        broken = broken or error.what
    unverified = f"not verified: written by an older version of this command (schema {record.schema})"
    return RecordDetails(
        seen=replace(seen, record=record),
        plan=plan,
        events=events,
        outcomes=outcomes,
        broken=broken,
        chain=unverified if older else "whole",
        advice=for_record(seen),
    )
