"""Which record somebody means: by its id, by the beginning of it as git takes a commit's, or by `last`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from ulid import ULID

from rollback.actions.context import Session
from rollback.config.naming import APPROVER
from rollback.core.errors import Code, UsageError
from rollback.model.record import now_iso
from rollback.model.release import OPENED, RECORDS, Entry, Timeline

LAST = "last"
# Characters: with six, an id's time is known to a quarter of an hour.
SHORTEST = 6
# As many as an error lists.
_LISTED = 10
# https://github.com/ulid/spec: 26 characters of Crockford's base 32, of which ten are the time.
_CHARACTERS = "0-9A-HJKMNP-TV-Z"
_WHOLE = re.compile(f"[0-7][{_CHARACTERS}]{{25}}")
_BEGINNING = re.compile(f"[0-7][{_CHARACTERS}]{{{SHORTEST - 1},24}}")
# An id is made before its record is written, by AWS's clock: nothing that was written so long before it has it.
_MARGIN = timedelta(days=1)
# Seconds since 1970 of the last year that Python knows: the beginning of an id may be of a later one.
_LAST_YEAR = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def is_whole(name: str) -> bool:
    """Whether it is a whole id, which nothing has to be read for. Pure."""
    return _WHOLE.fullmatch(name) is not None


def identified(session: Session, name: str) -> str:
    """The id of the record that `name` means in this environment: a whole id as it is, whether there is one or not.

    `last` is the newest record; six characters or more are the beginning of one id. Read from the timeline, where a
    record is as soon as it is written. Raises `UsageError` where no record has it (`UNKNOWN_ROLLBACK`) or several have
    (`AMBIGUOUS_ID`), and `Refused` where an entry that would decide it was changed.
    """
    beginning = name.upper()
    if is_whole(beginning):
        return beginning
    if name != LAST and not _BEGINNING.fullmatch(beginning):
        raise _unknown(session, name, f" An id has 26 characters; {SHORTEST} or more of its first will do.")
    if session.settings.acts_as(session.caller.role, APPROVER):
        raise UsageError(
            f"{session.caller.role} may not search the ledger for {name}: type the whole id, of 26 characters.",
            code=Code.WRONG_ROLE,
            next=f"rollback show ID --env {session.environment}  # the person who rolls back has the id on their screen",
        )
    timeline = session.ledger.timeline(verified=True)
    if name == LAST:
        return _newest(session, timeline)
    found = _beginning_with(beginning, timeline)
    if not found:
        raise _unknown(session, name)
    if len(found) > 1:
        shown = ", ".join(found[:_LISTED]) + (" and more" if len(found) > _LISTED else "")
        raise UsageError(
            f"{name} is the beginning of {len(found)} ids: {shown}.",
            code=Code.AMBIGUOUS_ID,
            next=f"rollback history --env {session.environment}",
        )
    return found[0]


def _newest(session: Session, timeline: Timeline) -> str:
    """The record that was opened last; in a ledger of older versions, the one that ended last."""
    ended = ""
    for entry in timeline:
        if entry.kind == OPENED:
            return entry.id
        ended = ended or (entry.id if _is_record(entry) else "")
    if not ended:
        raise UsageError(
            f"There is no rollback in {session.environment} yet.",
            code=Code.UNKNOWN_ROLLBACK,
            next=f"rollback status --env {session.environment}",
        )
    return ended


def _beginning_with(beginning: str, timeline: Timeline) -> list[str]:
    """The ids that begin so, newest first. Pure."""
    found: dict[str, None] = {}
    first = min(ULID.from_str(beginning.ljust(26, "0")).milliseconds / 1000, _LAST_YEAR)
    earliest = now_iso(datetime.fromtimestamp(first, UTC) - _MARGIN)
    for entry in timeline:
        if entry.kind != OPENED and entry.at < earliest:  # one that is opened has the time of its plan
            break
        if _is_record(entry) and entry.id.startswith(beginning):
            found[entry.id] = None
    return list(found)


def _is_record(entry: Entry) -> bool:
    return entry.kind in RECORDS


def _unknown(session: Session, name: str, hint: str = "") -> UsageError:
    return UsageError(
        f"There is no rollback {name[:80]!a} in {session.environment}.{hint}",
        code=Code.UNKNOWN_ROLLBACK,
        next=f"rollback history --env {session.environment}",
    )
