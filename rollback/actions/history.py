"""`rollback history`: releases, rollbacks, drills, and the engine's own updates, as one list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rollback.actions import drill_store
from rollback.actions.context import Session
from rollback.config.naming import DEPLOYER
from rollback.core.canonical import plain
from rollback.core.errors import Code, RollbackError
from rollback.core.sanitize import line
from rollback.integrations import git
from rollback.integrations.pulumi.backend import place
from rollback.model.drill import Drill
from rollback.model.drill import drill_document as drill_json
from rollback.model.record import Record, plain_record, resource_counts
from rollback.model.release import DRILL, Release

if TYPE_CHECKING:
    from rollback.integrations.pulumi.update_history import Update

RELEASE, UPDATE = "release", "stack"
# What an entry of the engine's is called by: this, and when it began.
_ENGINES = "up-"
_ALL = 10_000
# Characters of an engine's error.
_MAX_TEXT = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """One entry. `at` is ISO 8601 in UTC; `what` names it as `show` takes it; `result` is a record's status
    or the engine's result. `seconds` is how long it took. `changes` counts resources (`{"update": 2}`).

    `deployed`: true for the deployment that is live. `document` is the entry as JSON: `"kind"`, `"id"` (as `what`),
    `"created_at"`, `"created_by"` and `"status"`, and what is its own: of a record `plain_record`, of a release or an
    engine's update its fields, of a drill `model.drill.drill_document` and `"drill": true`.
    """

    at: str
    kind: str
    what: str
    result: str
    actor: str
    commit: str = ""
    subject: str = ""
    movement: str = ""
    seconds: float | None = None
    changes: Mapping[str, int] = field(default_factory=dict)
    deployed: bool = False
    dirty: bool = False
    document: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The newest moments first, what could not be read, and notices."""

    moments: tuple[Moment, ...]
    broken: tuple[RollbackError, ...] = ()
    notices: tuple[str, ...] = ()


def past(session: Session, limit: int, kind: str | None = None) -> History:
    """The newest `limit` entries, of one kind or of all."""
    engines = kind in (None, UPDATE)
    if engines:
        # It takes longest to import, and two threads may not do it at the same time. `_updates` says that it is missing.
        with suppress(RollbackError):
            from rollback.integrations.pulumi import update_history  # noqa: F401, PLC0415 - an extra, and much
    with session.account.workers() as pool:
        # The engine is a process of its own: it is asked while the ledger is read.
        asked = pool.map(partial(_updates, session), [limit] if engines else [])
        items, broken = _recorded(session, limit, kind)
        releases = _releases(session, [item for item in items if isinstance(item, Release)])
        moments = [next(releases) if isinstance(item, Release) else _record(session, item) for item in items]
        updates, notice = next(asked, ([], ""))
    moments.extend(updates)
    if kind in (None, DRILL):
        for drill in drill_store.read(session.ledger):
            if isinstance(drill, RollbackError):
                broken.append(drill)
            else:
                moments.append(_drill(drill))
    newest = sorted(moments, key=lambda moment: moment.at, reverse=True)[:limit]
    return History(moments=tuple(newest), broken=tuple(broken), notices=(notice,) if notice else ())


def _recorded(
    session: Session, limit: int, kind: str | None
) -> tuple[list[Release | Record], list[RollbackError]]:
    """The newest releases and records of the ledger, and the errors of what is malformed between them."""
    items: list[Release | Record] = []
    broken: list[RollbackError] = []
    for item in session.ledger.history(_ALL):
        if len(items) == limit:
            break
        if isinstance(item, RollbackError):
            broken.append(item)
        elif kind in (None, RELEASE if isinstance(item, Release) else item.kind):
            items.append(item)
    return items, broken


def _updates(session: Session, limit: int) -> tuple[list[Moment], str]:
    """What the engine deployed; or nothing, and why that is not known."""
    try:
        from rollback.integrations.pulumi.update_history import history  # noqa: PLC0415 - as above

        return [_update(update) for update in history(session.root, session.settings, limit)], ""
    except RollbackError as error:
        return [], f"Pulumi history not shown: {_why(session, error)}"


