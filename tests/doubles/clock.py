"""Time that a test moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rollback.model.record import now_iso

BEGAN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def nothing(seconds: float) -> None:
    """What happens while somebody sleeps: nothing."""


@dataclass
class Clock:
    """A monotonic clock and the wall's, both moved by `sleep`. `meanwhile` happens during a sleep."""

    seconds: float = 0.0
    meanwhile: Callable[[float], None] = field(default=nothing)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.meanwhile(seconds)

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.seconds)

    def iso(self) -> str:
        return now_iso(self.now())
