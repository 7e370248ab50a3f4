"""A table's point-in-time recovery: whether it is enabled, and its window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rollback.aws.account import explained

# The default of the service
# (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PointInTimeRecoverySpecification.html).
_DAYS = 35


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The earliest and the latest restorable time, None if recovery is disabled, and how many `days` it
    reaches back (0 if disabled).
    """

    earliest: datetime | None = None
    latest: datetime | None = None
    days: int = 0

    @property
    def on(self) -> bool:
        return self.days > 0


def read(client: Any, table: str) -> Window:
    """The recovery window of a table, from DescribeContinuousBackups. Raises `RollbackError` where it cannot be
    read.
    """
    with explained(f"reading the backups of {table}"):
        response = client.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    recovery = response.get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
        return Window()
    return Window(
        earliest=recovery.get("EarliestRestorableDateTime"),
        latest=recovery.get("LatestRestorableDateTime"),
        days=recovery.get("RecoveryPeriodInDays", _DAYS),
    )
