"""`rollback history`: releases, rollbacks, drills and stack updates, as one list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rollback.config.naming import DEPLOYER
from rollback.engines import git
from rollback.engines.pulumi.backend import place
from rollback.lifecycle import drill_store
from rollback.lifecycle.context import Session
from rollback.model.drill import Drill
from rollback.model.drill import drill_document as drill_json
from rollback.model.record import Record, plain_record, resource_counts
from rollback.model.release import DRILL, Release
from rollback.util.canonical import plain
from rollback.util.errors import Code, RollbackError
from rollback.util.sanitize import line

if TYPE_CHECKING:
    from rollback.engines.pulumi.update_history import Update

RELEASE, UPDATE = "release", "stack"
# The prefix of an engine's entry; its start follows.
_ENGINES = "up-"
_ALL = 10_000
# Characters of an engine's error.
_MAX_TEXT = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """One entry. `at` is ISO 8601 in UTC; `what` is the id that `show` takes; `result` is a record's status
    or the engine's result. `seconds` is how long it took. `changes` counts resources (`{"update": 2}`).

    `deployed`: true for the deployment that is live. `document` is the entry as JSON: `"kind"`, `"id"` (as `what`),
    `"created_at"`, `"created_by"` and `"status"`, and its own fields: of a record `plain_record`, of a release or an
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
    """The entries, newest first; the errors of what could not be read; and notices."""

    moments: tuple[Moment, ...]
    broken: tuple[RollbackError, ...] = ()
    notices: tuple[str, ...] = ()


def past(session: Session, limit: int, kind: str | None = None) -> History:
    """The newest `limit` entries, of one kind or of all."""
    engines = kind in (None, UPDATE)
    if engines:
        # Imported here, because it is slow and two threads must not do it at once. `_updates` reports an ImportError.
        with suppress(RollbackError):
            from rollback.engines.pulumi import update_history  # noqa: F401, PLC0415 - an extra, and much
    with session.account.workers() as pool:
        # The engine is another process, which runs while the ledger is read.
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
    """The newest releases and records of the ledger, and the errors of malformed ones."""
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
    """The engine's updates; or none, and why they cannot be read."""
    try:
        from rollback.engines.pulumi.update_history import history  # noqa: PLC0415 - as above

        return [_update(update) for update in history(session.root, session.settings, limit)], ""
    except RollbackError as error:
        return [], f"Pulumi history not shown: {_why(session, error)}"


def _why(session: Session, error: RollbackError) -> str:
    """Why the engine's history could not be read, and who can read it; shorter than the engine's message."""
    if error.code is not Code.ACCESS_DENIED:
        return line(error.what.splitlines()[-1])[:_MAX_TEXT]
    deployer = session.settings.called(DEPLOYER)
    return (
        f"{session.caller} may not read the state in {place(session.settings)}. Run it under "
        f"{deployer}:\nrollback history --kind {UPDATE} --env {session.environment}"
    )


def is_engines(name: str) -> bool:
    """Whether `name` (as in `Moment.what`) is a stack update."""
    return name.startswith(_ENGINES)


def found(session: Session, name: str) -> Moment | None:
    """The stack update `name`; None if there is none."""
    return next((moment for moment in past(session, _ALL, UPDATE).moments if moment.what == name), None)


def _releases(session: Session, releases: Sequence[Release]) -> Iterator[Moment]:
    """The entries of releases. What is deployed, and the commits' subjects, are read once for all."""
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
        # A standby counts from when it was taken, not from when it was prepared.
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
