"""A record's journal in memory, for a target alone."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from rollback.ledger.lease import LeaseLost
from rollback.model.events import Failed, FailedStep, Happened, stored, typed
from rollback.model.identity import Actor
from rollback.model.record import Event
from rollback.targets.base import Failure

BY = Actor(role="acme-dev-rollback-role", person="alice")


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

    def append(self, data: Happened) -> None:
        self.check()
        number = len(self.events) + 1
        event = Event(number=number, kind=data.kind, at="", by=BY, data=stored(data), previous="", hash="")
        assert typed(event, type(data)) == data, "what a later process reads is not what was written"
        self.events.append(event)

    def check(self) -> None:
        if self.lost.is_set():
            raise LeaseLost("another process has taken it")

    def stopping(self) -> bool:
        return self.stop.is_set()

    def progress(self, done: int) -> None: ...

    def failed(self, failures: tuple[Failure, ...]) -> None:
        """As the flow does it between an execution and an undo."""
        steps = (
            FailedStep(subject=one.subject, reason=one.reason, foreign=one.foreign, refused=one.refused)
            for one in failures
        )
        self.append(Failed(failures=tuple(steps)))

    def next_holder(self) -> Memory:
        """The journal as the next holder of the lease has it; this one is lost from now on."""
        self.lost.set()
        return Memory(record=self.record, fence=self.fence + 1, taken_over=True, events=list(self.events))

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]
