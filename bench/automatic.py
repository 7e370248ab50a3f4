"""Measures an automatic rollback: from the alarm's transition to the last alias moved.

This includes the topic, a cold start of the guard's function, what it reads before it
trusts the alarm, the second plan, and the moves at the quota's rate, which is the lower limit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from bench.account import ENVIRONMENT, BenchAccount
from bench.paced import RATE
from bench.table import Measurement
from localaws import estate
from localaws.clients import connect
from localaws.errors import LocalError
from rollback.config.naming import DEPLOYER

GUARD = {"errors": 2}
# Seconds: the allowance above the quota's floor, the longest wait, and the interval between two reads.
_OVERHEAD, _PATIENCE, _LOOK = 5.0, 180.0, 0.5
_BAD = "v1.9.0"


def rows(where: BenchAccount, progress: Callable[[str], None]) -> Iterator[Measurement]:
    """The row of an account with a guard. Raises `LocalError` if the release is not rolled back."""
    count, settings = len(where.functions), where.settings
    service = next(iter(settings.services))
    alarm = settings.names.alarm(service)
    progress(f"{count} functions: a bad release, and its alarm")
    _until(lambda: _changes(where, alarm), "the alarm is not evaluated")
    functions = connect("lambda", where.endpoint, settings)
    estate.deploy(functions, settings, _BAD, broken=[service])
    recorded = ("release", "record", "--env", ENVIRONMENT, "--version", _BAD, "--commit", "0" * 40)
    recording = where.rollback(*recorded, "--standby", "45m", "--json", role=DEPLOYER)
    name = str(json.loads(recording.output)["standby"]["rollback_id"])
    for function in settings.functions(service):
        for _ in range(GUARD["errors"] + 1):
            functions.invoke(FunctionName=function, Qualifier=settings.alias)
    record = _until(lambda: _taken(where, name), "nothing was taken for the alarm")
    moved = [event["at"] for event in record["events"] if event["kind"] == "moved"]
    if record["status"] != "COMPLETE" or record["counts"]["moved"] != count:
        raise LocalError(f"The guard did not complete the rollback: {record['status']}, {record['counts']}")
    red = next(at for at, state in _changes(where, alarm) if state == "ALARM")
    seconds = datetime.fromisoformat(max(moved)).timestamp() - red
    floor = (count - RATE.burst) / RATE.rate
    yield Measurement(
        name=f"{count} functions without a person: the alarm's transition to the last alias moved, beyond the floor",
        ours=seconds - floor,
        bar=_OVERHEAD,
    )


def _changes(where: BenchAccount, alarm: str) -> list[tuple[float, str]]:
    """The alarm's transitions: seconds since the epoch, and the new state; newest first."""
    history = connect("cloudwatch", where.endpoint, where.settings).describe_alarm_history(
        AlarmName=alarm, AlarmTypes=["CompositeAlarm"], HistoryItemType="StateUpdate"
    )
    return [
        (item["Timestamp"].timestamp(), json.loads(item["HistoryData"])["newState"]["stateValue"])
        for item in history["AlarmHistoryItems"]
    ]


def _taken(where: BenchAccount, name: str) -> dict[str, Any] | None:
    """The record, after it was taken and has ended."""
    record = json.loads(where.rollback("show", name, "--env", ENVIRONMENT, "--json").output)
    return None if record["status"] in ("STANDBY", "IN_PROGRESS") else dict(record)


def _until(found: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + _PATIENCE
    while not (value := found()):
        if time.monotonic() > end:
            raise LocalError(f"{what} within {_PATIENCE:.0f} s")
        time.sleep(_LOOK)
    return value
