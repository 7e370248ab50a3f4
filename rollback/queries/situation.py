"""Reads the state of an environment and its records; `model.advice` derives from it what to type next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rollback.config.naming import APPROVER, BREAK_GLASS, DEPLOYER
from rollback.ledger.audit_bucket import NotDeclared
from rollback.ledger.schema import Newer
from rollback.ledger.store import GONE, Unanswered
from rollback.ledger.stored_record import Opened
from rollback.lifecycle import approval
from rollback.lifecycle.context import Session
from rollback.model import alias_moves as moves_of
from rollback.model import standby
from rollback.model.advice import Advice, without_ledger
from rollback.model.alias_moves import Move
from rollback.model.composite_plan import events_of, parts
from rollback.model.events import Reverting, has
from rollback.model.kind import Kind
from rollback.model.messages import way_back
from rollback.model.plan import Plan
from rollback.model.record import UNFINISHED, WAITING, Record, Status, now_iso, seconds_between
from rollback.model.release import Entry, Past, Quarantine, Timeline, changed_since, past
from rollback.model.situation import (
    FunctionSeen,
    FunctionStatus,
    LeaseSeen,
    Life,
    RecordSeen,
    ReleaseSeen,
    Service,
    ServiceSeen,
    State,
    lease_seen,
)
from rollback.model.taking import taking
from rollback.util.errors import RollbackError, UsageError

# How many of the newest releases are compared with what is deployed if that differs from the record.
_RELEASES = 20
Holders = Mapping[str, Mapping[str, Any]]


def leases(session: Session, holders: Holders) -> tuple[LeaseSeen, ...]:
    """The leases in use; `holders` maps domains to their items (`ledger.lease`)."""
    now = session.clocks.now()
    return tuple(lease_seen(domain, item, now) for domain, item in sorted(holders.items()))


def of(session: Session, opened: Opened) -> RecordSeen:
    """One record, like `record_seen`. The approver role can only read the record."""
    if session.settings.acts_as(session.caller.role, APPROVER):
        return session.seen(opened.record)
    held = leases(session, session.leases.holders())
    return record_seen(session, opened, held, session.ledger.timeline(readable=True))


def record_seen(
    session: Session,
    opened: Opened,
    held: Sequence[LeaseSeen],
    timeline: Timeline,
    *,
    ledger_only: bool = False,
) -> RecordSeen:
    """A record with its lease and approval, and facts from its journal, the timeline and the account;
    with `ledger_only` not from the account.
    """
    record, plan = opened.record, _plan(session, opened)
    seen = session.seen(record)
    lives = [lease.life for lease in held if lease.owner == record.rollback_id]
    waits, on_standby = record.status in WAITING, record.status is Status.STANDBY
    given = (
        approval.unasked(
            record, session.ledger.approvals(record.rollback_id), session.settings, session.now()
        )
        if waits
        else None
    )
    return replace(
        seen,
        life=next(iter(lives), Life.FREE),
        approval=given,
        undoing=has(opened.events, Reverting),
        damaged=plan is None or _untrusted(session, opened),
        way_back=plan is None or way_back(plan),
        outdated=_outdated(session, record, plan, timeline, ledger_only=ledger_only)
        if waits and plan is not None
        else "",
        ended=_ended(session, record, plan, timeline) if on_standby and plan is not None else "",
    )


def _plan(session: Session, opened: Opened) -> Plan[Any] | None:
    try:
        return opened.plan(session.target(opened.record.kind).step)
    except RollbackError:
        return None


def _untrusted(session: Session, opened: Opened) -> bool:
    if opened.record.status not in UNFINISHED:
        return False
    try:
        return bool(session.ledger.untrusted(opened))
    except Newer:
        raise
    except RollbackError:
        return True


def _outdated(
    session: Session, record: Record, plan: Plan[Any], timeline: Timeline, *, ledger_only: bool
) -> str:
    """What has changed since a record was planned; empty if nothing."""
    if record.status is Status.STANDBY:  # it is planned again when it is taken
        bad = [(item.service, item.version) for item in session.ledger.quarantines(readable=True)]
        return standby.quarantined(plan.targets, bad)
    since = changed_since(timeline, record.rollback_id, plan.subjects)
    if since is not None:
        return f"{since.kind} {since.version or since.id} is newer than the plan"
    if ledger_only or record.kind != Kind.ALIASES:
        return ""  # planning again would use Lambda's quota, or take an engine minutes
    target = session.target(record.kind)
    try:
        again = target.again(plan, record.rollback_id)
    except Newer:
        raise
    except RollbackError as error:
        return error.what
    if refusals := target.refusals(again):
        return f"{refusals[0].subject}: {refusals[0].reason}"
    return "aliases were changed since it was planned" if again.digest() != record.digest else ""


def _ended(session: Session, record: Record, plan: Plan[Any], timeline: Timeline) -> str:
    """Why a standby is no longer valid; empty if it is."""
    found = standby.ended(plan, record.rollback_id, timeline, now_iso(session.now()))
    return "" if found is None else found.text


def found_records(
    session: Session,
    recent: Iterable[Record],
    held: Sequence[LeaseSeen],
    timeline: Timeline,
    *,
    ledger_only: bool = False,
) -> tuple[RecordSeen, ...]:
    """The records that wait, run, or failed and were not superseded; and the newest one, if it reverted itself.

    `recent` come from the index, which may lag: the timeline's newest, lease holders and standbys
    are read by id. `ledger_only` as in `record_seen`.
    """
    newest = next((entry.id for entry in timeline if entry.kind in ("opened", "rollback")), "")
    owners = [*(lease.owner for lease in held), *standby.opened(timeline)]
    names = [record.rollback_id for record in recent if record.status in UNFINISHED]
    found = []
    for name in dict.fromkeys([*owners, newest, *names]):
        try:
            opened = session.ledger.load(name) if name else None
        except Newer:
            raise
        except UsageError:
            continue  # a lease whose holder has no record
        except RollbackError as error:
            session.ledger.notices.append(error.what)
            continue
        if opened is None:
            continue
        record = opened.record
        if record.status in UNFINISHED or (record.status is Status.REVERTED and _reverted_itself(opened)):
            seen = record_seen(session, opened, held, timeline, ledger_only=ledger_only)
            if not seen.ended and not _past(opened, seen, timeline, session):
                found.append(seen)
    order = (Status.IN_PROGRESS, Status.FAILED, Status.AWAITING_APPROVAL, Status.REVERTED, Status.STANDBY)
    return tuple(
        sorted(found, key=lambda seen: order.index(seen.record.status) if seen.record.status in order else 3)
    )


def _reverted_itself(opened: Opened) -> bool:
    """Whether it failed, and was not undone by a person."""
    return any(event.data.get("why") for event in opened.events if event.kind == Reverting.kind)


def _past(opened: Opened, seen: RecordSeen, timeline: Timeline, session: Session) -> bool:
    """Whether something later has changed what an ended record changed."""
    if opened.record.status not in (Status.FAILED, Status.REVERTED):
        return False
    plan = _plan(session, opened)
    subjects = plan.subjects if plan is not None else opened.record.services
    return changed_since(timeline, seen.record.rollback_id, subjects) is not None


def explained(
    session: Session, records: Iterable[RecordSeen], functions: Sequence[FunctionStatus]
) -> list[FunctionStatus]:
    """The functions, with the unfinished record that has moved them, or explains their version."""
    moves: dict[str, tuple[Record, Move, moves_of.State]] = {}
    for seen in records:
        record = seen.record
        half_undone = record.status is Status.FAILED and seen.undoing
        if seen.damaged or not (record.status is Status.IN_PROGRESS or half_undone):
            continue
        if record.kind not in (Kind.ALIASES, Kind.FULL):
            continue
        opened = session.ledger.load(record.rollback_id)
        plan, events = _plan(session, opened), list(opened.events)
        if plan is not None and record.kind == Kind.FULL:
            plan = parts(plan).get(Kind.ALIASES)
            events = events if plan is None else events_of(plan, events)
        if plan is not None:
            known = moves_of.states(plan, events)
            # The one that is running comes first.
            moves = {step.function: (record, step, known[step.function]) for step in plan.steps} | moves
    found = []
    for one in functions:
        if one.version is not None and one.function in moves:
            record, step, state = moves[one.function]
            if one.as_recorded:  # once it has failed, what it has moved is
                explains = state.moved and one.version == step.to_version != state.version
            else:
                drift = moves_of.drift(step, state, one.version, one.weights, ours=True, back=False)
                explains = record.status is Status.IN_PROGRESS and not drift
            if explains:
                found.append(replace(one, moved_by=record.rollback_id))
                continue
        found.append(one)
    return found


def compared(
    session: Session, timeline: Timeline, services: Sequence[Service], quarantines: Sequence[Quarantine]
) -> tuple[tuple[ServiceSeen, ...], tuple[ReleaseSeen, ...], frozenset[tuple[str, str]]]:
    """The services for the advice, the releases, newest first, and the bad ones, as (service,
    version).

    If something is not as recorded, each function has the releases that match it.
    """
    names = [service.name for service in services]
    drift = any(not status.ok for service in services for status in service.functions)
    before = past(timeline, names, quarantines, _RELEASES if drift else 0)
    wrong = drift or any(
        before.good.get(service.name) != service.stands
        or any((service.name, status.release) in before.bad for status in service.functions)
        for service in services
    )
    manifests = _manifests(session, before) if wrong else {}
    seen = tuple(
        ServiceSeen(
            name=service.name,
            deployed=service.stands,
            good=before.good.get(service.name),
            below=before.below[service.name][0] if service.name in before.below else "",
            floor=str(before.below[service.name][1]) if service.name in before.below else "",
            recorded=service.stands is not None
            or any(status.expected is not None for status in service.functions),
            lacking=_lacking(service, manifests.get(before.good.get(service.name, ""))),
            older=before.older.get(service.name),
            older_lacking=_lacking(service, manifests.get(before.older.get(service.name, ""))),
            functions=tuple(
                FunctionSeen(
                    name=status.function,
                    version=status.version,
                    drifted=not status.ok,
                    release=status.release,
                    releases=frozenset(
                        version
                        for version, manifest in manifests.items()
                        if not status.weights and manifest.get(status.function) == status.version is not None
                    ),
                )
                for status in service.functions
            ),
        )
        for service in services
    )
    now = now_iso(session.now())
    releases = tuple(
        ReleaseSeen(version=entry.version, commit=entry.commit, age=_age(entry, now))
        for entry in before.releases
    )
    return seen, releases, before.bad


def _age(entry: Entry, now: str) -> float | None:
    try:
        return seconds_between(entry.at, now)
    except (TypeError, ValueError):  # not written by this command
        return None


def _lacking(service: Service, manifest: Mapping[str, str] | None) -> frozenset[str]:
    """The functions of a service that are not in a release's manifest; empty if unknown."""
    if manifest is None:
        return frozenset()
    return frozenset(status.function for status in service.functions if status.function not in manifest)


