"""Reads CloudWatch alarms: their current state, and their recent changes of state."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rollback.aws.account import Account, explained
from rollback.model.automatic import AlarmSeen, Change
from rollback.model.record import now_iso

# Names in one DescribeAlarms: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html.
_AT_ONCE = 100
# The most changes that are read: an alarm that changes more often is not reliable.
_CHANGES = 500
_TYPES = ["MetricAlarm", "CompositeAlarm"]


def seen(account: Account, names: Sequence[str], since: datetime) -> tuple[AlarmSeen, ...]:
    """The existing alarms among these names; for those in ALARM also their changes since a time.

    Raises `RollbackError` where CloudWatch is not available, or the caller may not read it.
    """
    client = account.client("cloudwatch")
    found: list[AlarmSeen] = []
    with explained("reading the alarms"):
        for start in range(0, len(names), _AT_ONCE):
            pages = client.get_paginator("describe_alarms").paginate(
                AlarmNames=list(names[start : start + _AT_ONCE]), AlarmTypes=_TYPES
            )
            for page in pages:
                found += [
                    _alarm(one) for kind in ("MetricAlarms", "CompositeAlarms") for one in page.get(kind, ())
                ]
        return tuple(
            replace(alarm, changes=_history(client, alarm.name, since)) if alarm.state == "ALARM" else alarm
            for alarm in found
        )


def changes(account: Account, name: str, since: datetime) -> tuple[Change, ...]:
    """An alarm's changes of state since a time, newest first. Raises as `seen` does."""
    with explained(f"reading the history of {name}"):
        return _history(account.client("cloudwatch"), name, since)


def _alarm(answer: Mapping[str, Any]) -> AlarmSeen:
    changed = answer.get("StateTransitionedTimestamp") or answer["StateUpdatedTimestamp"]
    return AlarmSeen(
        name=str(answer["AlarmName"]),
        state=str(answer["StateValue"]),
        since=_iso(changed),
        reason=str(answer.get("StateReason", "")),
    )


def _history(client: Any, name: str, since: datetime) -> tuple[Change, ...]:
    pages = client.get_paginator("describe_alarm_history").paginate(
        AlarmName=name,
        AlarmTypes=_TYPES,
        HistoryItemType="StateUpdate",
        StartDate=since,
        ScanBy="TimestampDescending",
        PaginationConfig={"MaxItems": _CHANGES},
    )
    return tuple(sorted(_changes(pages), key=lambda change: change.at, reverse=True))


def _changes(pages: Any) -> Iterator[Change]:
    for page in pages:
        for item in page.get("AlarmHistoryItems", ()):
            try:
                data = json.loads(item["HistoryData"])
                old, new = data["oldState"]["stateValue"], data["newState"]["stateValue"]
            except (KeyError, TypeError, ValueError):
                continue  # not a change of state
            yield Change(at=_iso(item["Timestamp"]), state=str(new), before=str(old))


def _iso(moment: datetime) -> str:
    return now_iso(moment.astimezone(UTC))
