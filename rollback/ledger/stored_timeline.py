"""The timeline as the table has it: read as it is, verified for what decides by it, or what of it is readable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rollback.core.errors import Code, Refused, RollbackError
from rollback.ledger.schema import QUARANTINE, REQUIREMENT, Bar, bar_in, check_client, model
from rollback.ledger.store import Item, LedgerTable
from rollback.model.record import SCHEMA
from rollback.model.release import Entry, entry_hash


@dataclass(kw_only=True)
class StoredTimeline:
    """The timeline's items of one environment. `notices` name what is stepped over."""

    table: LedgerTable
    environment: str
    notices: list[str] = field(default_factory=list)

    def entries(self) -> Iterator[Entry]:
        return (model(Entry, item) for item in self.items())

    def items(self) -> Iterator[Item]:
        """The timeline's items, newest first. Raises `Newer` where the ledger asks for a later client than this."""
        for item in self.table.query(f"RELEASE#{self.environment}", "SEQ#", newest_first=True, page=25):
            if item["SK"] == REQUIREMENT:
                check_client(item)
            else:
                yield item

    def verified(self) -> Iterator[Entry]:
        for item in self.items():
            entry = model(Entry, item)
            whole = entry.schema < SCHEMA or entry.hash == entry_hash(entry)
            if not whole or not in_place(item, entry):
                raise self.forged(f"{item['PK']} / {item['SK']}: it was changed")
            yield entry

    def readable(self, over: set[int] | None = None) -> Iterator[Entry]:
        """The entries; the numbers of what is stepped over go into `over`. What a newer command wrote is an error."""
        for item in self.items():
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
            self.notice(f"Stepped over in the ledger: {what}")
            if over is not None:
                over.add(key_number(item))

    def forged(self, what: str) -> Refused:
        return Refused(
            f"The ledger cannot be acted upon: {what}.",
            code=Code.LEDGER_DAMAGED,
            next=f"rollback audit --env {self.environment} names all that was changed.",
        )

    def notice(self, what: str) -> None:
        if what not in self.notices:
            self.notices.append(what)

    def not_lifted(self, items: Sequence[Item]) -> list[Bar]:
        """What still holds of items: `lifted_at` is believed where an entry of the timeline lifted it."""
        named = {str(item["SK"]).removeprefix(QUARANTINE): item for item in items}
        unproved = {(name, item["lifted_at"]) for name, item in named.items() if item.get("lifted_at")}
        entries = self.readable() if unproved else iter(())
        while unproved and (entry := next(entries, None)) is not None:
            unproved -= {(lifted, entry.at) for lifted in entry.lifts}
        for name, _ in sorted(unproved):
            self.notice(f"Nobody has lifted the quarantine of {name}: no entry of the timeline tells of it.")
            named[name] = {key: value for key, value in named[name].items() if key != "lifted_at"}
        return [quarantine for quarantine in map(bar_in, named.values()) if quarantine is not None]


def key_number(item: Item) -> int:
    """The number in the key of a timeline's item; 0 where there is none."""
    digits = str(item["SK"]).removeprefix("SEQ#")
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def in_place(item: Item, entry: Entry) -> bool:
    """Whether a timeline's item has the key of its entry."""
    return key_number(item) == entry.seq
