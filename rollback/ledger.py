"""What happened: records with their journals, the timeline of releases, quarantines and approvals.

| PK | SK | what |
|---|---|---|
| `DEPLOYMENT#<id>` | `METADATA`, `FUNCTIONS#0001`… | a release and its manifest |
| `ROLLBACK#<id>` | `METADATA`, `PLAN#0001`…, `EVENT#000001`… | a record, its plan, its journal |
| `APPROVAL#<rollback id>` | `<approver>` | a digest, and until when |
| `RELEASE#<env>` | `SEQ#0000000001`…, `QUARANTINE#<service>#<version>` | the timeline; what must not come back |

Decisions read the base table consistently; only `history` reads the index. An item that does not fit its
model is named, never passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import ValidationError

from rollback.aws import Who
from rollback.canonical import canonical, digest, plain
from rollback.errors import Refused, RollbackError, UsageError
from rollback.lease import Hold
from rollback.plan import Plan, from_chunks, reader, to_chunks
from rollback.records import Approval, Entered, Event, Record, Standing, Status, next_event
from rollback.releases import Entry, Quarantine, Release, Timeline, as_item, entry_hash
from rollback.table import ABSENT, Conflict, Item, Table, Write

T = TypeVar("T")
SCHEMA = 1
# Below DynamoDB's 400 KB an item and 100 members a transaction.
_MANIFEST_CHUNK = 1000
_TRANSACTION = 90
_SEQ_TRIES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A record as the table has it: what is planned, and the journal so far."""

    record: Record
    plan_chunks: tuple[str, ...]
    events: tuple[Event, ...]

    def plan(self, step: type[Any]) -> Plan[Any]:
        """The plan, with steps of the target's type.

        Raises `RollbackError` where it is malformed, or is not the one that was planned and approved.
        """
        first = self.events[0] if self.events else None
        said = (first.data.get("plan"), first.data.get("digest"), first.by) if first else ()
        if said != (digest(list(self.plan_chunks)), self.record.digest, self.record.initiated_by):
            raise RollbackError(
                f"The plan of {self.record.rollback_id}, or who began it, is not what its journal began with: "
                "it was changed in the table.",
                changed="Nothing was changed by this command.",
                next=f"rollback show {self.record.rollback_id} --env {self.record.environment}; rollback abort "
                "ends it, and puts nothing back.",
            )
        try:
            return from_chunks(list(self.plan_chunks), step)
        except (ValidationError, ValueError, IndexError) as error:
            raise _malformed(f"ROLLBACK#{self.record.rollback_id}", "PLAN#", error) from error


