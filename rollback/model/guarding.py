"""What the guard writes into the timeline, and what it must not: by that `audit` finds what IAM cannot forbid.

The timeline, freezes and quarantines are one partition of the table, and a policy sees no more than that.
"""

from __future__ import annotations

from rollback.config.naming import GUARD, role_of
from rollback.model.release import Entry

# An entry that says why an alarm took nothing, and one that says whether it has recovered.
DECLINED, RECOVERY = "declined", "recovery"
_ITS_OWN = frozenset({DECLINED, RECOVERY, "rollback"})


def not_its_own(entry: Entry) -> str:
    """In words that the guard has written an entry of a kind that it never writes; empty for any other entry."""
    if role_of(entry.by.role)[1] != GUARD or (entry.kind in _ITS_OWN and not entry.lifts):
        return ""
    return f"the guard wrote it, which writes no {entry.kind if not entry.lifts else 'lift'}"
