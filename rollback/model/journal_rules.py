"""The allowed order of a record's events: a state machine that detects forged journals. Pure.

Hashes show that an event was changed, but not that an event is not allowed at its position, because the next
write covers whatever the record had before it.
"""

from __future__ import annotations

from collections.abc import Iterable

from rollback.model.record import ADOPTED, WAITING, Event, Record, Status

_WAITING = frozenset({Status.PLANNED, *WAITING})
_RUNNING = frozenset({Status.IN_PROGRESS})
_OPEN = frozenset({Status.IN_PROGRESS, Status.FAILED})
# Event → the statuses in which it is allowed, and the status after it (None: unchanged).
_RULES: dict[str, tuple[frozenset[Status], Status | None]] = {
    "notified": (_WAITING, None),
    "approved": (_WAITING, Status.IN_PROGRESS),
    "confirmed": (_WAITING, Status.IN_PROGRESS),
    "aborted": (_WAITING, Status.ABORTED),
    "expired": (frozenset({Status.STANDBY}), Status.EXPIRED),
    "abandoned": (_OPEN, Status.FAILED),
    "resumed": (_OPEN, Status.IN_PROGRESS),
    "aborting": (_OPEN, Status.IN_PROGRESS),
    "interrupted": (_OPEN, None),
}


def broken_rule(record: Record, began: Status, events: Iterable[Event]) -> str:
    """The first event that is not allowed at its position, in words; empty if there is none.

    `began` is the record's first status according to the timeline. In an emergency's journal a COMPLETE record
    can still be undone, and the import ends it.
    """
    status = began
    for event in events:
        if event.number == 1:
            if event.kind != "planned":
                return f"its journal begins with {event.kind}, not with a plan"
            continue
        if event.kind == "approved" and event.data.get("digest") != record.digest:
            return f"event {event.number} is the approval of another plan"
        before, after = _RULES.get(event.kind, (_RUNNING, None))
        if event.kind == "closed":
            before, after = _OPEN, Status(event.data["status"])
        elif event.kind == ADOPTED and record.emergency:
            before, after = frozenset(Status), Status.FAILED if status is Status.IN_PROGRESS else status
        elif event.kind == "reverting" and record.emergency:
            before, after = _OPEN | {Status.COMPLETE}, Status.IN_PROGRESS
        if status not in before:
            approved = "" if status not in _WAITING else ": it was neither approved nor confirmed"
            return f"event {event.number} ({event.kind}) came while it was {status}{approved}"
        status = after or status
    return "" if status is record.status else f"it is {record.status}, but {status} according to its journal"