class Ledger:
    """The deployments table of one environment, in this project's words."""

    def __init__(self, table: Table, environment: str) -> None:
        self.table = table
        self.environment = environment

    # -- the timeline ------------------------------------------------------------------------------

    def timeline(self) -> Timeline:
        """Everything that changed what stands, newest first, read page by page as far as one goes."""
        items = self.table.query(f"RELEASE#{self.environment}", "SEQ#", newest_first=True, page=25)
        return Timeline(_model(Entry, item) for item in items)

    def quarantines(self) -> list[Quarantine]:
        """What must not come back now; lifted ones are left out."""
        items = self.table.query(f"RELEASE#{self.environment}", "QUARANTINE#")
        return [_model(Quarantine, item) for item in items if not item.get("lifted_at")]

    def append(self, entry: Entry, writes: Sequence[Write], proofs: Sequence[Write] = ()) -> Entry:
        """Puts `entry` at the timeline's end, in one transaction with `writes`.

        Takes the number after the newest one; where somebody else took it meanwhile, tries the next.
        What the entry carries forward of `stands` is the newest entry's, with the entry's own on top; an
        empty version there says that nothing is known to stand. More writes than a transaction takes go
        ahead of it: those at the end of `writes`.
        """
        for start in range(_TRANSACTION, len(writes), _TRANSACTION):
            self.table.transact(writes[start : start + _TRANSACTION])
        for _ in range(_SEQ_TRIES):
            last = self.timeline().newest
            merged = {**(last.stands if last else {}), **entry.stands}
            stands = {service: version for service, version in merged.items() if version}
            bare = replace(
                entry,
                seq=last.seq + 1 if last else 1,
                stands=stands,
                previous=last.hash if last else "",
                hash="",
            )
            numbered = replace(bare, hash=entry_hash(bare))
            put = Write(
                name="timeline",
                item={
                    "PK": f"RELEASE#{self.environment}",
                    "SK": f"SEQ#{numbered.seq:010d}",
                    **as_item(numbered),
                },
                condition=ABSENT,
            )
            try:
                self.table.transact([put, *proofs, *writes[:_TRANSACTION]])
            except Conflict as conflict:
                if conflict.what != "timeline":
                    raise
                continue
            return numbered
        raise RollbackError("The timeline is being written by others without pause.", next="Try again.")

    # -- releases ----------------------------------------------------------------------------------

    def release(self, deployment_id: str) -> Release:
        """A release with its manifest. Raises `RollbackError` where it is missing or malformed."""
        pk = f"DEPLOYMENT#{deployment_id}"
        items = {item["SK"]: item for item in self.table.query(pk)}
        if "METADATA" not in items:
            raise RollbackError(f"{pk} is named by the timeline but is not in {self.table.name}.")
        manifest: dict[str, Standing] = {}
        for sk, item in sorted(items.items()):
            if sk.startswith("FUNCTIONS#"):
                try:
                    chunk = reader(dict[str, Standing]).validate_json(item["functions"])
                except (ValidationError, KeyError) as error:
                    raise _malformed(pk, sk, error) from error
                manifest.update(chunk)
        release = _model(Release, items["METADATA"] | {"manifest": {}})
        if len(manifest) != release.functions:
            raise RollbackError(
                f"{pk} should hold {release.functions} functions but holds {len(manifest)}: its manifest is "
                "damaged."
            )
        return replace(release, manifest=manifest)

    def record_release(self, release: Release, entry: Entry, lease: Hold) -> Entry:
        """Writes the manifest, then the release and its timeline entry in one transaction."""
        pk = f"DEPLOYMENT#{release.deployment_id}"
        functions = sorted(release.manifest.items())
        for number, start in enumerate(range(0, len(functions), _MANIFEST_CHUNK), start=1):
            chunk = dict(functions[start : start + _MANIFEST_CHUNK])
            item = {"PK": pk, "SK": f"FUNCTIONS#{number:04d}", "functions": canonical(chunk)}
            self.table.transact([Write(name="manifest", item=item, condition=ABSENT), *lease.proofs()])
        metadata = {
            "PK": pk,
            "SK": "METADATA",
            **_index(self.environment, release.recorded_at, release.deployment_id),
            **{name: value for name, value in as_item(release).items() if name != "manifest"},
        }
        return self.append(entry, [Write(name="release", item=metadata, condition=ABSENT)], lease.proofs())

    # -- records -----------------------------------------------------------------------------------

    def open(
        self, record: Record, status: Status, plan: Plan[Any], entered: Entered, lease: Hold | None
    ) -> tuple[Record, Event]:
        """Writes a new record with its plan and first event. Raises `Refused` where the id is taken."""
        last = self.timeline().newest
        chunks = to_chunks(plan)
        entered = replace(entered, data={**entered.data, "plan": digest(chunks)})
        event = next_event(record, entered, anchor=last.hash if last else "")
        record = replace(record, status=status, events=1, head=event.hash)
        pk = f"ROLLBACK#{record.rollback_id}"
        head = {"PK": pk, "SK": "PLAN#0001", "plan": chunks[0], "chunks": len(chunks)}
        try:
            for number, text in enumerate(chunks[1:], start=2):
                item = {"PK": pk, "SK": f"PLAN#{number:04d}", "plan": text}
                self.table.transact([Write(name="plan", item=item, condition=ABSENT)])
            self.table.transact(
                [
                    Write(name="record", item=self._metadata(record), condition=ABSENT),
                    Write(name="plan", item=head, condition=ABSENT),
                    _event_write(record, event),
                    *(lease.proofs() if lease else []),
                ]
            )
        except Conflict as conflict:
            raise self._contested(record, conflict, lease) from None
        return record, event

    def load(self, rollback_id: str) -> Opened:
        """A record with plan and journal. Raises `UsageError` where there is none in this environment."""
        pk = f"ROLLBACK#{rollback_id}"
        record: Record | None = None
        chunks: list[str] = []
        events: list[Event] = []
        expected = 0
        for item in self.table.query(pk):
            sk = str(item["SK"])
            if sk == "METADATA":
                record = _model(Record, item)
            elif sk.startswith("PLAN#"):
                chunks.append(str(item.get("plan", "")))
                parts = item.get("chunks", expected)
                expected = parts if isinstance(parts, int) else -1
            elif sk.startswith("EVENT#"):
                events.append(_model(Event, item))
        if record is None or record.environment != self.environment:
            raise UsageError(
                f"There is no rollback {rollback_id[:80]!r} in {self.environment}.",
                next=f"rollback history --env {self.environment}",
            )
        if len(chunks) != expected:
            raise RollbackError(f"{pk} should hold {expected} parts of a plan but holds {len(chunks)}.")
        return Opened(record=record, plan_chunks=tuple(chunks), events=tuple(events))

    def journal(
        self,
        record: Record,
        entered: Entered,
        lease: Hold | None,
        changes: Mapping[str, Any] | None = None,
    ) -> tuple[Record, Event]:
        """Appends an event and changes the record with it, if nobody else has written to it meanwhile.

        Raises `LeaseLost` where the lease is no longer ours, `Refused` where the record moved.
        """
        if lease:
            lease.check()
        after, event, writes = _advance(record, entered, changes or {})
        try:
            self.table.transact([*writes, *(lease.proofs() if lease else [])])
        except Conflict as conflict:
            raise self._contested(record, conflict, lease) from None
        return after, event

    def close(
        self,
        record: Record,
        entered: Entered,
        lease: Hold | None,
        changes: Mapping[str, Any],
        *,
        entry: Entry,
        quarantines: Sequence[Write] = (),
    ) -> tuple[Record, Event]:
        """Ends a record: its last event, its new state, its timeline entry, its quarantines and its lease,
        all or none.
        """
        after, event, writes = _advance(record, entered, changes)
        farewells = lease.farewells() if lease else []
        try:
            self.append(replace(entry, covers=after.head), [*writes, *quarantines], farewells)
        except Conflict as conflict:
            raise self._contested(record, conflict, lease) from None
        if lease:
            lease.given_back = True
        return after, event

    def history(self, limit: int) -> Iterator[Record | Release | RollbackError]:
        """The newest records and releases, for display. A malformed one comes as the error that names it."""
        for number, item in enumerate(self.table.index(f"ENV#{self.environment}", page=min(limit, 200))):
            if number == limit:
                return
            try:
                if str(item["PK"]).startswith("DEPLOYMENT#"):
                    yield _model(Release, item | {"manifest": {}})
                else:
                    yield _model(Record, item)
            except RollbackError as error:
                yield error

    # -- quarantine and approval ---------------------------------------------------------------------

    def quarantine_write(self, quarantine: Quarantine) -> Write:
        """Bars a release for a service; an earlier bar, lifted or not, is replaced."""
        return Write(
            name="quarantine",
            item={
                "PK": f"RELEASE#{self.environment}",
                "SK": f"QUARANTINE#{quarantine.service}#{quarantine.version}",
                **as_item(quarantine),
            },
        )

    def lift_write(self, quarantine: Quarantine, by: Who, at: str) -> Write:
        """Lifts a bar; the item stays, saying who lifted it."""
        return Write(
            name="quarantine",
            key=(f"RELEASE#{self.environment}", f"QUARANTINE#{quarantine.service}#{quarantine.version}"),
            update="SET lifted_at = :at, lifted_by = :by",
            condition="attribute_exists(PK)",
            values={":at": at, ":by": as_item(by)},
        )

    def approve(self, approval: Approval) -> None:
        """Writes down an approval. Raises `Refused` where the same person gave one before for the record."""
        item = {
            "PK": f"APPROVAL#{approval.rollback_id}",
            "SK": f"{approval.by.role}/{approval.by.person}#{approval.at}",
            **as_item(approval),
        }
        try:
            self.table.transact([Write(name="approval", item=item, condition=ABSENT)])
        except Conflict:
            raise Refused("This approval is recorded already.") from None

    def approvals(self, rollback_id: str) -> list[Approval]:
        return [_model(Approval, item) for item in self.table.query(f"APPROVAL#{rollback_id}")]

    # -- helpers -------------------------------------------------------------------------------------

    def _metadata(self, record: Record) -> Item:
        return {
            "PK": f"ROLLBACK#{record.rollback_id}",
            "SK": "METADATA",
            **_index(self.environment, record.initiated_at, record.rollback_id),
            **as_item(record),
        }

    def _contested(self, record: Record, conflict: Conflict, lease: Hold | None = None) -> RollbackError:
        if conflict.what == "lease" and lease is not None:
            lease.lose("somebody else has taken it")
            try:
                lease.check()
            except RollbackError as lost:
                return lost
        return Refused(
            f"Somebody else changed {record.rollback_id} at the same time.",
            changed="Nothing was changed by this command.",
            next=f"rollback show {record.rollback_id} --env {self.environment}",
        )


