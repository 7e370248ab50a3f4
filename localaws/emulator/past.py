"""Teaches the emulator the past of a table: it restores the present, and offers a window of one second.

Every write keeps what stood there before, with its time, and a restore undoes what came after its second. The
window reaches from when recovery was switched on (or this process began) until now; a table that is restored to
a time before it holds the present, as the emulator does it. Runs inside the emulator's process; imports nothing
of this project.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html
"""

from __future__ import annotations

import importlib
import json
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

# What a table remembers; a longer past would not be a test's.
_KEPT = 20_000
_OK = 200

# When, the key's two parts, and what stood there (None: nothing).
Change = tuple[float, str, str, Any]


class TableHistory:
    """The past of the tables, by their ARN and id: a table that was made again has none."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._began = clock, clock()
        self._changes: defaultdict[str, deque[Change]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._since: dict[str, float] = {}

    def switched_on(self, table: str) -> None:
        """Recovery is on from now, if it was not."""
        self._since.setdefault(table, self._clock())

    def changed(self, table: str, pk: str, sk: str, before: Any) -> None:
        self._changes[table].append((self._clock(), pk, sk, before))

    def earliest(self, table: str) -> float:
        """The first second that can be restored."""
        since = self._since.get(table, self._began)
        changes = self._changes.get(table, ())
        return max(since, changes[0][0] if changes and len(changes) == _KEPT else since)

    def undone(self, table: str, at: float) -> Iterable[Change]:
        """What came after the second `at`, newest first; nothing where that is before the window."""
        if at < int(self.earliest(table)):
            return []
        return [change for change in reversed(self._changes.get(table, ())) if change[0] > at]


def install() -> None:
    """Puts the functions of this module around the emulator's own.

    Raises AttributeError where a newer emulator has moved them.
    """
    tables: Any = importlib.import_module("ministack.services.dynamodb")
    past = TableHistory()
    _remember(tables, past)
    _offer(tables, past)


def _remember(tables: Any, past: TableHistory) -> None:
    put, remove = tables._set_item, tables._remove_item  # noqa: SLF001 - no other way in
    restore = tables._restore_table_to_point_in_time  # noqa: SLF001

    def set_item(table: Any, pk: str, sk: str, item: Any) -> Any:
        before = put(table, pk, sk, item)
        past.changed(_name(table), pk, sk, before)
        return before

    def remove_item(table: Any, pk: str, sk: str) -> Any:
        before = remove(table, pk, sk)
        if before is not None:
            past.changed(_name(table), pk, sk, before)
        return before

    def restored(data: Any) -> Any:
        answer, at = restore(data), data.get("RestoreDateTime")
        source = _named(tables, data, "SourceTableName")
        if answer[0] == _OK and at is not None and source is not None:
            made = tables._tables[data["TargetTableName"]]  # noqa: SLF001
            for _, pk, sk, before in past.undone(_name(source), float(at)):
                if before is None:
                    remove(made, pk, sk)
                else:
                    put(made, pk, sk, before)
        return answer

    tables._set_item, tables._remove_item = set_item, remove_item  # noqa: SLF001
    tables._restore_table_to_point_in_time = restored  # noqa: SLF001


def _offer(tables: Any, past: TableHistory) -> None:
    describe, update = tables._describe_continuous_backups, tables._update_continuous_backups  # noqa: SLF001 - as above

    def updated(data: Any) -> Any:
        answer = update(data)
        if answer[0] == _OK and data["PointInTimeRecoverySpecification"].get("PointInTimeRecoveryEnabled"):
            past.switched_on(_name(_named(tables, data, "TableName")))
        return answer

    def described(data: Any) -> Any:
        status, headers, body = describe(data)
        document = json.loads(body)
        description = document.get("ContinuousBackupsDescription", {}).get(
            "PointInTimeRecoveryDescription", {}
        )
        if "EarliestRestorableDateTime" in description:
            description["EarliestRestorableDateTime"] = int(
                past.earliest(_name(_named(tables, data, "TableName")))
            )
        return status, headers, json.dumps(document).encode()

    tables._describe_continuous_backups = described  # noqa: SLF001
    tables._update_continuous_backups = updated  # noqa: SLF001


def _named(tables: Any, data: Any, key: str) -> Any:
    return tables._tables.get(tables._normalize_table_name(data.get(key)))  # noqa: SLF001


def _name(table: Any) -> str:
    return f"{table['TableArn']} {table.get('TableId', '')}"
