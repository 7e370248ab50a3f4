"""Reads everything that a report shows; `views.report` renders it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollback.lifecycle.context import Session
from rollback.model.plan import Plan
from rollback.model.record import Approval, Event, Record, chain_break, now_iso
from rollback.model.situation import LeaseSeen, RecordSeen
from rollback.queries import situation, traffic
from rollback.queries.history import Moment, past
from rollback.queries.status import Overview, overview
from rollback.util.errors import RollbackError

# The number of rollbacks shown with plan and journal. With 42 functions each they make 40,000 elements,
# which a browser renders at once; a thousand rollbacks would take a minute.
DETAILED = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedRecord:
    """One record with its details. `plan` is None if damaged; `outcomes` are as of
    `Target.outcomes`; `broken` is where the journal's chain breaks, empty if it does not.
    """

    seen: RecordSeen
    plan: Plan[Any] | None
    events: tuple[Event, ...]
    approvals: tuple[Approval, ...]
    outcomes: tuple[Mapping[str, Any], ...]
    broken: str

    @property
    def record(self) -> Record:
        return self.seen.record


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportData:
    """An environment, or one record of it. `now` is None for a single record, or if it could
    not be read; `moments` are newest first; `records` maps a record's id to its data, for the newest ones of `moments`.
    `at` is ISO 8601 in UTC.
    """

    environment: str
    account: str
    region: str
    at: str
    now: Overview | None
    moments: tuple[Moment, ...]
    records: Mapping[str, ReportedRecord]
    notices: tuple[str, ...]


def gather(session: Session, limit: int, *, detailed: int = DETAILED) -> ReportData:
    """The environment's newest `limit` entries, the newest `detailed` rollbacks with plan and journal, and what is
    deployed now.

    `notices` names what could not be read, and what bypasses the alias.
    """
    notices: list[str] = []
    now: Overview | None = None
    try:
        now = overview(session)
    except RollbackError as error:
        notices.append(f"What is deployed could not be read: {error.notice}")
    happened = past(session, limit)
    notices += traffic.of(session).lines
    notices += [*happened.notices, *(error.what for error in happened.broken)]
    names = [moment.what for moment in happened.moments if "rollback_id" in moment.document][:detailed]
    held = situation.leases(session, now.holders if now else {})
    found: dict[str, ReportedRecord] = {}
    for name, one in zip(
        names, session.account.each(lambda name: _record_or_reason(session, name, held), names), strict=True
    ):
        if isinstance(one, ReportedRecord):
            found[name] = one
        else:
            notices.append(one)
    return _report(session, now, happened.moments, found, notices)


def single(session: Session, rollback_id: str) -> ReportData:
    """One record. Raises `UsageError` where there is none, `RollbackError` where it is malformed."""
    one = _read(session, rollback_id, situation.leases(session, session.leases.holders()))
    return _report(session, None, (), {rollback_id: one}, [])


def _report(
    session: Session,
    now: Overview | None,
    moments: Sequence[Moment],
    found: Mapping[str, ReportedRecord],
    notices: Sequence[str],
) -> ReportData:
    settings = session.settings
    return ReportData(
        environment=settings.environment,
        account=settings.account,
        region=settings.region,
        at=now_iso(session.now()),
        now=now,
        moments=tuple(moments),
        records=found,
        notices=tuple(notices),
    )


def _record_or_reason(session: Session, rollback_id: str, held: Sequence[LeaseSeen]) -> ReportedRecord | str:
    try:
        return _read(session, rollback_id, held)
    except RollbackError as error:
        return f"{rollback_id} could not be read: {error.what}"


def _read(session: Session, rollback_id: str, held: Sequence[LeaseSeen]) -> ReportedRecord:
    opened = session.ledger.load(rollback_id)
    target = session.target(opened.record.kind)
    broken = chain_break(opened.record, opened.events) or ""
    plan: Plan[Any] | None = None
    outcomes: tuple[Mapping[str, Any], ...] = ()
    try:
        plan = opened.plan(target.step)
        outcomes = tuple(target.outcomes(plan, opened.events))
    except RollbackError as error:
        broken = broken or error.what
    return ReportedRecord(
        seen=situation.record_seen(session, opened, held, session.ledger.timeline(readable=True)),
        plan=plan,
        events=opened.events,
        approvals=tuple(session.ledger.approvals(rollback_id)),
        outcomes=outcomes,
        broken=broken,
    )
