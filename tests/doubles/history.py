"""moto's DynamoDB with a past: what a table held at each time that a test has kept.

    with History("people") as history:
        history.keep(NOON)
        ...
        # RestoreTableToPointInTime now gives what was there at the time that it is asked for.

moto itself copies the present, whatever time is asked for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self
from unittest import mock

from moto.core.responses import ActionResult
from moto.dynamodb import dynamodb_backends
from moto.dynamodb.responses import DynamoHandler


@dataclass
class History:
    """Of one table of one account. The window is that of a real table; `restored` is what was asked for."""

    table: str
    now: Callable[[], datetime]
    account: str = "123456789012"
    region: str = "eu-west-1"
    days: int = 35
    restored: list[datetime] = field(default_factory=list)
    _kept: list[tuple[datetime, Any]] = field(default_factory=list)

    def keep(self, at: datetime) -> None:
        """What the table holds now is what it held at `at`."""
        self._kept.append((at, copy.deepcopy(self._table(self.table).items)))

    def __enter__(self) -> Self:
        restore, describe = (
            DynamoHandler.restore_table_to_point_in_time,
            DynamoHandler.describe_continuous_backups,
        )

        def restored(handler: DynamoHandler) -> Any:
            at = handler.body["RestoreDateTime"].replace(tzinfo=UTC)
            result = restore(handler)
            self.restored.append(at)
            made = self._table(handler.body["TargetTableName"])
            past = [items for when, items in self._kept if when <= at]
            made.items = copy.deepcopy(past[-1]) if past else type(made.items)(dict)
            made.restore_date_time = at.timestamp()
            return result

        def described(handler: DynamoHandler) -> Any:
            result = ActionResult(copy.deepcopy(describe(handler).result))
            recovery = result.result["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
            if recovery["PointInTimeRecoveryStatus"] == "ENABLED":
                now = self.now()
                recovery["EarliestRestorableDateTime"] = now - timedelta(days=self.days)
                recovery["LatestRestorableDateTime"] = now - timedelta(minutes=5)
            return result

        self._patches = [
            mock.patch.object(DynamoHandler, "restore_table_to_point_in_time", restored),
            mock.patch.object(DynamoHandler, "describe_continuous_backups", described),
        ]
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for patch in self._patches:
            patch.stop()

    def _table(self, name: str) -> Any:
        return dynamodb_backends[self.account][self.region].tables[name]
