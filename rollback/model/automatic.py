"""Whether an alarm takes the standby: one decision, for the guard and for `rollback watch`. Pure.

An alarm's message is not used: the decision depends on the alarm's state and history in CloudWatch, the ledger, and
the environment's settings. In doubt nothing is taken. A release is rolled back this way at most once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rollback.model.record import now_iso
from rollback.util.times import shown_time

OK, RED, NO_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"


class Why(StrEnum):
    """Why no standby is taken, in the order of the checks."""

    OFF = "OFF"
    TAKEN_ALREADY = "TAKEN_ALREADY"
    NOT_THIS_RELEASE = "NOT_THIS_RELEASE"
    NO_RELEASE = "NO_RELEASE"
    NOT_RED = "NOT_RED"
    NOT_NAMED = "NOT_NAMED"
    RED_BEFORE = "RED_BEFORE"
    HISTORY_UNKNOWN = "HISTORY_UNKNOWN"
    AFTER_BAKE = "AFTER_BAKE"
    FROZEN = "FROZEN"
    NO_STANDBY = "NO_STANDBY"
    STANDBY_ENDED = "STANDBY_ENDED"
    NOT_APPROVED = "NOT_APPROVED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What the settings allow (`rollback.config.sections.Automatic`). `needs_approval`: another person must approve a
    standby, as always in production. `alarms` are the names of alarms that may take it, `bake_minutes` how long
    after a release.
    """

    takes: bool
    alarms: tuple[str, ...]
    bake_minutes: int
    needs_approval: bool = True

    def names(self, alarm: AlarmSeen) -> bool:
        """Whether this alarm may take the standby."""
        return alarm.name in self.alarms


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """An alarm's change of state; `at` is ISO 8601 in UTC, `before` the state before it."""

    at: str
    state: str
    before: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AlarmSeen:
    """One alarm's state in CloudWatch. `since` is when its state last changed, `changes` are its
    recent changes, newest first. `reason` is CloudWatch's.
    """

    name: str
    state: str
    since: str
    changes: tuple[Change, ...] = ()
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseSeen:
    """The newest release: its entry's id, version and time."""

    id: str
    version: str
    at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StandbySeen:
    """The newest standby of that release. `ended` is why it is no longer valid, `approved` whether somebody else has
    approved it, with an approval that is valid now.
    """

    rollback_id: str
    release: str
    approved: bool
    ended: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """All facts for the decision. `frozen` is who has frozen the environment; `taken` is the
    record by which a standby of this release was already taken, by anybody; `services_at` is the release that all services
    are at according to the ledger, empty if they are at several.
    """

    policy: Policy
    release: ReleaseSeen | None = None
    services_at: str = ""
    alarms: tuple[AlarmSeen, ...] = ()
    standby: StandbySeen | None = None
    frozen: str = ""
    taken: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Take:
    """Take the standby, for this alarm."""

    rollback_id: str
    alarm: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Nothing:
    """Do not take a standby: the reason, and the alarm, if any."""

    code: Why
    reason: str
    alarm: str = ""


Decision = Take | Nothing


def decide(facts: Facts) -> Decision:
    """Decides whether to take the standby."""
    release = facts.release
    if (why := _nothing_at_all(facts)) is not None or release is None:
        return why or Nothing(code=Why.NO_RELEASE, reason="no release is recorded")
    red = [alarm for alarm in facts.alarms if alarm.state == RED]
    named = [alarm for alarm in red if facts.policy.names(alarm)]
    if not red:
        return Nothing(code=Why.NOT_RED, reason="none of the alarms that may take it is in ALARM")
    if not named:
        why_not = f"{red[0].name} is not one of the alarms that may take it"
        return Nothing(code=Why.NOT_NAMED, reason=why_not, alarm=red[0].name)
    judged = [_judged(alarm, release, facts.policy.bake_minutes) for alarm in named]
    because = next((alarm for alarm, other in zip(named, judged, strict=True) if other is None), None)
    if because is None:
        return next(other for other in judged if other is not None)
    return _of_red(facts, release, because)


def _nothing_at_all(facts: Facts) -> Nothing | None:
    """Why no alarm could take a standby; None if one could."""
    policy, release = facts.policy, facts.release
    if not policy.takes:
        return Nothing(code=Why.OFF, reason="no alarm may take a standby here (setting `automatic.takes`)")
    if release is not None and facts.taken:
        return Nothing(
            code=Why.TAKEN_ALREADY, reason=f"{facts.taken} was already taken for {release.version}"
        )
    if release is not None and facts.services_at != release.version:
        return Nothing(
            code=Why.NOT_THIS_RELEASE,
            reason=f"{release.version} is the newest release, but {facts.services_at or 'several releases'} is deployed",
        )
    return None


def _of_red(facts: Facts, release: ReleaseSeen, alarm: AlarmSeen) -> Decision:
    """Decides about an alarm that went off because of the release."""
    standby, name = facts.standby, alarm.name
    if facts.frozen:
        return Nothing(code=Why.FROZEN, reason=f"the environment is frozen: {facts.frozen}", alarm=name)
    if standby is None or standby.release != release.id:
        reason = f"there is no standby for {release.version}"
        return Nothing(code=Why.NO_STANDBY, reason=reason, alarm=name)
    if standby.ended:
        reason = f"{standby.rollback_id} is no longer on standby: {standby.ended}"
        return Nothing(code=Why.STANDBY_ENDED, reason=reason, alarm=name)
    if facts.policy.needs_approval and not standby.approved:
        reason = f"nobody has approved {standby.rollback_id}"
        return Nothing(code=Why.NOT_APPROVED, reason=reason, alarm=name)
    reason = f"alarm {name} went into ALARM at {shown_time(alarm.since)}, after {release.version}"
    return Take(rollback_id=standby.rollback_id, alarm=name, reason=reason)


def _judged(alarm: AlarmSeen, release: ReleaseSeen, minutes: int) -> Nothing | None:
    """Why an alarm is not attributed to the release; None if it is. A flapping alarm goes off again for its earlier
    cause.
    """
    name, version = alarm.name, release.version
    if alarm.since <= release.at or _red_before(alarm, release.at, minutes):
        reason = f"it was in ALARM when {version} was recorded, or in the {minutes} minutes before that"
        return Nothing(code=Why.RED_BEFORE, reason=reason, alarm=name)
    if not alarm.changes:
        reason = f"CloudWatch does not have its state before {version}"
        return Nothing(code=Why.HISTORY_UNKNOWN, reason=reason, alarm=name)
    if _later(release.at, minutes) < alarm.since:
        reason = (
            f"it went into ALARM at {shown_time(alarm.since)}, more than {minutes} minutes after {version}"
        )
        return Nothing(code=Why.AFTER_BAKE, reason=reason, alarm=name)
    return None


def _red_before(alarm: AlarmSeen, released: str, minutes: int) -> bool:
    """Whether an alarm was in ALARM when a release was recorded, or in the `minutes` before that."""
    start = _later(released, -minutes)
    state = next((change.before for change in sorted(alarm.changes, key=_at)), OK)
    for change in sorted(alarm.changes, key=_at):
        if change.at > released:
            break
        if change.at > start and RED in (state, change.state):
            return True
        state = change.state
    return state == RED


def _at(change: Change) -> str:
    return change.at


def _later(at: str, minutes: int) -> str:
    return now_iso(datetime.fromisoformat(at) + timedelta(minutes=minutes))
