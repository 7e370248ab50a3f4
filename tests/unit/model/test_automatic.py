"""Whether an alarm takes what is on standby: every clause by itself, one thing changed at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollback.model.automatic import (
    AlarmSeen,
    Change,
    Facts,
    Nothing,
    Policy,
    ReleaseSeen,
    StandbySeen,
    Take,
    Why,
    decide,
)


def at(time: str) -> str:
    return f"2026-11-28T{time}:00.000Z"


def change(time: str, before: str, state: str) -> Change:
    return Change(at=at(time), before=before, state=state)


# v2 was recorded at 12:00 and is deployed, its standby is approved; the alarm is red since 12:05, and was green before.
RELEASE = ReleaseSeen(id="D2", version="v2", at=at("12:00"))
STANDBY = StandbySeen(rollback_id="R1", release="D2", approved=True)
WENT_RED = change("12:05", "OK", "ALARM")
ALARM = AlarmSeen(name="teams", state="ALARM", since=at("12:05"), changes=(WENT_RED,))
POLICY = Policy(takes=True, alarms=("teams", "roles"), bake_minutes=30)
ALL = Facts(policy=POLICY, release=RELEASE, services_at="v2", alarms=(ALARM,), standby=STANDBY)


def alarm(**changed: Any) -> dict[str, Any]:
    return {"alarms": (replace(ALARM, **changed),)}


def standby(**changed: Any) -> dict[str, Any]:
    return {"standby": replace(STANDBY, **changed)}


def policy(**changed: Any) -> dict[str, Any]:
    return {"policy": replace(POLICY, **changed)}


def before(*changes: Change) -> dict[str, Any]:
    """An alarm that went through these changes before it turned red at 12:05."""
    return alarm(changes=(WENT_RED, *changes))


NOTHING: dict[str, tuple[dict[str, Any], Why]] = {
    "it is turned off": (policy(takes=False), Why.OFF),
    "nothing is recorded": ({"release": None}, Why.NO_RELEASE),
    "something else is deployed": ({"services_at": "v1"}, Why.NOT_THIS_RELEASE),
    "services are at several releases": ({"services_at": ""}, Why.NOT_THIS_RELEASE),
    "there is no alarm": ({"alarms": ()}, Why.NOT_RED),
    "the alarm is green": (alarm(state="OK"), Why.NOT_RED),
    "the alarm has no data": (alarm(state="INSUFFICIENT_DATA"), Why.NOT_RED),
    "the alarm is not named": (alarm(name="others"), Why.NOT_NAMED),
    "it has been red all the while": (alarm(since=at("11:00"), changes=()), Why.RED_BEFORE),
    "it turned red at that very time": (alarm(since=at("12:00")), Why.RED_BEFORE),
    "it was red when it was recorded": (
        before(change("11:00", "OK", "ALARM"), change("12:02", "ALARM", "OK")),
        Why.RED_BEFORE,
    ),
    "its first known change ended a red": (before(change("12:02", "ALARM", "OK")), Why.RED_BEFORE),
    "it was red a little before": (
        before(change("11:40", "OK", "ALARM"), change("11:50", "ALARM", "OK")),
        Why.RED_BEFORE,
    ),
    "a red ended a little before": (
        before(change("11:00", "OK", "ALARM"), change("11:50", "ALARM", "OK")),
        Why.RED_BEFORE,
    ),
    "nobody knows what it was": (alarm(changes=()), Why.HISTORY_UNKNOWN),
    "it turned red too late": (
        alarm(since=at("12:31"), changes=(change("12:31", "OK", "ALARM"),)),
        Why.AFTER_BAKE,
    ),
    "it was taken once": ({"taken": "R0"}, Why.TAKEN_ALREADY),
    "it was taken, and went through": ({"taken": "R0", "services_at": "v1"}, Why.TAKEN_ALREADY),
    "somebody has frozen it": ({"frozen": "alice: so"}, Why.FROZEN),
    "nothing is on standby": ({"standby": None}, Why.NO_STANDBY),
    "another release's is": (standby(release="D1"), Why.NO_STANDBY),
    "what is on standby has ended": (standby(ended="so"), Why.STANDBY_ENDED),
    "nobody has approved it": (standby(approved=False), Why.NOT_APPROVED),
}


@pytest.mark.parametrize(("changed", "code"), NOTHING.values(), ids=NOTHING)
def test_nothing_is_taken_where(changed: dict[str, Any], code: Why) -> None:
    found = decide(replace(ALL, **changed))

    assert isinstance(found, Nothing)
    assert found.code is code


TAKEN: dict[str, dict[str, Any]] = {
    "all holds": {},
    "it had no data before": before(change("11:55", "INSUFFICIENT_DATA", "OK")),
    "it was red long before": before(
        change("11:00", "OK", "ALARM"),
        change("11:20", "ALARM", "OK"),
    ),
    "it turned red at the last moment": alarm(since=at("12:30"), changes=(change("12:30", "OK", "ALARM"),)),
    "it comes and goes since": before(change("12:02", "OK", "ALARM"), change("12:03", "ALARM", "OK")),
    "nobody has to approve it": {**policy(needs_approval=False), **standby(approved=False)},
    "another alarm was red before": {
        "alarms": (replace(ALARM, name="roles", since=at("11:00"), changes=()), ALARM)
    },
    "another alarm is not named": {"alarms": (replace(ALARM, name="others"), ALARM)},
}


@pytest.mark.parametrize("changed", TAKEN.values(), ids=TAKEN)
def test_it_is_taken_where(changed: dict[str, Any]) -> None:
    found = decide(replace(ALL, **changed))

    assert isinstance(found, Take)
    assert (found.rollback_id, found.alarm) == ("R1", "teams")


def test_every_code_has_its_case() -> None:
    assert {code for _, code in NOTHING.values()} == set(Why)
