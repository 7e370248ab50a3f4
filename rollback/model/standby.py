"""A rollback that is planned and approved in advance: while it is valid, and why it is not. Pure.

A standby is a record with the status STANDBY. The facts of its plan have its expiry and the recorded
release that it rolls back, so that the approved digest covers both. It ends automatically: when the next release is
recorded, when something else has changed what it would change, when it would go below a floor, and at
its expiry. All of that is decided here, from the ledger. The caller's clock can only end it for the caller:
the record is closed (EXPIRED) when the ledger itself shows that it has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from rollback.model import floors
from rollback.model.plan import Plan
from rollback.model.record import Status, now_iso
from rollback.model.release import OPENED, Entry, Timeline
from rollback.util.times import shown_time

# The facts of a standby's plan.
UNTIL, OF = "standby until", "standby of"


class Why(StrEnum):
    """Why a standby is no longer valid."""

    RELEASE = "RELEASE"
    CHANGED = "CHANGED"
    FLOOR = "FLOOR"
    TIME = "TIME"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """The end of a standby: the reason, also as text."""

    why: Why
    text: str


def as_standby(plan: Plan[Any], release: Entry, until: str) -> Plan[Any]:
    """A standby's plan: the rollback of `release`, valid `until` a time (ISO 8601 in UTC)."""
    return replace(plan, facts={**plan.facts, UNTIL: until, OF: release.id})


def again(plan: Plan[Any], today: Plan[Any]) -> Plan[Any]:
    """A standby's plan made again, with its facts: the digest is the same if nothing has changed."""
    own = {name: text for name, text in plan.facts.items() if name in (UNTIL, OF)}
    return replace(today, facts={**today.facts, **own})


def until(now: datetime, minutes: int) -> str:
    """The expiry of a standby of `minutes`, ISO 8601 in UTC."""
    return now_iso(now + timedelta(minutes=minutes))


def newest_release(timeline: Iterable[Entry]) -> Entry | None:
    """The entry of the newest deployed release; not of one that was only adopted."""
    return next(
        (
            entry
            for entry in timeline
            if entry.is_release and any(entry.stands.get(name) == entry.version for name in entry.services)
        ),
        None,
    )


def opened(timeline: Iterable[Entry], releases: int = 1, status: Status = Status.STANDBY) -> tuple[str, ...]:
    """The ids of the records that started with `status` (a standby, or a waiting plan) and have no end in the timeline,
    newest first, back to the last `releases` releases.

    A taken standby that is still running is among them: only its record shows that.
    """
    ended: set[str] = set()
    found: list[str] = []
    for entry in timeline:
        if entry.kind == "rollback":
            ended.add(entry.id)
        elif entry.kind == OPENED and entry.status == status and entry.id not in ended:
            found.append(entry.id)
        elif newest_release([entry]) is not None:
            releases -= 1
            if not releases:
                break
    return tuple(found)


def ended(plan: Plan[Any], rollback_id: str, timeline: Timeline, now: str = "") -> Ended | None:
    """Why a standby is no longer valid; None if it is. `now` is the caller's time (ISO 8601 in UTC).

    Without `now` only the newest time in the ledger counts. A caller's clock that is behind it is ignored.
    """
    latest, reached, since = now, False, True
    for entry in timeline:
        if newest_release([entry]) is not None:
            if entry.id != plan.facts.get(OF):
                return Ended(why=Why.RELEASE, text=f"{entry.version} was recorded after it was prepared")
            reached = True
            break
        latest = max(latest, entry.at)
        # Earlier changes are part of its plan; in doubt its digest decides.
        since = since and entry.id != rollback_id
        if since and entry.kind != "adoption" and set(entry.services) & set(plan.subjects):
            return Ended(why=Why.CHANGED, text=f"{entry.kind} {entry.id} has since changed the same services")
    if not reached:
        return Ended(why=Why.RELEASE, text="the release that it rolls back is not recorded")
    if below := floors.below(floors.of_timeline(timeline), plan.targets, timeline.all_deployed):
        return Ended(why=Why.FLOOR, text=str(next(iter(below.values()))))
    end = plan.facts.get(UNTIL, "")
    if not latest < end:
        return Ended(why=Why.TIME, text=f"it expired at {shown_time(end)}")
    return None


def quarantined(targets: Mapping[str, str], bad: Iterable[tuple[str, str]]) -> str:
    """A text if a target release is quarantined; otherwise empty. `bad` are (service, release)."""
    found = set(targets.items()) & set(bad)
    return next((f"{release} is quarantined for {service}" for service, release in sorted(found)), "")
