"""Collects the facts that decide whether an alarm takes the standby (`model.automatic`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from rollback.aws import alarms
from rollback.aws.account import Account
from rollback.lifecycle import approval, standby
from rollback.lifecycle.context import Session
from rollback.lifecycle.granted import granted_by
from rollback.model import automatic
from rollback.model import standby as standbys
from rollback.model.automatic import AlarmSeen, Decision, Facts, Policy, ReleaseSeen, StandbySeen
from rollback.model.kind import Kind
from rollback.model.record import Status
from rollback.model.release import OPENED, Entry, Timeline
from rollback.util.errors import RollbackError

# Reads the alarms of these names, and their changes since a time.
Read = Callable[[Account, Sequence[str], datetime], tuple[AlarmSeen, ...]]


def policy(session: Session) -> Policy:
    """What the settings allow. Where the protected branch's cannot be compared, an approval is needed."""
    settings = session.settings
    try:
        needed = session.policy(Kind.ALIASES) == "identity"
    except RollbackError:
        needed = True
    return Policy(
        takes=settings.automatic.takes,
        alarms=settings.alarms,
        bake_minutes=settings.automatic.bake,
        needs_approval=needed or settings.production,
    )


def facts(session: Session, read: Read = alarms.seen) -> Facts:
    """The current facts: read from the ledger and, by `read`, from CloudWatch. Changes nothing.

    Raises `RollbackError` where one of them cannot be read.
    """
    rule, timeline = policy(session), session.ledger.timeline(verified=True)
    entry = standbys.newest_release(timeline)
    if entry is None or not rule.takes:
        return Facts(policy=rule)
    frozen = session.ledger.frozen()
    bound = frozen is not None and frozen.binds(session.caller.person)
    since = datetime.fromisoformat(entry.at) - timedelta(minutes=2 * rule.bake_minutes)
    at = {timeline.all_deployed.get(service, "") for service in session.settings.services}
    with granted_by(session, "automatic"):
        seen = read(session.account, rule.alarms, since)
    return Facts(
        policy=rule,
        release=ReleaseSeen(id=entry.id, version=entry.version, at=entry.at),
        services_at=at.pop() if len(at) == 1 else "",
        alarms=seen,
        standby=_standby(session, timeline, entry),
        frozen=str(frozen) if bound else "",
        taken=_taken(session, timeline, entry),
    )


def decision(session: Session, read: Read = alarms.seen) -> Decision:
    """Whether to take the standby now, and for which alarm. Raises as `facts` does."""
    return automatic.decide(facts(session, read))


def _standby(session: Session, timeline: Timeline, release: Entry) -> StandbySeen | None:
    """The newest standby of a release, one that can be taken before one that cannot."""
    seen: list[StandbySeen] = []
    for opened in standby.found(session, timeline):
        record = opened.record
        given = session.ledger.approvals(record.rollback_id)
        ended = standby.why_ended(session, opened, timeline)
        plan = opened.plan(session.target(record.kind).step)
        seen.append(
            StandbySeen(
                rollback_id=record.rollback_id,
                release=plan.facts.get(standbys.OF, ""),
                approved=approval.unasked(record, given, session.settings, session.now()) is not None,
                ended=ended.text if ended else "",
            )
        )
    own = [one for one in seen if one.release == release.id]
    return next((one for one in own if not one.ended), own[0] if own else None)


def _taken(session: Session, timeline: Timeline, release: Entry) -> str:
    """The id of the record by which a release's standby was taken, whatever its result; empty if none was."""
    for entry in timeline:
        if entry.id == release.id:
            break
        if entry.kind == OPENED and entry.status == Status.STANDBY:
            record = session.ledger.load(entry.id).record
            if record.taken_by is not None:
                return record.rollback_id
    return ""
