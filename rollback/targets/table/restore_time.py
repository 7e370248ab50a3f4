"""The time to restore a table to: parses what was typed, and checks it against the recovery window.
Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime

from rollback.aws.point_in_time import Window
from rollback.model.plan import Refusal
from rollback.util.errors import Code, UsageError
from rollback.util.times import ago, shown_time

RELEASE, RESTORED = "release:", "restored:"
HOW = (
    "--to TIME (2026-11-24T09:30:00Z), --to before:ROLLBACK_ID or --to release:V; "
    "--to restored:ROLLBACK_ID with --cutover"
)


def parsed(text: str) -> tuple[datetime, str]:
    """A time in UTC, in whole seconds, and a notice about its interpretation (may be empty).

    Fractions of a second are dropped, never rounded up. Raises `UsageError`
    for an invalid time.
    """
    try:
        time = datetime.fromisoformat(text)
        if "T" not in text.upper() and " " not in text:
            raise ValueError  # noqa: TRY301 - a date alone is no time of the day
    except ValueError:
        raise UsageError(f"{text[:80]!a} is not a valid time.", code=Code.OPTION_INVALID, next=HOW) from None
    notice = ""
    if time.tzinfo is None:
        time, notice = time.replace(tzinfo=UTC), f"{text} has no time zone; UTC is assumed."
    return time.astimezone(UTC).replace(microsecond=0), notice


def copy_name(table: str, time: datetime) -> str:
    """The restored table's name: the same for the same second, so that plans are reproducible."""
    return f"{table}-restore-{time:%Y%m%dt%H%M%S}"


def refusal(table: str, time: datetime, window: Window, now: datetime) -> Refusal | None:
    """Why `table` cannot be restored to `time`; None if it can."""
    if window.earliest is None or window.latest is None:
        return Refusal(
            subject=table,
            reason="point-in-time recovery is disabled, so it cannot be restored to any time",
            remedy="use a backup (aws dynamodb list-backups), and enable point-in-time recovery",
        )
    if time < window.earliest:
        return Refusal(
            subject=table,
            reason=f"{shown_time(time)} is before {shown_time(window.earliest)}, the earliest restorable time",
            remedy=f"--to {shown_time(window.earliest)} or later",
        )
    if time > window.latest:
        return Refusal(
            subject=table,
            reason=f"{shown_time(time)} is after {shown_time(window.latest)}, the latest restorable time "
            f"({ago((now - window.latest).total_seconds())})",
            remedy=f"--to {shown_time(window.latest)} or earlier, or wait",
        )
    return None


def compare_seconds(size_bytes: int, read_units: float) -> float:
    """The seconds to compare a table of this size with its copy, at a budget of read units per second.

    Both are read completely and consistently, one read unit per 4 KB ("DynamoDB read and write operations",
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html).
    """
    return 2 * -(-size_bytes // 4096) / read_units


def estimate(size_bytes: int, read_units: float) -> str:
    """The estimated duration, with its source."""
    seconds = compare_seconds(size_bytes, read_units)
    notice = f"{seconds / 60:,.0f} minutes" if seconds > 120 else f"{seconds:.0f} seconds"  # noqa: PLR2004 - minutes from two
    return (
        "The restore takes less than an hour in 95 of 100 cases, and depends more on partitions than on size "
        '(Developer Guide, "Backup and restore: how it works"); the comparison of '
        f"2 × {size_bytes / 2**20:,.1f} MB at {read_units:,.0f} read units per second takes about {notice}. "
        "DynamoDB updates the size about every six hours."
    )
