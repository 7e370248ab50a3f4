"""The integrity checks of records and releases: item by item, each finding named by the item's key. Pure.

Every item is built again from its parsed content, so that it cannot have attributes that its model does not
have. Its content is covered by a hash in another item: an event by the next one, the record by its last event, a
record's events and a release by the timeline, an entry by the next one, and the newest ones by the
archive. A quarantine follows from the entries that set and lifted it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rollback.ledger.finding import Finding, changed, differing, differs, old_schema
from rollback.ledger.schema import (
    METADATA,
    approval_item,
    event_item,
    manifest_in,
    manifest_items,
    model,
    plan_items,
    record_item,
    release_item,
)
from rollback.ledger.store import Item
from rollback.ledger.timeline_integrity import Claim, claim
from rollback.model.events import approvals
from rollback.model.journal_rules import broken_rule
from rollback.model.plan import stored_digest
from rollback.model.record import (
    SCHEMA,
    Approval,
    DeployedVersion,
    Event,
    Record,
    Status,
    event_hash,
    record_hash,
)
from rollback.model.release import (
    OPENED,
    Entry,
    Release,
    as_item,
    entry_hash,
    manifest_hash,
    release_hash,
)
from rollback.util.canonical import digest, plain
from rollback.util.errors import RollbackError

_ENDS = {Status.COMPLETE, Status.FAILED, Status.REVERTED, Status.ABORTED, Status.EXPIRED}


@dataclass(kw_only=True)
class Partition:
    """A record as read: its findings, and the data that other checks need."""

    findings: list[Finding]
    record: Record | None = None
    approvals: list[Approval] = field(default_factory=list)


def record_partition(rollback_id: str, claim: Claim, items: Sequence[Item]) -> Partition:
    """Checks a record's items (METADATA, PLAN#, EVENT#; see `schema`) against each other and the timeline."""
    read = Partition(findings=[])
    read.findings.extend(_record(rollback_id, claim, items, read))
    return read


def _record(rollback_id: str, claim: Claim, items: Sequence[Item], read: Partition) -> Iterator[Finding]:
    pk = f"ROLLBACK#{rollback_id}"
    metadata, plans, journal = _sorted(items)
    if metadata is None:
        yield Finding(pk=pk, sk=METADATA, what="it is missing, but the timeline has an entry for it")
        return
    for item in items:
        if item["SK"] != METADATA and not str(item["SK"]).startswith(("PLAN#", "EVENT#")):
            yield Finding(pk=pk, sk=str(item["SK"]), what="it is not part of a record")
    try:
        record = model(Record, metadata)
    except RollbackError as error:
        yield Finding(pk=pk, sk=METADATA, what=error.what)
        return
    if record.schema < SCHEMA:
        yield Finding(pk=pk, sk=METADATA, what=old_schema(record.schema))
        return
    read.record = record
    yield from differs(metadata, {**record_item(record), "PK": pk})
    events: list[Event] = []
    for finding in _events(rollback_id, claim, journal, events):
        yield finding
        return
    last = events[-1] if events else None
    if last is None or (record.events, record.head) != (len(events), last.hash):
        yield Finding(
            pk=pk, sk=METADATA, what=f"the journal has {len(events)} events, the record has {record.events}"
        )
        return
    if last.record != record_hash(record):
        yield Finding(pk=pk, sk=METADATA, what="it does not match the state after the last event")
    yield from _plan(rollback_id, record, plans, events[0])
    yield from _ends(claim, record, events)
    if claim.began is not None and (broken := broken_rule(record, claim.began, events)):
        yield Finding(pk=pk, sk=METADATA, what=broken)
    read.approvals = approvals(rollback_id, events)


def _sorted(items: Sequence[Item]) -> tuple[Item | None, list[Item], list[Item]]:
    metadata = next((item for item in items if item["SK"] == METADATA), None)
    plans = [item for item in items if str(item["SK"]).startswith("PLAN#")]
    return metadata, plans, [item for item in items if str(item["SK"]).startswith("EVENT#")]


