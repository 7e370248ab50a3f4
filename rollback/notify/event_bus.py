"""Publishes a rollback's end to an EventBridge bus, for pagers and dashboards; a failure never stops a rollback."""

from __future__ import annotations

import json

from rollback.aws.account import Account, explained
from rollback.model.record import Record
from rollback.notify.ended import (
    DETAIL_TYPE,
    ENDS,
    SOURCE,
    detail,
)
from rollback.util.sanitize import line


def told(account: Account, record: Record) -> str:
    """Puts the event of a record's end on the configured bus; returns the error as text, or an empty text.

    Does nothing for a record that has not ended, or without a configured bus. It has a short timeout.
    """
    bus = account.settings.event_bus
    if not bus or record.status not in ENDS:
        return ""
    entry = {
        "EventBusName": bus,
        "Source": SOURCE,
        "DetailType": DETAIL_TYPE,
        "Detail": json.dumps(detail(record)),
    }
    try:
        with explained(f"putting an event on the bus {bus}"):
            client = account.client(
                "events", connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2}
            )
            (answer,) = client.put_events(Entries=[entry])["Entries"]
    except Exception as error:  # noqa: BLE001 - a bus never fails a rollback, however it fails
        return f"The event of {record.rollback_id} could not be put on the event bus {bus}: {type(error).__name__}: {line(str(error))[:300]}"
    if "EventId" in answer:
        return ""
    why = answer.get("ErrorMessage") or answer.get("ErrorCode") or "no reason given"
    return (
        f"The event of {record.rollback_id} could not be put on the event bus {bus}: {line(str(why))[:300]}"
    )
