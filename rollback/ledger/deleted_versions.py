"""Which prune deleted a version of a function, according to the ledger."""

from __future__ import annotations

from collections.abc import Mapping

from rollback.ledger.repository import Ledger
from rollback.model.kind import Kind
from rollback.model.record import Record
from rollback.model.retention import deleted
from rollback.util.times import shown_time

# How many records are searched for the prune that deleted a version.
_RECORDS = 1000


def pruned(ledger: Ledger, versions: Mapping[str, str]) -> dict[str, str]:
    """Function → a text about the prune that deleted its version; only for display, from the index.

    `versions` is function → version, e.g. `{"acme-dev-lambda-team-service-get": "7"}`. Raises
    `RollbackError` for a malformed record.
    """
    found: dict[str, str] = {}
    for record in ledger.history(_RECORDS):
        if isinstance(record, Record) and record.kind == Kind.PRUNE:
            gone = deleted(ledger.load(record.rollback_id).events)
            for function, version in versions.items():
                if version.isdigit() and int(version) in gone.get(function, ()):
                    found[function] = (
                        f"deleted by prune {record.rollback_id} of {shown_time(record.initiated_at)}, "
                        f"{record.initiated_by.person}"
                    )
    return found