def _events(rollback_id: str, claim: Claim, items: Sequence[Item], events: list[Event]) -> Iterator[Finding]:
    """The findings about a journal; its readable events are added to `events`."""
    pk, previous = f"ROLLBACK#{rollback_id}", claim.anchor
    for number, item in enumerate(items, start=1):
        sk = f"EVENT#{number:06d}"
        if item["SK"] != sk:
            yield Finding(pk=pk, sk=sk, what="it is missing")
            return
        try:
            event = model(Event, item)
        except RollbackError as error:
            yield Finding(pk=pk, sk=sk, what=error.what)
            return
        if (name := differing(item, event_item(rollback_id, event))) is not None:
            yield Finding(pk=pk, sk=sk, what=changed(name))
        if event.hash != event_hash(rollback_id, event):
            yield Finding(pk=pk, sk=sk, what="it was changed")
        if event.previous != previous:
            yield Finding(
                pk=pk, sk=sk, what=f"it does not follow {'the event before it' if events else 'the timeline'}"
            )
        previous = event.hash
        events.append(event)


def _plan(rollback_id: str, record: Record, items: Sequence[Item], first: Event) -> Iterator[Finding]:
    pk = f"ROLLBACK#{rollback_id}"
    if not items:
        yield Finding(pk=pk, sk="PLAN#0001", what="it is missing")
        return
    chunks = [str(item.get("plan", "")) for item in items]
    for item, expected in zip(items, plan_items(rollback_id, chunks), strict=True):
        yield from differs(item, expected)
    if digest(chunks) != first.data.get("plan"):
        yield Finding(pk=pk, sk="PLAN#0001", what="the plan is not covered by the first event")
    if record.digest != first.data.get("digest"):
        yield Finding(pk=pk, sk=METADATA, what="its digest is not covered by the first event")
    if (made := plan_digest(chunks)) != record.digest:
        yield Finding(
            pk=pk, sk="PLAN#0001", what=f"the plan's own digest is {made[:16] or 'none'}, not the record's"
        )


def plan_digest(chunks: Sequence[str]) -> str:
    """The digest of a stored plan; empty if malformed."""
    try:
        return stored_digest(list(chunks))
    except (ValueError, IndexError):
        return ""


def _ends(claim: Claim, record: Record, events: Sequence[Event]) -> Iterator[Finding]:
    """Checks the journal's start and ends against the timeline."""
    pk = f"ROLLBACK#{record.rollback_id}"
    if events[0].hash != claim.opened:
        yield Finding(pk=pk, sk="EVENT#000001", what="it does not match the timeline's entry of the start")
    hashes = iter([event.hash for event in events])
    for covers, _ in claim.ends:
        if covers not in hashes:  # in order: the iterator continues from there
            yield Finding(
                pk=pk, sk=METADATA, what="its journal does not match the timeline's entry of the end"
            )
            return
    ended = record.status in _ENDS
    if ended and (not claim.ends or claim.ends[-1] != (record.head, record.status)):
        yield Finding(
            pk=pk, sk=METADATA, what=f"it is {record.status}, but the timeline has no entry of that"
        )
    elif not ended and claim.ends and claim.ends[-1][0] == record.head:
        yield Finding(
            pk=pk, sk=METADATA, what=f"it is {record.status}, but it has ended according to the timeline"
        )


def approval_findings(approved: Sequence[Approval], items: Sequence[Item], pk: str) -> Iterator[Finding]:
    """The findings about a record's approvals (`items` as in `schema.approval_item`), compared with those in its
    journal.
    """
    left = {item["SK"]: item for item in map(approval_item, approved)}
    for item in items:
        here = {"pk": pk, "sk": str(item["SK"])}
        expected = left.pop(item["SK"], None)
        try:
            made = approval_item(model(Approval, item))
        except RollbackError as error:
            yield Finding(**here, what=error.what)
            continue
        if (name := differing(item, made)) is not None:
            yield Finding(**here, what=changed(name))
        elif expected is not None and differing(item, plain(expected)) is not None:
            yield Finding(**here, what="it is not the approval with which the record was applied")
    for item in left.values():
        yield Finding(pk=pk, sk=str(item["SK"]), what="it is missing, but the record was applied with it")


