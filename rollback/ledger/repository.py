"""The ledger of one environment: records with their journals, the timeline, quarantines and approvals.

Decisions use consistent reads of the base table; only `history` reads the index. An item that does not match its
model is reported, never ignored. The items are described in `schema`.

Everything is covered by a hash in another item. An event covers the one before it and the record after it;
the timeline has an entry for each record's start and end, and for each release, over their
content (`covers`) and over the previous entry. Its entries are also copied to the archive, if there is one.

It is longer than 400 lines: everything that is written in one transaction is in one place.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, islice
from typing import Any

from pydantic import ValidationError

from rollback.ledger import replication
from rollback.ledger.audit_bucket import Archive
from rollback.ledger.integrity import inconsistent, untrusted
from rollback.ledger.lease import LeaseProof
from rollback.ledger.schema import (
    FROZEN,
    METADATA,
    QUARANTINE,
    Bar,
    approval_item,
    bar_name,
    entry_item,
    manifest_in,
    manifest_items,
    model,
    plan_items,
    quarantine_item,
    record_item,
    release_item,
)
from rollback.ledger.store import ABSENT, Conflict, Item, LedgerTable, Write
from rollback.ledger.stored_record import Opened, advance, event_write
from rollback.ledger.stored_timeline import StoredTimeline
from rollback.model.deployed import known, read
from rollback.model.events import failed_in_verification
from rollback.model.identity import Actor
from rollback.model.plan import Plan, to_chunks
from rollback.model.record import (
    SCHEMA,
    WAITING,
    Approval,
    DeployedVersion,
    Entered,
    Event,
    Record,
    Status,
    next_event,
)
from rollback.model.release import (
    OPENED,
    RECORDS,
    Entry,
    Freeze,
    Quarantine,
    Release,
    Timeline,
    as_item,
    entry_hash,
    manifest_hash,
    release_hash,
)
from rollback.util.canonical import digest
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)

_LOG = logging.getLogger("rollback.ledger")
# Below DynamoDB's limit of 100 members per transaction.
_TRANSACTION = 90
# The format of a rollback's id; other texts are never used as a key.
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_SEQ_TRIES = 10
# Items per page of the index.
_PAGE = 200


class Ledger:
    """The deployments table of one environment, as records, entries, releases and approvals.

    `archive` has copies of its entries. A failed copy is not an error, but in `notices`.
    `watch` is called with the timeline's head whenever it is read, and may raise
    (`rollback.ledger.health`).
    """

    def __init__(self, table: LedgerTable, environment: str, archive: Archive | None = None) -> None:
        self.table = table
        self.environment = environment
        self.archive = archive
        # The archive's notices are shown with the others.
        self.notices: list[str] = [] if archive is None else archive.notices
        self._stored = StoredTimeline(table=table, environment=environment, notices=self.notices)
        self._releases: dict[tuple[str, str], Release] = {}
        # The ids of records and the versions of releases that were read, in order.
        self.met_ids: dict[str, None] = {}
        self.met_releases: dict[str, None] = {}
        self.watch: Callable[[Entry | None], None] = lambda _: None

    def newest(self) -> Entry | None:
        """The head of the timeline, read again and without `watch`."""
        return next(self._stored.entries(), None)

    # -- the timeline ------------------------------------------------------------------------------

    def timeline(self, *, verified: bool = False, readable: bool = False) -> Timeline:
        """Everything that changed what is deployed, newest first, read page by page on demand.

        `verified` is for decisions: an entry with a wrong number or hash
        raises `Refused` when it is read. `readable` is for display: an unreadable entry is
        skipped, with a notice in `notices`.
        """
        entries = (
            self._stored.verified()
            if verified
            else self._stored.readable()
            if readable
            else self._stored.entries()
        )
        return Timeline(self._watched(entries), self._not_verified)

    def _not_verified(self, entry: Entry) -> bool:
        """Whether a record failed in verification, by its last event; true if its journal is damaged."""
        try:
            return failed_in_verification(self.load(entry.id).events, entry.covers)
        except ValidationError:
            return True
        except RollbackError as error:
            if error.code not in (Code.LEDGER_DAMAGED, Code.UNKNOWN_ROLLBACK):
                raise
            return True

    def _watched(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        newest = next(entries, None)
        self.watch(newest)
        for entry in () if newest is None else _joined(newest, entries):
            if entry.is_release:
                self.met_releases[entry.version] = None
            elif entry.kind in RECORDS:
                self.met_ids[entry.id] = None
            yield entry

    def bars(self, *, readable: bool = False) -> list[Bar]:
        """The current quarantines and the freeze, without those that a timeline entry has lifted.

        Raises `Refused` for a malformed one; `readable` is as in `timeline`.
        """
        items = list(self.table.query(f"RELEASE#{self.environment}", QUARANTINE))
        return self._stored.not_lifted(items, readable=readable)

    def quarantines(self, *, readable: bool = False) -> list[Quarantine]:
        """The current quarantines, as in `bars`."""
        return [item for item in self.bars(readable=readable) if isinstance(item, Quarantine)]

    def frozen(self) -> Freeze | None:
        """The current freeze, if any."""
        return self._freeze_in(self.table.get(*self._freeze_key))

    @property
    def _freeze_key(self) -> tuple[str, str]:
        return f"RELEASE#{self.environment}", f"{QUARANTINE}{FROZEN}"

    def _freeze_in(self, item: Item | None) -> Freeze | None:
        quarantines = self._stored.not_lifted([] if item is None else [item])
        return next((quarantine for quarantine in quarantines if isinstance(quarantine, Freeze)), None)

    def _unfrozen(self, by: Actor) -> Write:
        """A transaction's condition that the environment's freeze has not changed. Raises `Refused` where
        somebody other than `by` has frozen it.
        """
        item = self.table.get(*self._freeze_key)
        if (freeze := self._freeze_in(item)) is not None and freeze.binds(by.person):
            raise freeze.refusal(self.environment)
        asked = Write(name="freeze", key=self._freeze_key, condition=ABSENT)
        if item is None:
            return asked
        return replace(asked, condition="#at = :at", names={"#at": "at"}, values={":at": item.get("at")})

    def append(
        self,
        entry: Entry,
        writes: Sequence[Write] = (),
        proofs: Sequence[Write] = (),
        *,
        quarantines: Sequence[Bar] = (),
        lifts: Sequence[Bar] = (),
    ) -> Entry:
        """Appends `entry` to the timeline, in one transaction with `writes`, `quarantines` and `lifts`.

        Quarantines are set and lifted in the name of the entry's person, at its time. The entry
        copies the newest entry's `stands` and updates it with its own; an empty version in it means that it
        is unknown what is deployed. If there are too many writes for one transaction, the last ones are written before it.
        Raises `Conflict` where a condition of `writes` or `proofs` fails.
        """
        appended, before = self._append(entry, writes, proofs, quarantines=quarantines, lifts=lifts)
        self._keep(appended, before)
        return appended

    def _append(
        self,
        entry: Entry,
        writes: Sequence[Write],
        proofs: Sequence[Write],
        *,
        quarantines: Sequence[Bar] = (),
        lifts: Sequence[Bar] = (),
    ) -> tuple[Entry, Iterator[Entry]]:
        entry = replace(entry, bars=tuple(map(bar_name, quarantines)), lifts=tuple(map(bar_name, lifts)))
        stamped = [replace(quarantine, by=entry.by, at=entry.at) for quarantine in quarantines]

        def all_of(seq: int | None) -> list[Write]:
            return [
                *writes,
                *(
                    Write(name="quarantine", item=quarantine_item(self.environment, quarantine))
                    for quarantine in stamped
                ),
                *(self._lift(quarantine, entry, seq) for quarantine in lifts),
            ]

        # The entry has no number yet: such a lifted quarantine is verified by reading the timeline back.
        ahead = all_of(None)
        for start in range(_TRANSACTION, len(ahead), _TRANSACTION):
            self.table.transact(ahead[start : start + _TRANSACTION])
        return self._numbered(lambda _, seq: (entry, all_of(seq)[:_TRANSACTION]), proofs)

    def _numbered(
        self, make: Callable[[Entry | None, int], tuple[Entry, Sequence[Write]]], proofs: Sequence[Write]
    ) -> tuple[Entry, Iterator[Entry]]:
        """Appends the result of `make` for the newest entry and the number, and returns it with those before it, newest first.

        Uses the number after the newest one; if another process used it in the meantime, or the environment was frozen,
        `make` is called again. An item that is
        not the entry of its number does not block writing: it is skipped, and `audit` reports it.
        """
        for _ in range(_SEQ_TRIES):
            taken: set[int] = set()
            before = self._stored.readable(taken)
            last = next(before, None)
            seq = next(seq for seq in count(last.seq + 1 if last else 1) if seq not in taken)
            entry, writes = make(last, seq)
            merged = {**(last.stands if last else {}), **entry.stands}
            bare = replace(
                entry,
                seq=seq,
                stands=known({subject: read(version) for subject, version in merged.items()}),
                previous=last.hash if last else "",
                hash="",
                schema=SCHEMA,
            )
            numbered = replace(bare, hash=entry_hash(bare))
            put = Write(name="timeline", item=entry_item(self.environment, numbered), condition=ABSENT)
            try:
                self.table.transact([put, *proofs, *writes])
            except Conflict as conflict:
                if conflict.what not in ("timeline", "freeze"):
                    raise
                continue
            return numbered, (iter(()) if last is None else _joined(last, before))
        raise RollbackError(
            "Other processes keep writing to the timeline.",
            code=Code.LEDGER_BUSY,
            next="Run the same command again.",
        )

    def _keep(self, entry: Entry, before: Iterator[Entry], release: Release | None = None) -> None:
        """Copies the written entry to the archive, and entries that an earlier command could not copy."""
        if self.archive is not None:
            notice = replication.keep(self.archive, entry, before, release, self.release)
            self.notices += [notice] if notice else []

    # -- releases ----------------------------------------------------------------------------------

    def release(self, deployment_id: str) -> Release:
        """A release with its manifest. Raises `RollbackError` where it is missing or malformed.

        To act on it, read the `recorded_release` of its entry.
        """
        pk = f"DEPLOYMENT#{deployment_id}"
        items = {item["SK"]: item for item in self.table.query(pk)}
        if METADATA not in items:
            raise RollbackError(
                f"{pk} is in the timeline, but missing in {self.table.name}.", code=Code.LEDGER_DAMAGED
            )
        release = model(Release, items[METADATA] | {"manifest": {}})
        manifest: dict[str, DeployedVersion] = {}
        for sk, item in sorted(items.items()):
            if sk.startswith("FUNCTIONS#"):
                manifest.update(manifest_in(item))
        if len(manifest) != release.functions:
            raise RollbackError(
                f"{pk} should have {release.functions} functions but has {len(manifest)}: its manifest is "
                "damaged.",
                code=Code.LEDGER_DAMAGED,
            )
        return replace(release, manifest=manifest)

    def recorded_release(self, entry: Entry) -> Release:
        """The release of a timeline entry, verified.

        It is read once, because it never changes. Raises `Refused` where it does not match the entry, and as `release`
        does.
        """
        if (known := self._releases.get((entry.id, entry.covers))) is not None:
            return known
        release = self.release(entry.id)
        covered = entry.schema < SCHEMA or release_hash(release) == entry.covers
        if not covered or release.manifest_hash != manifest_hash(release.manifest):
            raise self._stored.forged(f"release {release.version}, or its manifest, was changed")
        self._releases[entry.id, entry.covers] = release
        return release

    def record_release(self, release: Release, entry: Entry, lease: LeaseProof) -> Entry:
        """Writes the manifest, then the release and the timeline entry that covers both in one transaction.

        Raises `Refused` where somebody else has frozen the environment.
        """
        for item in manifest_items(release):
            self.table.transact([Write(name="manifest", item=item, condition=ABSENT), *lease.proofs()])
        write = Write(name="release", item=release_item(release), condition=ABSENT)
        entry = replace(entry, covers=release_hash(release))
        appended, before = self._numbered(
            lambda _last, _seq: (entry, [self._unfrozen(entry.by), write]), lease.proofs()
        )
        self._keep(appended, before, release)
        return appended

    # -- records -----------------------------------------------------------------------------------

    def open(
        self, record: Record, status: Status, plan: Plan[Any], entered: Entered, lease: LeaseProof | None
    ) -> tuple[Record, Event]:
        """Writes a new record with its plan, its first event and its entry in the timeline.

        Raises `Refused` where the id is taken, or somebody else has frozen the environment.
        """
        chunks = to_chunks(plan)
        entered = replace(entered, data={**entered.data, "plan": digest(chunks)})
        head, *rest = plan_items(record.rollback_id, chunks)
        made: list[tuple[Record, Event]] = []
        proofs = lease.proofs() if lease else []

        def begun(last: Entry | None, _: int) -> tuple[Entry, Sequence[Write]]:
            after = replace(record, status=status)
            event = next_event(record, entered, after=after, anchor=last.hash if last else "")
            after = replace(after, events=event.number, head=event.hash)
            made[:] = [(after, event)]
            entry = Entry(
                seq=0,
                kind=OPENED,
                id=record.rollback_id,
                version="",
                at=entered.at,
                by=entered.by,
                services=(),
                stands={},
                covers=event.hash,
                status=status,
            )
            # An emergency has already happened, even if the environment is frozen.
            unfrozen = [] if record.emergency else [self._unfrozen(entered.by)]
            return entry, [
                *unfrozen,
                Write(name="record", item=record_item(after), condition=ABSENT),
                Write(name="plan", item=head, condition=ABSENT),
                event_write(record, event),
            ]

        try:
            for item in rest:
                self._put_once(item, proofs)
            entry, before = self._numbered(begun, proofs)
        except Conflict as conflict:
            raise self._contested(record, conflict, lease) from None
        self.met_ids[record.rollback_id] = None
        _written(*made[0])
        # A record that starts at once is archived at its end.
        if status is not Status.IN_PROGRESS:
            self._keep(entry, before)
        return made[0]

    def _put_once(self, item: Item, proofs: Sequence[Write] = ()) -> None:
        """Writes a part of a plan, unless an interrupted import has already written it."""
        try:
            self.table.transact([*proofs, Write(name="plan", item=item, condition=ABSENT)])
        except Conflict as conflict:
            if conflict.what != "plan" or self.table.get(item["PK"], item["SK"]) != item:
                raise

    def load(self, rollback_id: str) -> Opened:
        """A record with plan and journal. Raises `UsageError` where there is none in this environment,
        `RollbackError` where it is malformed.
        """
        pk = f"ROLLBACK#{rollback_id}"
        record: Record | None = None
        chunks: list[str] = []
        events: list[Event] = []
        expected = 0
        items = tuple(self.table.query(pk)) if _ID.fullmatch(rollback_id) else ()
        # The record's schema shows whether this version can read the rest.
        for item in sorted(items, key=lambda item: item["SK"] != METADATA):
            sk = str(item["SK"])
            if sk == METADATA:
                record = model(Record, item)
            elif sk.startswith("PLAN#"):
                chunks.append(str(item.get("plan", "")))
                parts = item.get("chunks", expected)
                expected = parts if isinstance(parts, int) else -1
            elif sk.startswith("EVENT#"):
                events.append(model(Event, item))
        if record is None or record.environment != self.environment:
            raise UsageError(
                f"There is no rollback {rollback_id[:80]!a} in {self.environment}.",
                code=Code.UNKNOWN_ROLLBACK,
                next=f"rollback history --env {self.environment}",
            )
        if len(chunks) != expected:
            raise RollbackError(
                f"{pk} should have {expected} parts of a plan but has {len(chunks)}.",
                code=Code.LEDGER_DAMAGED,
            )
        return Opened(record=record, plan_chunks=tuple(chunks), events=tuple(events), items=items)

    def untrusted(self, opened: Opened, timeline: Timeline | None = None) -> str:
        """Why a record must not be acted upon: the first finding that `audit` would have; empty if there
        is none. `timeline` is the current one, if already read.
        """
        found = untrusted(opened.record.rollback_id, timeline or self.timeline(), opened.items)
        return str(found[0]) if found else ""

    def inconsistent(self, opened: Opened) -> str:
        """Why a waiting record cannot be approved, from its own items; empty if it can."""
        found = inconsistent(opened.record, opened.events, opened.items)
        return str(found[0]) if found else ""

    def journal(
        self,
        record: Record,
        entered: Entered,
        lease: LeaseProof | None,
        changes: Mapping[str, Any] | None = None,
    ) -> tuple[Record, Event]:
        """Appends an event and changes the record, if nobody else has written to it in the meantime.

        `changes` maps fields of `Record` to their new values, e.g. `{"status": Status.IN_PROGRESS}`. Raises
        `LeaseLost` where the lease is no longer ours, `Refused` where the record was changed, or where it would start
        while somebody else has frozen the environment.
        """
        if lease:
            lease.check()
        after, event, writes = advance(record, entered, changes or {})
        begins = record.status in WAITING and after.status is Status.IN_PROGRESS
        unfrozen = [self._unfrozen(entered.by)] if begins else []
        try:
            # If several conditions fail, the lease is the cause.
            self.table.transact([*(lease.proofs() if lease else []), *unfrozen, *writes])
        except Conflict as conflict:
            raise self._contested(record, conflict, lease) from None
        _written(after, event)
        return after, event

    def close(
        self,
        record: Record,
        entered: Entered,
        lease: LeaseProof | None,
        changes: Mapping[str, Any],
        *,
        entry: Entry,
        quarantines: Sequence[Bar] = (),
        lifts: Sequence[Bar] = (),
    ) -> tuple[Record, Event]:
        """Ends a record: writes its last event, its new state (`changes`, as in `journal`), its timeline entry, its
        quarantines and its lease in one transaction. Raises as `journal` does.
        """
        after, event, writes = advance(record, entered, changes)
        farewells = lease.farewells() if lease else []
        covering = replace(entry, covers=after.head)
        try:
            appended, before = self._append(covering, writes, farewells, quarantines=quarantines, lifts=lifts)
        except Conflict as conflict:
            raise self._contested(record, conflict, lease) from None
        if lease:
            lease.given_back = True
        _written(after, event)
        self._keep(appended, before)
        return after, event

    def history(self, limit: int) -> Iterator[Record | Release | RollbackError]:
        """The newest records and releases, for display. A malformed one is returned as an error that names it."""
        page = min(limit, _PAGE)
        for item in islice(self.table.index(f"ENV#{self.environment}", page=page, ahead=limit > page), limit):
            try:
                if str(item["PK"]).startswith("DEPLOYMENT#"):
                    release = model(Release, item | {"manifest": {}})
                    self.met_releases[release.version] = None
                    yield release
                else:
                    record = model(Record, item)
                    self.met_ids[record.rollback_id] = None
                    yield record
            except RollbackError as error:
                yield error

    # -- approvals -----------------------------------------------------------------------------------

    def approve(self, approval: Approval) -> None:
        """Writes an approval. Raises `Refused` where it already exists."""
        write = Write(name="approval", item=approval_item(approval), condition=ABSENT)
        try:
            self.table.transact([write])
        except Conflict:
            raise Refused("This approval is already recorded.", code=Code.APPROVAL_REFUSED) from None
        if self.archive is not None and (notice := replication.keep_approval(self.archive, approval)):
            self.notices.append(notice)

    def approvals(self, rollback_id: str) -> list[Approval]:
        """The approvals of a record's plan. Malformed ones are skipped, with a notice in `notices`."""
        given = []
        for item in self.table.query(f"APPROVAL#{rollback_id}"):
            try:
                given.append(model(Approval, item))
            except RollbackError as error:
                self._stored.notice(error.what)
        return given

    # -- helpers -------------------------------------------------------------------------------------

    def _lift(self, quarantine: Bar, entry: Entry, seq: int | None) -> Write:
        """Lifts a quarantine or freeze; the item is kept, with who lifted it and the number of its timeline entry."""
        number = {} if seq is None else {":seq": seq}
        return Write(
            name="quarantine",
            key=(f"RELEASE#{self.environment}", f"{QUARANTINE}{bar_name(quarantine)}"),
            update="SET lifted_at = :at, lifted_by = :by" + (", lifted_seq = :seq" if number else ""),
            condition="attribute_exists(PK)",
            values={":at": entry.at, ":by": as_item(entry.by), **number},
        )

    def _contested(
        self, record: Record, conflict: Conflict, lease: LeaseProof | None = None
    ) -> RollbackError:
        if conflict.what == "lease" and lease is not None:
            lease.lose("another process has taken it")
            try:
                lease.check()
            except RollbackError as lost:
                return lost
        if conflict.what == "freeze" and (freeze := self.frozen()) is not None:
            return freeze.refusal(self.environment)
        return Refused(
            f"Another process changed {record.rollback_id} at the same time.",
            code=Code.LEDGER_BUSY,
            changed="Nothing was changed by this command.",
            next=f"rollback show {record.rollback_id} --env {self.environment}",
        )


def _written(record: Record, event: Event) -> None:
    _LOG.info("%s: event %d, %s; %s", record.rollback_id, event.number, event.kind, record.status)


def _joined(first: Entry, rest: Iterator[Entry]) -> Iterator[Entry]:
    yield first
    yield from rest