def _why(session: Session, error: RollbackError) -> str:
    """Why the engine's history could not be read, and who can: its own words are long, and name no role."""
    if error.code is not Code.ACCESS_DENIED:
        return line(error.what.splitlines()[-1])[:_MAX_TEXT]
    deployer = session.settings.called(DEPLOYER)
    return (
        f"{session.caller} may not read the state in {place(session.settings)}. Who acts under "
        f"{deployer} sees it:\nrollback history --kind {UPDATE} --env {session.environment}"
    )


def is_engines(name: str) -> bool:
    """Whether `name` (as in `Moment.what`) is an entry of the engine's."""
    return name.startswith(_ENGINES)


def found(session: Session, name: str) -> Moment | None:
    """The engine's entry that `name` names; None where there is none."""
    return next((moment for moment in past(session, _ALL, UPDATE).moments if moment.what == name), None)


def _releases(session: Session, releases: Sequence[Release]) -> Iterator[Moment]:
    """What is the same for all of them, what stands and what commits say, is asked once."""
    if not releases:
        return
    deployed = set(session.ledger.timeline().all_deployed.values())
    subjects = git.subjects(session.root, [release.commit for release in releases])
    for release in releases:
        yield Moment(
            at=release.recorded_at,
            kind="adoption" if release.adopted else RELEASE,
            what=release.version,
            result=release.status,
            actor=release.recorded_by.person,
            commit=release.commit,
            subject=subjects.get(release.commit, ""),
            deployed=release.version in deployed,
            document={
                "kind": "adoption" if release.adopted else RELEASE,
                "id": release.version,
                "created_at": release.recorded_at,
                "created_by": plain(release.recorded_by),
                "is_deployed": release.version in deployed,
                "function_count": release.functions,
                **{key: value for key, value in plain(release).items() if key != "manifest"},
            },
        )


def _record(session: Session, record: Record) -> Moment:
    seen = session.seen(record)
    return Moment(
        # What was prepared is not done yet: a standby happens when it is taken.
        at=(record.started_at if record.taken_by else None) or record.initiated_at,
        kind=record.kind,
        what=record.rollback_id,
        result=seen.status,
        actor=record.people,
        subject=record.reason,
        movement=f"{f'{record.stack}: ' if record.stack else ''}{record.from_version or 'unknown'} → {record.to_version}",
        seconds=record.elapsed_seconds,
        changes={op: count for op, count in record.infrastructure.items() if count},
        document={
            "id": record.rollback_id,
            "created_at": record.initiated_at,
            "created_by": plain(record.initiated_by),
            "standby_expires_at": record.standby_until or None,
            "resource_counts": resource_counts(record),
            **plain_record(record),
            **plain(seen.shown),
        },
    )


def _drill(drill: Drill) -> Moment:
    return Moment(
        at=drill.began_at,
        kind=DRILL,
        what=drill.drill_id,
        result=drill.status,
        actor=drill.by.person,
        subject=drill.why,
        movement=f"{drill.scenario}, {'planned only' if drill.read_only else drill.fault}",
        seconds=drill.seconds,
        document={"drill": True, **drill_json(drill)},
    )


def _update(update: Update) -> Moment:
    at, ended = (time.replace("+00:00", "Z") for time in (update.at, update.ended))
    name = f"{_ENGINES}{update.at[:19].translate(str.maketrans('', '', '-:'))}"
    return Moment(
        at=at,
        kind=update.kind,
        what=name,
        result=update.result,
        actor=update.who,
        commit=update.commit,
        subject=update.subject,
        changes=update.changes,
        deployed=update.stands,
        dirty=update.dirty,
        document={
            **plain(update),
            "id": name,
            "number": update.id,
            "resource_counts": dict(update.changes),
            "created_at": at,
            # The engine knows no roles.
            "created_by": {"person": update.who, "role": ""},
            "ended_at": ended or None,
            "status": update.result,
            "is_deployed": update.stands,
        },
    )
