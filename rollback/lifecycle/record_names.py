"""Resolves what a person types: the name of a record (an id, a unique prefix of one, or `last`), or of a commit."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ulid import ULID

from rollback.config.naming import APPROVER
from rollback.engines import git
from rollback.ledger.lease import RECORDING
from rollback.lifecycle.context import Session
from rollback.model.record import now_iso
from rollback.model.release import OPENED, RECORDS, Entry, Timeline, is_of_drill
from rollback.util.errors import Code, UsageError

LAST = "last"
_COMMIT = re.compile(r"[0-9a-f]{40}")
# In characters: six give an id's time to a quarter of an hour.
SHORTEST = 6
# The most ids that an error lists.
_LISTED = 10
# https://github.com/ulid/spec: 26 characters of Crockford's base 32, of which ten are the time.
_CHARACTERS = "0-9A-HJKMNP-TV-Z"
_WHOLE = re.compile(f"[0-7][{_CHARACTERS}]{{25}}")
_BEGINNING = re.compile(f"[0-7][{_CHARACTERS}]{{{SHORTEST - 1},24}}")
# An id is older than its record: entries written this long before an id's time cannot have it.
_MARGIN = timedelta(days=1)
# The last time that Python can represent, in seconds since 1970: a prefix may decode to a later one.
_LAST_YEAR = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def is_whole(name: str) -> bool:
    """Whether it is a complete id, or the name of what holds a lease without a record: a drill, or a recording of a
    release. Neither needs a lookup. Pure.
    """
    return _WHOLE.fullmatch(name.removeprefix(RECORDING)) is not None or is_of_drill(name)


def identified(session: Session, name: str) -> str:
    """The id of the record `name` in this environment. A complete id is returned unchecked.

    `last` is the newest record; six or more characters are a prefix of one id. It is looked up in the timeline, which has a
    record as soon as it is written. Raises `UsageError` where no record matches (`UNKNOWN_ROLLBACK`) or several do
    (`AMBIGUOUS_ID`), and `Refused` where a matching entry was changed.
    """
    beginning = name.upper()
    if is_whole(name):
        return name
    if is_whole(beginning):
        return beginning
    if name != LAST and not _BEGINNING.fullmatch(beginning):
        raise _unknown(session, name, f" An id has 26 characters; its first {SHORTEST} or more are enough.")
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
            f"{name} is ambiguous, {len(found)} ids begin with it: {shown}.",
            code=Code.AMBIGUOUS_ID,
            next=f"rollback history --env {session.environment}",
        )
    return found[0]


def _newest(session: Session, timeline: Timeline) -> str:
    """The record opened last; in the ledger of an older version, the one that ended last."""
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
    """The ids with this prefix, newest first. Pure."""
    found: dict[str, None] = {}
    first = min(ULID.from_str(beginning.ljust(26, "0")).milliseconds / 1000, _LAST_YEAR)
    earliest = now_iso(datetime.fromtimestamp(first, UTC) - _MARGIN)
    for entry in timeline:
        if entry.kind != OPENED and entry.at < earliest:  # an OPENED entry has the time of the plan
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


def checked_commit(root: Path, commit: str) -> str:
    """A commit's 40 hexadecimal digits; abbreviations, HEAD, branches and tags are looked up in the checkout.

    Raises `UsageError` where it is not a commit, or ambiguous.
    """
    if _COMMIT.fullmatch(commit):
        return commit
    known = git.resolved(root, commit)
    if known is not None:
        return known
    raise UsageError(
        f"{commit[:80]!a} is not a commit of this repository.",
        code=Code.UNKNOWN_COMMIT,
        next="git fetch origin  # if the commit is newer than this clone\ngit log --oneline  # lists the commits",
    )
