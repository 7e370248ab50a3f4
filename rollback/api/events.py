"""What happens while an operation runs, as data: for a callback, an iterator, or a terminal.

    def heard(event: Event) -> None:
        match event:
            case Notice(text=text) | Alarm(text=text):
                print(text)
            case WorkBegan(what=what):
                print(f"{what} …")

    env = Environment.open("dev", on_event=heard)

An operation that rolls back begins with `PlanMade`; long work is between `WorkBegan` and `WorkEnded`, and may
contain further such pairs. Events arrive
in order, from the thread that called the operation or from one of its worker threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rollback.model.plan import Plan

# Python's own advice for libraries: https://docs.python.org/3/howto/logging.html#configuring-logging-for-a-library
_LOG = logging.getLogger("rollback")
_LOG.addHandler(logging.NullHandler())


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """The base class of all events."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanMade(Event):
    """A plan was made, or a recorded plan is resumed. `plan` is `rollback.model.plan.Plan`."""

    plan: Plan[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkBegan(Event):
    """Long work begins: what it is, and its number of steps, 0 if unknown."""

    what: str
    total: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkProgressed(Event):
    """So many of its steps are done."""

    done: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkEnded(Event):
    """It ended, successfully or not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting(Event):
    """The operation waits for something else: why, and for how many more seconds at most."""

    why: str
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice(Event):
    """A notice of one line."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Output(Event):
    """The output of a program that was run, e.g. the team's smoke command."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm(Event):
    """A warning that must not be overlooked."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerNotice(Event):
    """What is wrong with the ledger itself, at the end of an operation; `alarm`: it concerns the whole table."""

    text: str
    alarm: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reporter:
    """What operations report to (`rollback.lifecycle.ports.Ui`): each call becomes an event. `ask` answers questions.

    An error in a callback does not stop a rollback: it is logged (logger `rollback`), and the work continues.
    """

    on_event: Callable[[Event], object]
    ask: Callable[[str], bool | None]

    def emit(self, event: Event) -> None:
        """Passes an event to the callback."""
        try:
            self.on_event(event)
        except Exception:  # noqa: BLE001 - whatever it is
            _LOG.exception("A callback failed on %s", type(event).__name__)

    def planned(self, plan: Plan[Any]) -> None:
        self.emit(PlanMade(plan=plan))

    def notice(self, text: str) -> None:
        self.emit(Notice(text=text))

    def waiting(self, why: str, seconds: float) -> None:
        self.emit(Waiting(why=why, seconds=seconds))

    def start(self, what: str, total: int) -> None:
        self.emit(WorkBegan(what=what, total=total))

    def progress(self, done: int) -> None:
        self.emit(WorkProgressed(done=done))

    def finish(self) -> None:
        self.emit(WorkEnded())

    def output(self, text: str) -> None:
        self.emit(Output(text=text))

    def confirm(self, question: str) -> bool | None:
        return self.ask(question)