def release_partition(
    deployment_id: str, claim: Claim, items: Sequence[Item]
) -> tuple[Release | None, list[Finding]]:
    """Checks a release's items (METADATA, FUNCTIONS#; see `schema`) against each other and the timeline; also
    returns the release, if it can be read.
    """
    pk = f"DEPLOYMENT#{deployment_id}"
    by_key = {str(item["SK"]): item for item in items}
    metadata = by_key.pop(METADATA, None)
    if metadata is None:
        return None, [Finding(pk=pk, sk=METADATA, what="it is missing, but the timeline has an entry for it")]
    manifest: dict[str, DeployedVersion] = {}
    try:
        bare = model(Release, metadata | {"manifest": {}})
        for sk in sorted(by_key):
            manifest |= manifest_in(by_key[sk]) if sk.startswith("FUNCTIONS#") else {}
    except RollbackError as error:
        return None, [Finding(pk=pk, sk=METADATA, what=error.what)]
    if bare.schema < SCHEMA:
        return None, [Finding(pk=pk, sk=METADATA, what=old_schema(bare.schema))]
    release = _whole(bare, manifest)
    return release, list(_release(pk, claim, release, metadata, by_key))


def _release(
    pk: str, claim: Claim, release: Release, metadata: Item, parts: Mapping[str, Item]
) -> Iterator[Finding]:
    yield from differs(metadata, {**release_item(release), "PK": pk})
    expected = {item["SK"]: {**item, "PK": pk} for item in manifest_items(release)}
    for sk in sorted({*parts, *expected}):
        if sk not in parts:
            yield Finding(pk=pk, sk=sk, what="it is missing")
        elif sk not in expected:
            yield Finding(pk=pk, sk=sk, what="it is not part of a release")
        else:
            yield from differs(parts[sk], expected[sk])
    if release.functions != len(release.manifest) or release.manifest_hash != manifest_hash(release.manifest):
        yield Finding(pk=pk, sk=METADATA, what="its manifest does not match its hash")
    if release_hash(release) != claim.opened:
        yield Finding(pk=pk, sk=METADATA, what="it, or its manifest, does not match the timeline")


def _whole(release: Release, manifest: Mapping[str, DeployedVersion]) -> Release:
    return Release(**{**as_item(release), "manifest": manifest})


def untrusted(rollback_id: str, entries: Iterable[Entry], items: Sequence[Item]) -> list[Finding]:
    """Why a record must not be acted upon: the findings that `audit` would have; empty if there are none.

    `entries` are the timeline's, newest first; they are read back to the record's start only.
    `items` are all of the record's. A record of the first schema has no entries, so that only its own chain
    is checked.
    """
    about: list[Entry] = []
    newer: Entry | None = None
    for entry in entries:
        if entry.hash != entry_hash(entry) or (newer is not None and newer.previous != entry.hash):
            sk = f"SEQ#{entry.seq:010d}"
            return [Finding(pk="RELEASE#", sk=sk, what="the timeline's chain is broken")]
        newer = entry
        if entry.id == rollback_id:
            about.append(entry)
            if entry.kind == OPENED:
                break
    claims: dict[str, Claim] = {}
    for entry in reversed(about):
        claim(claims, entry)
    own = claims.get(rollback_id, Claim(kind="record"))
    if own.began is None:
        return []
    return record_partition(rollback_id, own, items).findings


def inconsistent(record: Record, events: Sequence[Event], items: Sequence[Item]) -> list[Finding]:
    """Why a waiting record cannot be approved, from its own items only: an approver may read nothing else."""
    first = events[0] if events else None
    alone = Claim(
        kind="record",
        opened=first.hash if first else "",
        anchor=first.previous if first else "",
        began=record.status,
    )
    return record_partition(record.rollback_id, alone, items).findings
