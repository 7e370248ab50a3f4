"""Whether an alarm takes the standby: one decision, for the guard and for `rollback watch`. Pure.

An alarm's message is not believed: what decides is the alarm's state and history as CloudWatch has them, the ledger, and
the environment's settings. In doubt nothing is taken. A release is rolled back so once at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rollback.model.record import now_iso

OK, RED, NO_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"


class Why(StrEnum):
    """Why nothing is taken, in the order in which it is asked."""

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
    """What the settings allow (`rollback.config.sections.Automatic`). `needs_approval`: another person approves what is
    on standby, as always in production. `alarms` are the names of alarms that may take it, `bake_minutes` how long
    after a release.
    """

    takes: bool
    alarms: tuple[str, ...]
    bake_minutes: int
    needs_approval: bool = True

    def names(self, alarm: AlarmSeen) -> bool:
        """Whether this alarm may take what is on standby."""
        return alarm.name in self.alarms


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """An alarm's state from a moment on; `at` is ISO 8601 in UTC, `before` the state that it had until then."""

    at: str
    state: str
    before: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AlarmSeen:
    """One alarm as CloudWatch has it now. `since` is when its state last changed, `changes` are those that it went through
    recently, the newest first. `reason` is CloudWatch's own.
    """

    name: str
    state: str
    since: str
    changes: tuple[Change, ...] = ()
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseSeen:
    """The release that was recorded last: its entry's id, its version, and when."""

    id: str
    version: str
    at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StandbySeen:
    """The newest standby of that release. `ended` says in words why it has ended, `approved` that somebody else has
    approved it, by an approval that holds now.
    """

    rollback_id: str
    release: str
    approved: bool
    ended: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """All that decides. `frozen` says in words who has frozen the environment; `taken` is the
    record by which a standby of this release was taken already, no matter who took it; `services_at` is the release that all services
    are at by the ledger, empty where they are at several.
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
    """The standby is to be taken, for this alarm."""

    rollback_id: str
    alarm: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Nothing:
    """Nothing is to be taken: why, and the alarm that it is about, if one is."""

    code: Why
    reason: str
    alarm: str = ""


Decision = Take | Nothing


def decide(facts: Facts) -> Decision:
    """What is to be done about the alarms that there are."""
    release = facts.release
    if (why := _nothing_at_all(facts)) is not None or release is None:
        return why or Nothing(code=Why.NO_RELEASE, reason="no release is recorded")
    red = [alarm for alarm in facts.alarms if alarm.state == RED]
    named = [alarm for alarm in red if facts.policy.names(alarm)]
    if not red:
        return Nothing(code=Why.NOT_RED, reason="none of the alarms that may take it is red")
    if not named:
        why_not = f"the settings do not name {red[0].name} among the alarms that may take it"
        return Nothing(code=Why.NOT_NAMED, reason=why_not, alarm=red[0].name)
    judged = [_judged(alarm, release, facts.policy.bake_minutes) for alarm in named]
    because = next((alarm for alarm, other in zip(named, judged, strict=True) if other is None), None)
    if because is None:
        return next(other for other in judged if other is not None)
    return _of_red(facts, release, because)


def _nothing_at_all(facts: Facts) -> Nothing | None:
    """Why no alarm could take anything; None where one could."""
    policy, release = facts.policy, facts.release
    if not policy.takes:
        return Nothing(code=Why.OFF, reason="no alarm may take anything here (the setting `automatic.takes`)")
    if release is not None and facts.taken:
        return Nothing(
            code=Why.TAKEN_ALREADY, reason=f"{facts.taken} was taken for {release.version} already"
        )
    if release is not None and facts.services_at != release.version:
        return Nothing(
            code=Why.NOT_THIS_RELEASE,
            reason=f"{release.version} was recorded last, and {facts.services_at or 'several releases'} is deployed",
        )
    return None


def _of_red(facts: Facts, release: ReleaseSeen, alarm: AlarmSeen) -> Decision:
    """What is to be done about an alarm that went red because of the release."""
    standby, name = facts.standby, alarm.name
    if facts.frozen:
        return Nothing(code=Why.FROZEN, reason=f"the environment is frozen: {facts.frozen}", alarm=name)
    if standby is None or standby.release != release.id:
        reason = f"nothing is on standby for {release.version}"
        return Nothing(code=Why.NO_STANDBY, reason=reason, alarm=name)
    if standby.ended:
        reason = f"{standby.rollback_id} is no longer on standby: {standby.ended}"
        return Nothing(code=Why.STANDBY_ENDED, reason=reason, alarm=name)
    if facts.policy.needs_approval and not standby.approved:
        reason = f"nobody has approved {standby.rollback_id}"
        return Nothing(code=Why.NOT_APPROVED, reason=reason, alarm=name)
    reason = f"alarm {name} is red since {alarm.since}, after {release.version}"
    return Take(rollback_id=standby.rollback_id, alarm=name, reason=reason)


def _judged(alarm: AlarmSeen, release: ReleaseSeen, minutes: int) -> Nothing | None:
    """Why a red alarm says nothing of the release; None where it does. One that comes and goes is red now for what it was
    red for before.
    """
    name, version = alarm.name, release.version
    if alarm.since <= release.at or _red_before(alarm, release.at, minutes):
        reason = f"it was red before {version} was recorded, or within {minutes} minutes of that"
        return Nothing(code=Why.RED_BEFORE, reason=reason, alarm=name)
    if not alarm.changes:
        reason = f"CloudWatch has no state of it from before {version}"
        return Nothing(code=Why.HISTORY_UNKNOWN, reason=reason, alarm=name)
    if _later(release.at, minutes) < alarm.since:
        reason = f"it is red since {alarm.since}, more than {minutes} minutes after {version}"
        return Nothing(code=Why.AFTER_BAKE, reason=reason, alarm=name)
    return None


def _red_before(alarm: AlarmSeen, released: str, minutes: int) -> bool:
    """Whether an alarm was red when a release was recorded, or at any time in the minutes before that."""
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
