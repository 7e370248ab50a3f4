"""Whether the ledger is available, and whether its table has lost entries (is empty, or an older copy).

A table restored to a point in time has lost its newest entries, and a new one has none: "previous"
would be computed from incomplete data. The archive has the newest entries. So the first time that
a session reads the timeline's head, one call looks for a later entry in the archive, which counts if its chain is valid.
Without an archive, or if it is not available, nothing is reported or refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws import point_in_time
from rollback.ledger.audit_bucket import Archive, NotDeclared
from rollback.ledger.repository import Ledger
from rollback.ledger.schema import Newer
from rollback.ledger.store import Unanswered
from rollback.model.advice import without_ledger
from rollback.model.record import SCHEMA
from rollback.model.release import Entry
from rollback.model.situation import State
from rollback.util.errors import Code, Refused, RollbackError
from rollback.util.times import shown_time

LOST = (
    "A restored table has no point-in-time recovery, deletion protection and tags until `pulumi up` of the foundation "
    "restores them."
)


class LostEntries(Refused):
    """The table's timeline ends before the archive's: restored to a point in time, or new and empty."""

    code_default = Code.LEDGER_LOST_ENTRIES


@dataclass(kw_only=True)
class LedgerWatch:
    """Checks once a session, when the timeline's head is first read, that the table has not lost entries.

    `strict` is for verbs that depend on the timeline: they are refused. For others the finding is in `notices`, and
    the table is `behind`. `unreadable` is why the archive could not be read.
    `again` reads the head again: between two reads another command may have written to both.
    """

    archive: Archive | None
    environment: str
    table: str
    again: Callable[[], Entry | None]
    strict: bool = True
    notices: list[str] = field(default_factory=list)
    behind: bool = False
    unreadable: str = ""
    _looked: bool = False

    @classmethod
    def over(cls, ledger: Ledger) -> LedgerWatch:
        """A watch that `ledger` calls whenever its timeline is read."""
        watch = cls(
            archive=ledger.archive,
            environment=ledger.environment,
            table=ledger.table.name,
            again=ledger.newest,
        )
        ledger.watch = watch.look
        return watch

    def look_at_the_head(self) -> None:
        """Reads the head, for verbs that may not read it, or too late. A malformed head is
        reported by them.
        """
        try:
            newest = self.again()
        except (Unanswered, Newer):
            raise
        except RollbackError:
            self._looked = True
        else:
            self.look(newest)

    def look(self, newest: Entry | None) -> None:
        """If `strict`, raises `LostEntries` where the archive has later entries than `newest`."""
        if self._looked:
            return
        self._looked = True
        if newest is not None and newest.schema < SCHEMA:
            self.notices.append(
                f"{self.table} was written by an older version of this command (schema {newest.schema}, now "
                f"{SCHEMA}). It was not changed and can be used; its chain is verified from here on "
                "only."
            )
        kept = self._beyond(newest)
        if kept is None:
            return
        newest = self.again()
        if newest is not None and newest.seq >= kept:
            return
        error = lost(self.environment, self.table, newest, kept)
        if self.strict:
            raise error
        self.behind = True
        self.notices.append(f"{error.notice} `rollback ledger mend` restores the entries.")

    def _beyond(self, newest: Entry | None) -> int | None:
        """The number of a later entry in the archive; None if there is none or it is unknown."""
        if self.archive is None:
            return None
        try:
            return next((entry.seq for entry in self.archive.beyond(newest)), None)
        except NotDeclared:
            return None
        except RollbackError as error:
            self.unreadable = error.what
            return None


def lost(environment: str, table: str, newest: Entry | None, kept: int) -> LostEntries:
    """The error for a table whose timeline ends with `newest` although the archive has entry `kept`. Pure."""
    what = (
        f"{table} is new and empty, but the archive has entries of its timeline."
        if newest is None
        else f"{table} ends with entry {newest.seq} of {shown_time(newest.at)}, but the archive has entry {kept}: the table "
        "was restored to a point in time and has lost its newest entries."
    )
    return LostEntries(
        f"{what} Its releases, quarantines and leases are out of date. {LOST}",
        changed="Nothing was changed.",
        next=without_ledger(State.LEDGER_BEHIND, environment).next,
    )


@dataclass(frozen=True, kw_only=True)
class LedgerHealth:
    """Whether the ledger can be used; `why` is the reason if not."""

    why: str = ""

    @property
    def usable(self) -> bool:
        return not self.why


def ask(timeline: Callable[[], Any]) -> LedgerHealth:
    """Reads the head of the ledger's timeline. Raises `RollbackError` where that is denied."""
    try:
        timeline().newest  # noqa: B018 - reads it
    except (Unanswered, LostEntries) as error:
        return LedgerHealth(why=error.what)
    except RollbackError as error:
        if isinstance(error.__cause__, ClientError):
            raise  # for example denied: that does not mean that it is unavailable
        return LedgerHealth()
    return LedgerHealth()


def protections(client: Any, table: str) -> list[str]:
    """The declared protections that a table lacks; empty if it cannot be read."""
    try:
        described = client.describe_table(TableName=table)["Table"]
        recovers = point_in_time.read(client, table).on
    except (ClientError, RollbackError):
        return []
    missing = {
        "deletion protection": described.get("DeletionProtectionEnabled", False),
        "point-in-time recovery": recovers,
        "the index GSI1": any(i["IndexName"] == "GSI1" for i in described.get("GlobalSecondaryIndexes", [])),
    }
    return [name for name, there in missing.items() if not there]
