"""How a time is shown to people, and in JSON: one format, in UTC and to the second. What is stored is never changed."""

from __future__ import annotations

from datetime import UTC, datetime

from rollback.util.sanitize import line


def shown_time(at: str | datetime) -> str:
    """`2026-11-24T21:05:16Z`, from a `datetime` or ISO 8601 with a time zone; other text as it is. Pure.

    Fractions of a second are dropped, never rounded up: a time until which something is valid stays within it.
    """
    try:
        moment = datetime.fromisoformat(at) if isinstance(at, str) else at
        if moment.tzinfo is None:
            return line(str(at))
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return line(str(at))
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def ago(seconds: float) -> str:
    """How long ago that many seconds are, beside a time or instead of one. Pure."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"
