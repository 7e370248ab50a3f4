"""A record's journal in memory, for a target alone."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rollback.core.canonical import plain
from rollback.ledger.lease import LeaseLost
from rollback.model.identity import Who
from rollback.model.record import Event
from rollback.targets.base import Failure

BY = Who(role="acme-dev-rollback-role", person="alice")


@dataclass
class Memory:
    """`lost` and `stop` are set when the lease is lost, or a person asks to stop."""

    record: str = "R1"
    fence: int = 1
    taken_over: bool = False
    events: list[Event] = field(default_factory=list)
    lost: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def rollback_id(self) -> str:
        return self.record

    @property
    def tag(self) -> str:
        return f"rollback/{self.record}/{self.fence}"

    def append(self, kind: str, data: Mapping[str, Any]) -> None:
        self.check()
        number = len(self.events) + 1
        self.events.append(
            Event(number=number, kind=kind, at="", by=BY, data=plain(data), previous="", hash="")
        )

    def check(self) -> None:
        if self.lost.is_set():
            raise LeaseLost("somebody else has taken it")

    def stopping(self) -> bool:
        return self.stop.is_set()

    def progress(self, done: int) -> None: ...

    def failed(self, failures: tuple[Failure, ...]) -> None:
        """As the flow does it between an execution and an undo."""
        self.append("failed", {"failures": failures})

    def next_holder(self) -> Memory:
        """The journal as the next holder of the lease has it; this one is lost from now on."""
        self.lost.set()
        return Memory(record=self.record, fence=self.fence + 1, taken_over=True, events=list(self.events))

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]
