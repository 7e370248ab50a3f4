"""The timeline entries that the guard may write: `audit` detects others, which IAM cannot forbid.

The timeline, freezes and quarantines are in one partition of the table, and policies only distinguish partitions.
"""

from __future__ import annotations

from rollback.config.naming import GUARD, role_of
from rollback.model.release import Entry

# The kinds of entries about an ignored alarm, and about an alarm's recovery.
DECLINED, RECOVERY = "declined", "recovery"
_ITS_OWN = frozenset({DECLINED, RECOVERY, "rollback"})


def not_its_own(entry: Entry) -> str:
    """The error for an entry of the guard of a kind that it never writes; empty for other entries."""
    if role_of(entry.by.role)[1] != GUARD or (entry.kind in _ITS_OWN and not entry.lifts):
        return ""
    return f"it was written by the guard, which never writes a {entry.kind if not entry.lifts else 'lift'}"
