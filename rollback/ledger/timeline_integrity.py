"""The integrity checks of the timeline, and of the quarantines that its entries set and lifted. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rollback.ledger.finding import Finding, changed, differing, old_schema
from rollback.ledger.schema import entry_item, model
from rollback.ledger.store import Item
from rollback.model.guarding import not_its_own
from rollback.model.record import SCHEMA, Record, Status
from rollback.model.release import DRILL, OPENED, Entry, entry_hash
from rollback.util.canonical import plain
from rollback.util.errors import RollbackError

# The prefix of a restored quarantine's reason, if its record was lost; and the one that earlier versions wrote.
MENDED, _MENDED_BEFORE = "restored from the archive: ", "put back from the archive: "


@dataclass(kw_only=True, slots=True)
class Claim:
    """What the timeline has about one record or release, as far as needed.

    `began` is a record's first status; `ends` are (hash covered by the entry, status) of its ends, in
    order.
    """

    kind: str
    opened: str = ""
    anchor: str = ""
    began: Status | None = None
    ends: list[tuple[str, str]] = field(default_factory=list)

    @property
    def waited(self) -> bool:
        """Whether a record started with waiting for an approval or a confirmation."""
        return self.began is not None and self.began is not Status.IN_PROGRESS


def claim(claims: dict[str, Claim], entry: Entry) -> None:
    """Adds to `claims` the timeline's next entry, oldest first, about a record or release."""
    if entry.is_release:
        claims[entry.id] = Claim(kind="release", opened=entry.covers)
    elif entry.kind == OPENED:
        claims[entry.id] = Claim(
            kind="record", opened=entry.covers, anchor=entry.previous, began=Status(entry.status)
        )
    elif entry.kind == "rollback":
        claims.setdefault(entry.id, Claim(kind="record")).ends.append((entry.covers, entry.status))


@dataclass(kw_only=True)
class Chain:
    """The timeline as it is read, oldest first: its chain, its claims, and its quarantines.

    `claims` maps a record's or release's id to its claim, `quarantines` the result of `bar_name`
    (`<service>#<version>`) to the item that must exist. `drills` maps a drill's id to the hash covered by the entry of
    its end.
    """

    environment: str
    seq: int = 0
    head: str = ""
    claims: dict[str, Claim] = field(default_factory=dict)
    quarantines: dict[str, Item] = field(default_factory=dict)
    # A drill's id → the hash covered by the entry of its end.
    drills: dict[str, str] = field(default_factory=dict)

    def add(self, item: Item) -> Iterator[Entry | Finding]:
        """The findings about the timeline's next `item` (as in `schema.entry_item`), then its entry, if it
        can be read.
        """
        here = {"pk": str(item["PK"]), "sk": str(item["SK"])}
        try:
            entry = model(Entry, item)
        except RollbackError as error:
            yield Finding(**here, what=error.what)
            return
        if item["SK"] != f"SEQ#{entry.seq:010d}":
            yield Finding(**here, what=f"it is entry {entry.seq}, stored under another number")
            return
        self.seq += 1
        if item["SK"] != (expected := f"SEQ#{self.seq:010d}"):
            yield Finding(pk=here["pk"], sk=expected, what="it is missing")
        self.seq = max(self.seq, entry.seq)
        if entry.schema < SCHEMA:
            yield Finding(**here, what=old_schema(entry.schema))
        else:
            if (name := differing(item, entry_item(self.environment, entry))) is not None:
                yield Finding(**here, what=changed(name))
            if entry.hash != entry_hash(entry):
                yield Finding(**here, what="it was changed")
        if entry.previous != self.head:
            yield Finding(**here, what="it does not follow the entry before it")
        if why := not_its_own(entry):
            yield Finding(**here, what=why)
        self.head = entry.hash
        self._claim(entry)
        yield entry

    def _claim(self, entry: Entry) -> None:
        claim(self.claims, entry)
        if entry.kind == DRILL:
            self.drills[entry.id] = entry.covers
        ended = entry.kind == "rollback"
        for quarantine in entry.bars:
            service, _, version = quarantine.partition("#")
            self.quarantines[quarantine] = {
                "PK": f"RELEASE#{self.environment}",
                "SK": f"QUARANTINE#{quarantine}",
                "service": service,
                "version": version,
                # The reason is in the record, and is added when that is read (`complete_from`).
                "reason": "" if ended else entry.status,
                "by": plain(entry.by),
                "at": entry.at,
                "rollback_id": entry.id if ended else "",
            }
        for quarantine in entry.lifts:
            if quarantine in self.quarantines:
                self.quarantines[quarantine] |= {
                    "lifted_at": entry.at,
                    "lifted_by": plain(entry.by),
                    "lifted_seq": entry.seq,
                }

    def complete_from(self, record: Record) -> None:
        """Completes a record's quarantines with data that its entries do not have."""
        for quarantine in self.quarantines.values():
            if quarantine["rollback_id"] == record.rollback_id:
                quarantine["reason"] = record.reason


def quarantine_findings(chain: Chain, items: Sequence[Item]) -> Iterator[Finding]:
    """The findings about quarantines, after all records are read (`items` as in `quarantine_item`)."""
    left = {item["SK"]: item for item in chain.quarantines.values()}
    for item in items:
        here = {"pk": str(item["PK"]), "sk": str(item["SK"])}
        expected = left.pop(item["SK"], None)
        if expected is not None and not expected["reason"] and _was_mended(item):
            expected = {**expected, "reason": item["reason"]}
        # Items of earlier versions, and items written before their entry, have no number: then the entry is searched.
        if expected is not None and "lifted_seq" not in item:
            expected = {name: value for name, value in expected.items() if name != "lifted_seq"}
        if expected is None:
            yield Finding(**here, what="no entry of the timeline quarantined it")
        elif (name := differing(item, expected)) is not None:
            yield Finding(**here, what=f"its {name} does not match the timeline's entries")
    for item in left.values():
        yield Finding(pk=str(item["PK"]), sk=str(item["SK"]), what="it is missing")


def _was_mended(item: Item) -> bool:
    """Whether a quarantine was restored by `rollback ledger mend` without its lost reason."""
    return str(item.get("reason", "")).startswith((MENDED, _MENDED_BEFORE))
