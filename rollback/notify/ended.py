"""The event about a rollback's end. Pure.

Amazon EventBridge adds its own fields: `source` is `rollback`, `detail-type` is `Rollback ended`
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html). Fields are only added, never removed; `schema`
is increased if one changes its meaning. `docs/events.md` and `docs/event.schema.json` describe it.
"""

from __future__ import annotations

from typing import Any

from rollback.model.record import Record, Status
from rollback.util.canonical import plain

SOURCE, DETAIL_TYPE, SCHEMA = "rollback", "Rollback ended", 1
ENDS = frozenset({Status.COMPLETE, Status.FAILED, Status.REVERTED, Status.ABORTED, Status.EXPIRED})
_FIELDS = (
    "rollback_id",
    "kind",
    "environment",
    "status",
    "from_version",
    "to_version",
    "services",
    "reason",
    "initiated_by",
    "initiated_at",
    "approved_by",
    "taken_by",
    "alarm",
    "completed_at",
    "elapsed_seconds",
    "relieved_seconds",
    "digest",
    "emergency",
)


def detail(record: Record) -> dict[str, Any]:
    """The event's `detail` as JSON: the record's fields, `schema`, and `healthy`: whether everything was verified; None if
    nothing was.
    """
    checks = [check.ok for check in record.verification]
    fields = {name: plain(getattr(record, name)) for name in _FIELDS}
    return {"schema": SCHEMA, **fields, "healthy": all(checks) if checks else None}
