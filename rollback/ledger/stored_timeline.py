"""The stored timeline: unverified, verified for decisions, or only its readable entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rollback.ledger.schema import QUARANTINE, REQUIREMENT, Bar, Newer, bar_in, check_client, model
from rollback.ledger.store import Item, LedgerTable
from rollback.model.record import SCHEMA
from rollback.model.release import Entry, entry_hash
from rollback.util.errors import Code, Refused, RollbackError


@dataclass(kw_only=True)
class StoredTimeline:
    """The timeline's items of one environment. `notices` name what is skipped."""

    table: LedgerTable
    environment: str
    notices: list[str] = field(default_factory=list)

    def entries(self) -> Iterator[Entry]:
        return (model(Entry, item) for item in self.items())

    def items(self, *, readable: bool = False) -> Iterator[Item]:
        """The timeline's items, newest first. Raises `Newer` where the ledger requires a later client, and
        `RollbackError` where that requirement is malformed, unless `readable`.
        """
        for item in self.table.query(f"RELEASE#{self.environment}", "SEQ#", newest_first=True, page=25):
            if item["SK"] != REQUIREMENT:
                yield item
                continue
            try:
                check_client(item)
            except Newer:
                raise
            except RollbackError as error:
                if not readable:
                    raise
                self.notice(f"Skipped in the ledger: {error.what}")

    def verified(self) -> Iterator[Entry]:
        for item in self.items():
            entry = model(Entry, item)
            whole = entry.schema < SCHEMA or entry.hash == entry_hash(entry)
            if not whole or not in_place(item, entry):
                raise self.forged(f"{item['PK']} / {item['SK']}: it was changed")
            yield entry

    def readable(self, over: set[int] | None = None) -> Iterator[Entry]:
        """The readable entries; the numbers of skipped ones are added to `over`, for writers. Items of a newer version are
        an error.
        """
        for item in self.items(readable=over is None):
            try:
                entry = model(Entry, item)
            except RollbackError as error:
                if error.code is Code.CLIENT_OUTDATED:
                    raise
                what = error.what
            else:
                if in_place(item, entry):
                    yield entry
                    continue
                what = f"{item['PK']} / {item['SK']} is not the entry of its number."
            self.notice(f"Skipped in the ledger: {what}")
            if over is not None:
                over.add(key_number(item))

    def forged(self, what: str) -> Refused:
        return Refused(
            f"The ledger was changed by something else than this command: {what}.",
            code=Code.LEDGER_DAMAGED,
            next=f"rollback audit --env {self.environment}  # names everything that was changed",
        )

    def notice(self, what: str) -> None:
        if what not in self.notices:
            self.notices.append(what)

    def not_lifted(self, items: Sequence[Item], *, readable: bool = False) -> list[Bar]:
        """The items that are not lifted: `lifted_at` only counts if a timeline entry lifted it.

        Raises `Refused` for a malformed one, or skips it if `readable`.
        """
        named = {str(item["SK"]).removeprefix(QUARANTINE): item for item in items}
        unproved = self._unproved({name: item for name, item in named.items() if item.get("lifted_at")})
        found: list[Bar] = []
        for name, item in named.items():
            if name in unproved:
                self.notice(
                    f"The quarantine of {name} still counts: it is marked as lifted, but the timeline has no entry of that."
                )
            elif item.get("lifted_at"):
                continue
            try:
                found.append(bar_in(item))
            except Newer:
                raise
            except RollbackError as error:
                if not readable:
                    raise self.forged(error.what.rstrip(".")) from error
                self.notice(f"Skipped in the ledger: {error.what}")
        return found

    def _unproved(self, lifted: Mapping[str, Item]) -> set[str]:
        """The names of those that no entry has lifted.

        An item has the number of that entry, so that this needs one read per such entry, however
        old; items of earlier versions have no number: then the timeline is read back.
        """
        entries: dict[int, Entry | None] = {}

        def tells(name: str, item: Item) -> bool:
            seq = item.get("lifted_seq")
            if not isinstance(seq, int):
                return False
            if seq not in entries:
                entries[seq] = self._entry(seq)
            entry = entries[seq]
            return entry is not None and name in entry.lifts and entry.at == item["lifted_at"]

        rest = {(name, str(item["lifted_at"])) for name, item in lifted.items() if not tells(name, item)}
        back = self.readable() if rest else iter(())
        while rest and (entry := next(back, None)) is not None:
            rest -= {(name, entry.at) for name in entry.lifts}
        return {name for name, _ in rest}

    def _entry(self, seq: int) -> Entry | None:
        """The entry with a number; None if there is none, or it cannot be read."""
        item = self.table.get(f"RELEASE#{self.environment}", f"SEQ#{seq:010d}")
        try:
            entry = None if item is None else model(Entry, item)
        except Newer:
            raise
        except RollbackError:
            return None
        return entry if item is not None and entry is not None and in_place(item, entry) else None


def key_number(item: Item) -> int:
    """The number in the key of a timeline's item; 0 without one."""
    digits = str(item["SK"]).removeprefix("SEQ#")
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def in_place(item: Item, entry: Entry) -> bool:
    """Whether a timeline's item has its entry's key."""
    return key_number(item) == entry.seq
