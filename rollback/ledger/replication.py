"""Copies to the archive what the ledger has just taken, and what an earlier command could not copy.

It comes after the ledger, and an error in it is only reported: an archive that does not answer must not stop
a rollback. The next command that writes, or `rollback audit`, copies the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from rollback.core.errors import RollbackError
from rollback.ledger.audit_bucket import Archive
from rollback.model.record import Approval
from rollback.model.release import Entry, Release

# How many entries are offered at a time beside the new one. First the beginning of the record that has just
# ended and the one before that, which shows whether anything older is missing; then more, as far as something
# was missing. What is missing beyond is `rollback audit`'s to put.
_BATCHES = (2, 14, 16)


def keep(
    archive: Archive,
    entry: Entry,
    before: Iterator[Entry],
    release: Release | None,
    released: Callable[[str], Release],
) -> str | None:
    """Keeps a new entry of the timeline, its release if it is one, and those before it that are missing.

    `before` gives the earlier entries, newest first; `released` reads a release. Returns what went wrong.
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
    """Keeps an approval. Returns what went wrong."""
    try:
        archive.keep_approval(approval)
    except RollbackError as error:
        return _notice("this approval", error)
    return None


def keep_all(archive: Archive, missing: Iterator[Entry], released: Callable[[str], Release]) -> None:
    """Keeps these entries, and the releases among them. Raises as `Archive.keep_entry` does."""
    for entry in missing:
        if entry.is_release:
            archive.keep_release(released(entry.id))
        archive.keep_entry(entry)


def _notice(what: str, error: RollbackError) -> str:
    return f"The audit trail lacks {what}: {error.what} {error.next}".strip()
