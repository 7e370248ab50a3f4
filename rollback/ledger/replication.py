"""Copies new entries of the ledger to the archive, and those that an earlier command could not copy.

The ledger is written first, and an error here is only a notice: an unavailable archive must not stop
a rollback. The next command that writes, or `rollback audit`, copies the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from rollback.ledger.audit_bucket import Archive
from rollback.model.record import Approval
from rollback.model.release import Entry, Release
from rollback.util.errors import RollbackError

# How many entries are offered at a time besides the new one. First the start of the record that has just
# ended and the one before it, which shows whether anything older is missing; then more, as long as something
# was missing. `rollback audit` copies what is still missing.
_BATCHES = (2, 14, 16)


def keep(
    archive: Archive,
    entry: Entry,
    before: Iterator[Entry],
    release: Release | None,
    released: Callable[[str], Release],
) -> str | None:
    """Copies a new timeline entry, its release if it is one, and missing earlier entries.

    `before` yields the earlier entries, newest first; `released` reads a release. Returns an error text, or None.
    """
    try:
        if release is not None:
            archive.keep_release(release)
        batch = [entry]
        for size in _BATCHES:
            batch += islice(before, size)
            missing = archive.offer_entries(batch)
            for one in missing:
                if one.is_release and one is not entry:
                    archive.keep_release(released(one.id))
            if not batch or batch[-1] not in missing:
                break
            batch = []
        archive.only(entry)
    except RollbackError as error:
        return _notice(f"entry {entry.seq} of the timeline", error)
    return None


def keep_approval(archive: Archive, approval: Approval) -> str | None:
    """Copies an approval. Returns an error text, or None."""
    try:
        archive.keep_approval(approval)
    except RollbackError as error:
        return _notice("this approval", error)
    return None


def keep_all(archive: Archive, missing: Iterator[Entry], released: Callable[[str], Release]) -> None:
    """Copies these entries, and the releases among them. Raises as `Archive.keep_entry` does."""
    for entry in missing:
        if entry.is_release:
            archive.keep_release(released(entry.id))
        archive.keep_entry(entry)


def _notice(what: str, error: RollbackError) -> str:
    return f"The archive lacks {what}: {error.notice}"
