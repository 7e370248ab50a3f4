"""The standbys of an environment: which one can be taken, and which are no longer valid."""

from __future__ import annotations

from typing import Any

from rollback.config.settings import Settings
from rollback.ledger.stored_record import Opened
from rollback.lifecycle.context import Session
from rollback.lifecycle.ledger_store import end_entry
from rollback.model import standby
from rollback.model.events import Expired
from rollback.model.grouping import some
from rollback.model.plan import Plan
from rollback.model.record import Record, Status, now_iso
from rollback.model.release import Entry, Timeline
from rollback.model.situation import Policy
from rollback.model.standby import Ended
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)

_WEEK = 7 * 24 * 60


def checked_minutes(settings: Settings, policy: Policy, minutes: int) -> None:
    """Raises `UsageError` for a duration longer than an approval is valid, or than any standby."""
    most = settings.approval.expires_minutes if policy == "identity" else _WEEK
    if not 1 <= minutes <= most:
        why = " (setting `approval.expiresMinutes`: how long an approval is valid)" if most < _WEEK else ""
        raise UsageError(
            f"A standby can last 1 to {most} minutes{why}, not {minutes}.", code=Code.OPTION_INVALID
        )


def deployed_release(session: Session, timeline: Timeline, release: str = "") -> Entry:
    """The entry of the newest release, if all services are at it. Raises `Refused` where they are not,
    or where it is not `release`.
    """
    entry = standby.newest_release(timeline)
    if entry is None:
        raise Refused(
            "No release is recorded: there is nothing to roll back.",
            code=Code.NO_PREVIOUS,
            next=f"rollback release list --env {session.environment}",
        )
    elsewhere = [
        name for name in session.settings.services if timeline.all_deployed.get(name) != entry.version
    ]
    if elsewhere or release not in ("", entry.version):
        raise Refused(
            f"{entry.version} is the newest release, but "
            + (
                f"{some(elsewhere)} {'is' if len(elsewhere) == 1 else 'are'} at another release."
                if elsewhere
                else f"{release} was given."
            ),
            code=Code.CHANGED_BY_OTHERS,
            next=f"rollback status --env {session.environment}",
        )
    return entry


def why_ended(session: Session, opened: Opened, timeline: Timeline | None = None) -> Ended | None:
    """Why this caller cannot take a standby now; None if they can."""
    plan = opened.plan(session.target(opened.record.kind).step)
    return standby.ended(
        plan, opened.record.rollback_id, timeline or session.ledger.timeline(), now_iso(session.now())
    )


def contradiction(opened: Opened, plan: Plan[Any]) -> str:
    """How a record and its plan disagree about a standby's end; empty if they agree."""
    if opened.record.standby_until == plan.facts.get(standby.UNTIL, ""):
        return ""
    return "the record does not say until when it can be taken"


def respected(session: Session, opened: Opened, plan: Plan[Any]) -> None:
    """Raises `Refused` where a standby is no longer valid. If the ledger alone shows that, its record is closed."""
    record = opened.record
    if record.status is not Status.STANDBY:
        return  # refused by its status elsewhere
    if why := contradiction(opened, plan):
        raise opened.tampered(why)
    timeline = session.ledger.timeline(verified=True)
    timeline.newest  # noqa: B018 - the clock is looked at last: a process may have stood still meanwhile
    found = standby.ended(plan, record.rollback_id, timeline, now_iso(session.now()))
    if found is None:
        return
    if standby.ended(plan, record.rollback_id, timeline) is not None:
        _closed(session, opened, found)
    raise Refused(
        f"{record.rollback_id} is no longer on standby: {found.text}.",
        code=Code.STANDBY_ENDED,
        next=f"rollback status --env {record.environment}",
    )


def found(session: Session, timeline: Timeline, releases: int = 1) -> list[Opened]:
    """The standbys without an end in the timeline, newest first, back to the last `releases` releases."""
    return [
        opened
        for name in standby.opened(timeline, releases)
        if (opened := session.ledger.load(name)).record.status is Status.STANDBY
    ]


def live(session: Session, timeline: Timeline | None = None) -> Opened | None:
    """The newest valid standby, approved or not; None if there is none."""
    timeline = timeline or session.ledger.timeline()
    return next(
        (opened for opened in found(session, timeline) if why_ended(session, opened, timeline) is None), None
    )


def to_take(session: Session) -> str:
    """The id of the standby. Raises `Refused` where there is none, with the reason why the last one is no longer valid."""
    timeline = session.ledger.timeline(verified=True)
    seen = found(session, timeline, releases=2)
    if not seen:
        raise Refused(
            f"Nothing is on standby in {session.environment}.",
            code=Code.NO_STANDBY,
            next=f"rollback status --env {session.environment}  # shows how to roll back",
        )
    alive = [opened for opened in seen if why_ended(session, opened, timeline) is None]
    return (alive or seen)[0].record.rollback_id


def close_ended(session: Session) -> list[Record]:
    """Closes the standbys that the ledger shows are no longer valid; returns their closed records.

    Records that cannot be read, or that another process is writing, are skipped.
    """
    timeline = session.ledger.timeline()
    closed: list[Record] = []
    for opened in found(session, timeline, releases=2):
        try:
            plan = opened.plan(session.target(opened.record.kind).step)
            why = standby.ended(plan, opened.record.rollback_id, timeline)
            if why is not None:
                closed.append(_closed(session, opened, why))
        except RollbackError:
            continue
    return closed


def _closed(session: Session, opened: Opened, why: Ended) -> Record:
    now = session.clocks.now()
    record, _ = session.ledger.close(
        opened.record,
        Expired(why=why.why, text=why.text).entered(at=now, by=session.caller),
        None,
        {"status": Status.EXPIRED, "completed_at": now},
        entry=end_entry(session, opened.record, Status.EXPIRED, now, services=(), deployed={}),
    )
    session.notify(record)
    return record
