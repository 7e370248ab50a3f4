"""The guard's rules that are decided without AWS: which entries it may write, which messages still matter, and
which Python its package is for. It imports nothing that is compiled: the function asks it first.

The timeline, freezes and quarantines are in one partition of the table, and policies only distinguish partitions: so
`audit` detects entries of kinds that the guard never writes, which IAM cannot forbid.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rollback.config.naming import GUARD, role_of
from rollback.model.release import Entry

_OTHER_RUNTIME = re.compile(r"is for (python[\d.]+), but Lambda runs (python[\d.]+)")

# The kinds of entries about an ignored alarm, and about an alarm's recovery.
DECLINED, RECOVERY = "declined", "recovery"
_ITS_OWN = frozenset({DECLINED, RECOVERY, "rollback"})


def not_its_own(entry: Entry) -> str:
    """The error for an entry of the guard of a kind that it never writes; empty for other entries."""
    if not by_guard(entry) or (entry.kind in _ITS_OWN and not entry.lifts):
        return ""
    return f"it was written by the guard, which never writes a {entry.kind if not entry.lifts else 'lift'}"


def by_guard(entry: Entry) -> bool:
    """Whether the guard wrote it."""
    return role_of(entry.by.role)[1] == GUARD


def missed(failed_at: Sequence[str], timeline: Iterable[Entry], deployed_at: str) -> int:
    """How many of the messages that the guard could not process still matter, by when they failed.

    The others are handled: later, a release was recorded, somebody rolled back, the guard processed an alarm, or the
    guard was deployed again. All times are ISO 8601 in UTC.
    """
    handled = deployed_at
    for entry in timeline:
        if entry.is_release or entry.kind == "rollback" or by_guard(entry):
            handled = max(handled, entry.at)
            break
    return sum(at > handled for at in failed_at)


def other_runtime(built_for: str, runs: str) -> str:
    """The error of a function whose package is for another Python; empty if it is for this one."""
    return "" if built_for == runs else f"The guard's package is for {built_for}, but Lambda runs {runs}."


def runtimes(message: str) -> tuple[str, str]:
    """The two runtimes in an error that has the text of `other_runtime`; both are empty in any other."""
    found = _OTHER_RUNTIME.search(message)
    return (found[1].rstrip("."), found[2].rstrip(".")) if found else ("", "")


def declined(timeline: Iterable[Entry]) -> list[Entry]:
    """Why alarms were ignored since the newest release, and whether they recovered; newest first."""
    found: list[Entry] = []
    for entry in timeline:
        if entry.is_release:
            break
        if entry.kind in (DECLINED, RECOVERY):
            found.append(entry)
    return found