def _advance(
    record: Record, entered: Entered, changes: Mapping[str, Any]
) -> tuple[Record, Event, list[Write]]:
    """The record after an event, the event, and the writes that make it so if it stood as we knew it."""
    event = next_event(record, entered)
    after = replace(record, **changes, events=event.number, head=event.hash)
    changed = plain(after)
    fields = ["events", "head", *changes]
    writes = [
        Write(
            name="record",
            key=(f"ROLLBACK#{record.rollback_id}", "METADATA"),
            update="SET " + ", ".join(f"#{name} = :{name}" for name in fields),
            condition="#events = :before AND #head = :was",
            names={f"#{name}": name for name in fields},
            values={
                **{f":{name}": changed[name] for name in fields},
                ":before": record.events,
                ":was": record.head,
            },
        ),
        _event_write(record, event),
    ]
    return after, event, writes


def _event_write(record: Record, event: Event) -> Write:
    item = {
        "PK": f"ROLLBACK#{record.rollback_id}",
        "SK": f"EVENT#{event.number:06d}",
        **as_item(event),
        "data": canonical(event.data),
    }
    return Write(name="event", item=item, condition=ABSENT)


def _index(environment: str, at: str, identifier: str) -> Item:
    return {"GSI1PK": f"ENV#{environment}", "GSI1SK": f"{at}#{identifier}"}


def _model(kind: type[T], item: Item) -> T:
    """`item` as a dataclass. Raises `RollbackError` naming the item and what is wrong with it."""
    adapter = reader(kind)  # type: ignore[arg-type] # every class is hashable
    schema = item.get("schema", SCHEMA)
    if isinstance(schema, int) and schema > SCHEMA:
        raise RollbackError(
            f"{item.get('PK')} was written by a newer version of this command (schema {schema}).",
            next="Update the checkout you run it from.",
        )
    fields = dict(item)
    try:
        if kind is Event:
            fields["data"] = json.loads(fields["data"])
        return adapter.validate_python(fields)  # type: ignore[no-any-return] # the adapter's type is `kind`
    except (ValidationError, KeyError, ValueError, TypeError) as error:
        raise _malformed(str(item.get("PK")), str(item.get("SK")), error) from error


def _malformed(pk: str, sk: str, error: Exception) -> RollbackError:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        detail = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    else:
        detail = f"{type(error).__name__}: {error}"
    return RollbackError(
        f"The ledger's item {pk} / {sk} is malformed: {detail}",
        next="Mend that item (it was not written by this command), then try again.",
    )
