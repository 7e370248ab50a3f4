"""Repairs of a ledger after an emergency or a restore."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollback.emergency import importer, repair_ledger
from rollback.emergency.repair_ledger import Mended
from rollback.model import advice
from rollback.model.situation import RecordSeen

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedJournal:
    """An imported emergency: its record, with outcomes as in `Result`; `deployed` is what is deployed now.

    `new`: it was imported by this call, not before. `next` is what to type next.
    """

    seen: RecordSeen
    outcomes: tuple[Mapping[str, Any], ...]
    deployed: str
    new: bool
    next: str


@dataclass(frozen=True)
class LedgerUpkeep:
    """Repairs of the ledger."""

    environment: Environment

    def import_journal(self, file: Path, *, although_moved: bool = False) -> ImportedJournal:
        """Imports the journal of an emergency; a second import only reports the first.

        Raises `Refused` if the file was changed, is another environment's, or if the aliases are not as it says,
        unless `although_moved`.
        """
        env = self.environment
        with env.operation(first=True) as session:
            importing = importer.JournalImport(session=session, ui=env.reporter, stop=env.stop)
            adopted = importing.adopt(file, although_moved=although_moved)
            record = adopted.record
            return ImportedJournal(
                seen=session.seen(record),
                outcomes=tuple(session.target(record.kind).outcomes(adopted.plan, adopted.events)),
                deployed=adopted.deployed,
                new=adopted.new,
                next=advice.next_for(record),
            )

    def mend(self, reason: str) -> Mended:
        """Copies from the archive what a restored or new table has lost. Raises `Refused` if the archive does
        not continue the table's entries.
        """
        env = self.environment
        with env.operation() as session:
            return repair_ledger.mend(session, reason, env.reporter)
