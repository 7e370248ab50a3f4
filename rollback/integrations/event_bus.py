"""Tells an EventBridge bus of a rollback's end, so that pagers and dashboards can follow; never stops a rollback for it."""

from __future__ import annotations

import json

from rollback.aws.account import Account, explained
from rollback.core.sanitize import line
from rollback.model.ended import DETAIL_TYPE, ENDS, SOURCE, detail
from rollback.model.record import Record


def told(account: Account, record: Record) -> str:
    """Puts the event of a record's end on the bus that the settings name; in words why that was not possible, else empty.

    One that has not ended is none, and where no bus is named nothing is put. It gives up soon: nobody waits for it.
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
        with explained(f"telling the event bus {bus}"):
            client = account.client(
                "events", connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2}
            )
            (answer,) = client.put_events(Entries=[entry])["Entries"]
    except Exception as error:  # noqa: BLE001 - a bus never fails a rollback, however it fails
        return f"The event bus {bus} did not take the event of {record.rollback_id}: {type(error).__name__}: {line(str(error))[:300]}"
    if "EventId" in answer:
        return ""
    why = answer.get("ErrorMessage") or answer.get("ErrorCode") or "it gave no reason"
    return f"The event bus {bus} did not take the end of {record.rollback_id}: {line(str(why))[:300]}"
