"""Restores lost entries of the ledger's table from the archive.

After a restore to a point in time, or with a new table: the timeline's entries, the releases with their
manifests, and the quarantines. The archive has only the heads of rollbacks' records: these records are
lost, and `rollback audit` names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from rollback.ledger.audit_bucket import Archive
from rollback.ledger.lease import ALIASES, RECORDING, Lease
from rollback.ledger.schema import entry_item, manifest_items, quarantine_item, release_item
from rollback.ledger.store import ABSENT, Conflict, Write
from rollback.ledger.timeline_integrity import MENDED
from rollback.lifecycle.context import Session
from rollback.lifecycle.ports import Ui
from rollback.model.messages import checked_reason
from rollback.model.record import SCHEMA
from rollback.model.release import OPENED, Entry, Quarantine, Release, entry_hash
from rollback.util.errors import Code, Refused, RollbackError


@dataclass(frozen=True, kw_only=True, slots=True)
class Mended:
    """How many entries and which releases were restored, and the ids of lost records."""

    entries: int
    releases: tuple[str, ...]
    lost: tuple[str, ...]


def mend(session: Session, reason: str, ui: Ui) -> Mended:
    """Restores what is missing. Raises `Refused` where the archive's entries do not follow the table's newest entry."""
    reason = checked_reason(reason)
    archive = session.ledger.archive
    if archive is None:
        raise Refused(
            "This environment has no archive to restore the ledger from.", code=Code.ARCHIVE_UNAVAILABLE
        )
    newest = session.ledger.newest()
    ui.start("Reading the archive", 0)
    try:
        missing = missing_after(newest, archive)
        wanted = {entry.id for entry in missing if entry.is_release}
        releases = [release for release in _until(archive, wanted) if release.deployment_id in wanted]
    finally:
        ui.finish()
    if not missing:
        return Mended(entries=0, releases=(), lost=())
    owner = f"{RECORDING}{session.clocks.identifier()}"
    lease = session.leases.take(ALIASES, owner).start()
    try:
        for release in releases:
            _put_release(session, release, lease)
        for number, entry in enumerate(missing, start=1):
            _put_entry(session, entry, reason, lease)
            ui.progress(number)
    finally:
        lease.release()
    return Mended(
        entries=len(missing),
        releases=tuple(release.version for release in releases),
        lost=tuple(dict.fromkeys(entry.id for entry in missing if entry.kind in (OPENED, "rollback"))),
    )


def missing_after(newest: Entry | None, archive: Archive) -> list[Entry]:
    """The archive's entries after the table's newest, in order, with a valid chain.

    Raises `Refused` where the chain breaks: the table was written to after it lost entries.
    """
    last = newest.seq if newest is not None else 0
    missing = list(archive.beyond(newest))
    before = newest.hash if newest is not None else ""
    for number, entry in enumerate(missing, start=last + 1):
        whole = entry.schema < SCHEMA or entry.hash == entry_hash(entry)
        if entry.seq != number or entry.previous != before or not whole:
            raise Refused(
                f"The archive's entry {entry.seq} does not follow entry {number - 1}: the table was written to after "
                "it lost its newest entries, or the archive is incomplete.",
                code=Code.AUDIT_BROKEN,
                next="Restore the table to a later point in time; an audit names the first break.",
            )
        before = entry.hash
    return missing


def _until(archive: Archive, wanted: set[str]) -> list[Release]:
    """The newest releases, back to the oldest one in `wanted`."""
    found: list[Release] = []
    left = set(wanted)
    if not left:
        return found
    for release in archive.releases():
        found.append(release)
        left.discard(release.deployment_id)
        if not left:
            return found
    raise RollbackError(
        f"The archive lacks releases that its timeline refers to: {', '.join(sorted(left)[:5])}.",
        code=Code.ARCHIVE_DAMAGED,
        changed="Nothing was changed.",
        next="Record published versions as releases (release adopt).",
    )


def _put_release(session: Session, release: Release, lease: Lease) -> None:
    for item in (*manifest_items(release), release_item(release)):
        with suppress(Conflict):  # an earlier run restored it
            session.ledger.table.transact(
                [Write(name="release", item=item, condition=ABSENT), *lease.proofs()]
            )


def _put_entry(session: Session, entry: Entry, reason: str, lease: Lease) -> None:
    """The entry as it was, with the quarantines that it set and lifted."""
    environment = session.environment
    writes = [
        Write(name="entry", item=entry_item(environment, entry), condition=ABSENT),
        *(
            Write(name="bar", item=quarantine_item(environment, quarantine))
            for quarantine in _quarantines(entry, reason)
        ),
    ]
    session.ledger.table.transact([*writes, *lease.proofs()])
    for lifted in entry.lifts:
        write = Write(
            name="lift",
            key=(f"RELEASE#{environment}", f"QUARANTINE#{lifted}"),
            update="SET lifted_at = :at, lifted_by = :by, lifted_seq = :seq",
            condition="attribute_exists(PK)",
            values={":at": entry.at, ":by": entry.by, ":seq": entry.seq},
        )
        with suppress(Conflict):  # the quarantine itself is lost, too
            session.ledger.table.update(write)


def _quarantines(entry: Entry, reason: str) -> Sequence[Quarantine]:
    return [
        Quarantine(
            service=quarantine.partition("#")[0],
            version=quarantine.partition("#")[2],
            # A person's reason, also that of a freeze, is in the entry; a rollback's is lost with its record.
            reason=f"{MENDED}{reason}" if entry.kind == "rollback" else entry.status,
            by=entry.by,
            at=entry.at,
            rollback_id=entry.id if entry.kind == "rollback" else "",
        )
        for quarantine in entry.bars
    ]
