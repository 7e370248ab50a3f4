"""A record: its data, its journal of events, and the hashes that chain them. Pure, without a
table.

A record's events form a chain: each event's hash covers its content, the hash before it, and the record
after the event. The first covers the head of the environment's timeline at that time, so that a record
cannot be moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from rollback.model.identity import Actor
from rollback.util.canonical import digest, plain

# The format of the ledger's items. 2: each event covers the record, and the timeline has an entry for each start.
SCHEMA = 2
# The event that completes the import of an emergency's journal.
ADOPTED = "imported"


class Status(StrEnum):
    """The state of a record. The last five are final; FAILED can still be resumed or aborted. STANDBY is planned in
    advance, and can be taken while it is valid (`model.standby`).
    """

    PLANNED = "PLANNED"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    STANDBY = "STANDBY"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    REVERTED = "REVERTED"
    ABORTED = "ABORTED"
    EXPIRED = "EXPIRED"


_LATER = frozenset({"relieved_seconds", "stack", "below", "standby_until", "taken_by", "alarm"})
# Nothing has been changed yet, and it can still be approved.
WAITING = frozenset({Status.AWAITING_APPROVAL, Status.STANDBY})
UNFINISHED = WAITING | {Status.PLANNED, Status.IN_PROGRESS, Status.FAILED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One verification check with its result."""

    check: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entered:
    """An event to be written, before it has a number and a hash.

    `kind` defines the content of `data`: JSON values by name, e.g. `{"step": subject}` of a table's `done`, or
    `{"failures": [{"subject", "reason", "foreign": bool, "refused": bool}]}` of `failed`. `at` is ISO 8601 in
    UTC.
    """

    kind: str
    at: str
    by: Actor
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One entry of a record's journal. `data` is as in `Entered`; `record` covers the record after it
    (`record_hash`).
    """

    number: int
    kind: str
    at: str
    by: Actor
    data: Mapping[str, Any]
    previous: str
    hash: str
    record: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A rollback's METADATA item. `events` and `head` are the journal's length and last hash.

    Times are ISO 8601 in UTC, durations seconds; `waited_seconds` is the time spent waiting for an approval
    and is not part of `elapsed_seconds` or `relieved_seconds`, after which the last alias was at its target: what
    follows only verifies. `domains` are those of its leases. `run` is the CI run that started it,
    empty for a person; `notified` is the id of its Slack message, empty if not posted. `emergency`: it was
    made without the ledger, and imported from a journal file.

    `below` is a text about floors that it goes below, or that it was allowed to (an exception).

    `standby_until` is when a standby expires, `taken_by` who took it, `alarm` the alarm for which it was taken
    without a person; `reason` is then the reason for taking it.

    `stack` names a stack that is not the environment's own and the folder of its program: `edge/dev in services/edge`.

    `counts` counts steps by the names in `COUNTS`, `infrastructure` resources by those in `INFRASTRUCTURE`.
    """

    rollback_id: str
    kind: str
    environment: str
    from_version: str
    to_version: str
    services: tuple[str, ...]
    without: tuple[str, ...]
    reason: str
    initiated_by: Actor
    initiated_at: str
    status: Status
    digest: str
    counts: Mapping[str, int]
    rto_seconds: int
    completed_at: str | None = None
    started_at: str | None = None
    approved_by: Actor | None = None
    verification: tuple[Check, ...] = ()
    elapsed_seconds: float | None = None
    waited_seconds: float = 0.0
    relieved_seconds: float | None = None
    adopted_current: bool = False
    domains: tuple[str, ...] = ()
    infrastructure: Mapping[str, int] = field(default_factory=dict)
    emergency: bool = False
    run: str = ""
    notified: str = ""
    stack: str = ""
    below: str = ""
    standby_until: str = ""
    taken_by: Actor | None = None
    alarm: str = ""
    events: int = 0
    head: str = ""
    schema: int = SCHEMA

    @property
    def people(self) -> str:
        """Who started it, as text; for a taken standby who took, prepared and approved it."""
        if self.taken_by is None:
            return self.initiated_by.person
        approved = f", approved by {self.approved_by.person}" if self.approved_by else ""
        return f"{self.taken_by.person} (prepared by {self.initiated_by.person}{approved})"

    def seconds_until(self, at: str) -> float:
        """The seconds from its start to a time (ISO 8601), without the time spent waiting for an approval."""
        return round(max(0.0, seconds_between(self.initiated_at, at) - self.waited_seconds), 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """One approval of one digest. `expires_at` is ISO 8601 in UTC."""

    rollback_id: str
    digest: str
    by: Actor
    at: str
    expires_at: str


INFRASTRUCTURE = ("create", "update", "replace", "delete", "same")
# The mark shown before a resource, by operation.
MARKS = dict(zip(INFRASTRUCTURE, "+~±−!", strict=True))
# `untouched` are still, or again without a change, where the plan began; earlier versions of this command did not count them.
COUNTS = ("planned", "moved", "confirmed", "failed", "reverted", "untouched")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployedVersion:
    """What an alias points to: version, code hash, and its last known RevisionId and weights.

    `weights` maps other versions to their share of the traffic, 0 to 1. `provisioned` is the number of
    provisioned concurrent executions on the alias when last seen.
    """

    version: str
    code_sha256: str
    revision_id: str | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    provisioned: int = 0


def next_event(record: Record, entry: Entered, anchor: str = "", *, after: Record | None = None) -> Event:
    """The event that follows `record`'s journal and changes the record to `after` (unchanged if None).

    `anchor` is the timeline's head, for a first event.
    """
    bare = Event(
        number=record.events + 1,
        kind=entry.kind,
        at=entry.at,
        by=entry.by,
        data=plain(entry.data),
        previous=record.head or anchor,
        hash="",
        record=record_hash(record if after is None else after),
    )
    return replace(bare, hash=event_hash(record.rollback_id, bare))


def record_hash(record: Record) -> str:
    """The hash over every field of a record except the journal's length and head, which the chain covers."""
    return digest(record_fields(replace(record, events=0, head="")))


def record_fields(record: Record) -> dict[str, Any]:
    """The fields of a record by name, as stored and hashed: fields that earlier versions did not have are left
    out if empty.
    """
    fields = {one.name: getattr(record, one.name) for one in dataclass_fields(record)}
    return {name: value for name, value in fields.items() if name not in _LATER or value not in (None, "")}


def event_hash(record_id: str, event: Event) -> str:
    """The hash of an event: over the record's id and everything in the event, including the previous hash."""
    return digest([record_id, replace(event, hash="")])


def chain_break(record: Record, events: Sequence[Event]) -> str | None:
    """The first break of a record's chain, as text; None if it is valid."""
    previous = None
    for index, event in enumerate(events, start=1):
        if event.number != index:
            return f"event {index} is missing"
        if previous is not None and event.previous != previous:
            return f"event {index} does not follow the one before it"
        if event.hash != event_hash(record.rollback_id, event):
            return f"event {index} was changed"
        previous = event.hash
    if len(events) != record.events or (previous or "") != record.head:
        return f"the journal has {len(events)} events, but the record has {record.events}"
    if events and events[-1].record != record_hash(record):
        return "the record does not match the state after its last event"
    return None


def now_iso(now: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: sorts as text."""
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_between(start: str, end: str) -> float:
    """Seconds from one ISO time to another, never negative, to the millisecond."""
    return max(0.0, round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 3))


def resource_counts(record: Record) -> dict[str, int]:
    """The number of resources per name in `INFRASTRUCTURE`."""
    return dict.fromkeys(INFRASTRUCTURE, 0) | dict(record.infrastructure)


def plain_record(record: Record) -> dict[str, Any]:
    """A record as JSON: the fields of `Record` by name, with `except` for `without`, and without `domains`,
    `events`, `head` and `schema`; `functions` and `changes` are added by `views.documents.record_document`.
    """
    fields = plain(record)
    fields["except"] = fields.pop("without")
    fields["infrastructure"] = resource_counts(record)
    return {key: value for key, value in fields.items() if key not in ("domains", "events", "head", "schema")}
