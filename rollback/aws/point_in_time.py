"""A table's point-in-time recovery: whether it is on, and which seconds it offers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rollback.aws.account import explained

# Where the service does not say otherwise
# (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PointInTimeRecoverySpecification.html).
_DAYS = 35


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The first and the last second that can be restored, None where recovery is off, and how many `days` it
    reaches back, then 0.
    """

    earliest: datetime | None = None
    latest: datetime | None = None
    days: int = 0

    @property
    def on(self) -> bool:
        return self.days > 0


def read(client: Any, table: str) -> Window:
    """The recovery window of a table, by DescribeContinuousBackups. Raises `RollbackError` where it cannot be
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