def _manifests(session: Session, before: Past) -> Mapping[str, Mapping[str, str]]:
    """Release → function → version; without damaged releases."""

    def one(entry: Entry) -> Mapping[str, str] | None:
        try:
            manifest = session.ledger.recorded_release(entry).manifest
        except Newer:
            raise
        except RollbackError:
            return None
        return {name: deployed.version for name, deployed in manifest.items()}

    found = session.account.each(one, before.releases)
    return {
        entry.version: manifest
        for entry, manifest in zip(before.releases, found, strict=True)
        if manifest is not None
    }


def without(session: Session, error: Unanswered) -> Advice:
    """What to type if the ledger's table does not exist or is not available."""
    state = State.LEDGER_UNREACHABLE
    if error.how == GONE:
        state = _of_a_table_that_is_gone(session)
    roles = (str(taking(session.settings, role, session.caller)) for role in (BREAK_GLASS, DEPLOYER))
    return without_ledger(state, session.environment, *roles)


def _of_a_table_that_is_gone(session: Session) -> State:
    """Whether there was a ledger before, according to its archive."""
    archive = session.ledger.archive
    try:
        kept = archive is not None and next(iter(archive.kept_entries()), None) is not None
    except NotDeclared:
        return State.NOT_DECLARED
    except RollbackError:
        return State.LEDGER_LOST  # if unknown, assume that there was one
    return State.LEDGER_LOST if kept else State.NO_LEDGER
