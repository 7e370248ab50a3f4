"""In which order the events of a record may come: a state machine that shows forged journals. Pure.

Hashes show that an event was changed; they do not show that one was never allowed to be there, since the next
write covers whatever the record held before it.
"""

from __future__ import annotations

from collections.abc import Iterable

from rollback.model.record import ADOPTED, WAITING, Event, Record, Status

_WAITING = frozenset({Status.PLANNED, *WAITING})
_RUNNING = frozenset({Status.IN_PROGRESS})
_OPEN = frozenset({Status.IN_PROGRESS, Status.FAILED})
# Event → the statuses in which it may come, and the one that it leaves (None: as it was).
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
    """The first event that may not come where it is, in words; empty where all may.

    `began` is the status that the timeline says the record began with. In an emergency's journal what is COMPLETE
    can still be undone, and the ledger adopts its end.
    """
    status = began
    for event in events:
        if event.number == 1:
            if event.kind != "planned":
                return f"its journal begins with {event.kind}, not with a plan"
            continue
        if event.kind == "approved" and event.data.get("digest") != record.digest:
            return f"event {event.number} approves another plan"
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
    return "" if status is record.status else f"it is {record.status}, and its journal says {status}"
