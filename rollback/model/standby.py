"""A rollback that is planned and approved in advance: when it is live, and when it has ended. Pure.

A standby is a record with the status STANDBY. Its plan says in its facts until when it may be taken and of which recorded
release it is the rollback; so the digest that is approved covers both. It ends by itself: when the next release is
recorded, when something else has moved what it would move, when it would go below what must not be rolled back past, and at
its time. All of that is decided here, from what the ledger holds. The caller's clock can only end it for the caller:
the record is closed (EXPIRED) once the ledger itself shows that it has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from rollback.model import floors
from rollback.model.plan import Plan
from rollback.model.record import now_iso
from rollback.model.release import OPENED, Entry, Timeline

# The facts of a standby's plan.
UNTIL, OF = "standby until", "standby of"
# What a record is called in the timeline that began as a standby.
_STANDBY = "STANDBY"


class Why(StrEnum):
    """Why a standby has ended."""

    RELEASE = "RELEASE"
    CHANGED = "CHANGED"
    FLOOR = "FLOOR"
    TIME = "TIME"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """That a standby has ended, why, and in words."""

    why: Why
    text: str


def as_standby(plan: Plan[Any], release: Entry, until: str) -> Plan[Any]:
    """A plan as a standby's: the rollback from `release`, to be taken `until` a time (ISO 8601 in UTC)."""
    return replace(plan, facts={**plan.facts, UNTIL: until, OF: release.id})


def again(plan: Plan[Any], today: Plan[Any]) -> Plan[Any]:
    """A standby's plan made again, with what it says of itself: its digest is the standby's where all still holds."""
    own = {name: text for name, text in plan.facts.items() if name in (UNTIL, OF)}
    return replace(today, facts={**today.facts, **own})


def until(now: datetime, minutes: int) -> str:
    """When a standby of so many minutes ends, ISO 8601 in UTC."""
    return now_iso(now + timedelta(minutes=minutes))


def newest_release(timeline: Iterable[Entry]) -> Entry | None:
    """The entry of the release that was deployed last. An adoption that only names the past is none."""
    return next(
        (
            entry
            for entry in timeline
            if entry.is_release and any(entry.stands.get(name) == entry.version for name in entry.services)
        ),
        None,
    )


def opened(timeline: Iterable[Entry], releases: int = 1) -> tuple[str, ...]:
    """The ids of the standbys that no entry has ended, newest first; as far back as so many `releases`.

    A record that was taken and is under way is among them: only its record says so.
    """
    ended: set[str] = set()
    found: list[str] = []
    for entry in timeline:
        if entry.kind == "rollback":
            ended.add(entry.id)
        elif entry.kind == OPENED and entry.status == _STANDBY and entry.id not in ended:
            found.append(entry.id)
        elif newest_release([entry]) is not None:
            releases -= 1
            if not releases:
                break
    return tuple(found)


def ended(plan: Plan[Any], rollback_id: str, timeline: Timeline, now: str = "") -> Ended | None:
    """Why a standby has ended; None while it may be taken. `now` is the caller's time (ISO 8601 in UTC).

    Without `now` only the ledger decides: the newest time that it tells. A clock that is behind it counts for nothing.
    """
    latest, reached, since = now, False, True
    for entry in timeline:
        if newest_release([entry]) is not None:
            if entry.id != plan.facts.get(OF):
                return Ended(why=Why.RELEASE, text=f"{entry.version} was recorded after it")
            reached = True
            break
        latest = max(latest, entry.at)
        # What was done before it was opened it was planned upon; in doubt its digest tells.
        since = since and entry.id != rollback_id
        if since and entry.kind != "adoption" and set(entry.services) & set(plan.subjects):
            return Ended(why=Why.CHANGED, text=f"{entry.kind} {entry.id} has changed the same services since")
    if not reached:
        return Ended(why=Why.RELEASE, text="the release that it goes back from is not recorded")
    if below := floors.below(floors.of_timeline(timeline), plan.targets, timeline.all_deployed):
        return Ended(why=Why.FLOOR, text=str(next(iter(below.values()))))
    end = plan.facts.get(UNTIL, "")
    if not latest < end:
        return Ended(why=Why.TIME, text=f"it could be taken until {end}")
    return None


def quarantined(targets: Mapping[str, str], bad: Iterable[tuple[str, str]]) -> str:
    """In words that a release that it goes to is quarantined; empty where none is. `bad` are (service, release)."""
    found = set(targets.items()) & set(bad)
    return next((f"{release} is quarantined for {service}" for service, release in sorted(found)), "")
