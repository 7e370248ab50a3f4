"""The Protocol that every kind of target implements, and the journal and context that it gets. Start here for
a new kind.

Only the lifecycle knows the order, the lease, approval and the record; only a target knows its service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rollback.core.clocks import Clocks
from rollback.model.deployed import Deployed
from rollback.model.events import Happened
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.record import Check, Event

if TYPE_CHECKING:
    from rollback.aws.account import Account
    from rollback.ledger.repository import Ledger


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a target is made from. `root` is the checkout whose settings count.

    What a target keeps from `plan` for `execute` (a worktree, an update plan) it gives to `closing`,
    which the session ends, however the verb does. `confirm_dead` is the `HOST:PID` that a person says is dead.
    `working` frames what takes long, by its name.
    """

    account: Account
    ledger: Ledger
    root: Path
    clocks: Clocks
    closing: ExitStack = field(default_factory=ExitStack)
    confirm_dead: str = ""
    working: Callable[[str], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A step that failed: which, and why.

    `foreign` means that somebody else changed it meanwhile; `refused` that the service refused it, so that
    nothing of it was done. With neither it may have been done, and only the answer got lost. `part` is the
    one of the plan's subjects whose deployed version is then unknown.
    """

    subject: str
    reason: str
    foreign: bool = False
    refused: bool = False
    part: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How far an execution or an undo came. It went through where there is no failure and no stop.

    `revert` asks the lifecycle to revert at once what was done. `again` says that what is left is more than
    was approved, and needs a plan of its own. `done` names the plan's subjects that are at the target version
    although others are not. `not_undone` says what an undo had to leave as it was done: nothing reverts it.
    """

    failures: tuple[Failure, ...] = ()
    interrupted: bool = False
    revert: bool = False
    anew: bool = False
    done: tuple[str, ...] = ()
    not_undone: str = ""

    @property
    def ok(self) -> bool:
        return not self.failures and not self.interrupted


class Written(Protocol):
    """The events of one record, while one process alone may write to it."""

    @property
    def events(self) -> Sequence[Event]:
        """All events so far, those of earlier processes included."""

    @property
    def tag(self) -> str:
        """Names the record and this holder of it; no other holder ever has the same."""

    @property
    def taken_over(self) -> bool:
        """Whether an earlier process may still be about to do what the plan says."""

    def check(self) -> None:
        """Raises `LeaseLost` where another process has taken over."""


class Journal(Written, Protocol):
    """A record's journal, as a target writes to it."""

    @property
    def rollback_id(self) -> str:
        """The record's."""

    def append(self, data: Happened) -> None:
        """Writes an event, e.g. `Found(function=name, version="7", …)`. May be called from any thread. Raises
        `LeaseLost` where the lease is no longer ours.
        """

    def stopping(self) -> bool:
        """Whether a person has asked to stop: begin nothing new."""

    def progress(self, done: int) -> None:
        """Tells how many steps are through."""


class Target(Protocol):
    """One kind of thing that can be rolled back.

    `verb` is what a person types for it, `doing` what is shown while it works, `smoked` whether the smoke
    command is part of its verification.
    """

    kind: Kind
    verb: str
    doing: str
    smoked: bool
    step: type[Any]

    @property
    def minutes(self) -> int:
        """The RTO of this kind, from the settings."""

    def domains(self, request: Any) -> tuple[str, ...]:
        """What a rollback of this kind locks, in the order in which everybody takes them."""

    def plan(self, request: Any) -> Plan[Any]:
        """What would be done for a request of this kind (`rollback.model.request`). Reads only.

        Raises `UsageError` for what does not exist, `Refused` for what may not be done.
        """

    def again(self, plan: Plan[Any], rollback_id: str) -> Plan[Any]:
        """What would be done now, to be compared with what was approved under `rollback_id`. Reads only.

        Raises `Refused` where it is known that `plan` no longer holds.
        """

    def refusals(self, plan: Plan[Any]) -> Sequence[Refusal]:
        """What speaks against the plan. Pure."""

    def keep(self, plan: Plan[Any], rollback_id: str) -> None:
        """Stores what carrying out `plan` will need and what its record cannot hold."""

    def forget(self, plan: Plan[Any], rollback_id: str, events: Sequence[Event], *, ended: bool) -> None:
        """Removes of that what is no longer needed: all where the record has `ended` permanently."""

    def execute(self, plan: Plan[Any], journal: Journal) -> Outcome:
        """Does what the plan says, skipping what the journal says is done."""

    def undo(self, plan: Plan[Any], journal: Journal) -> Outcome:
        """Reverts to where the plan began."""

    def verify(self, plan: Plan[Any]) -> Sequence[Check]:
        """Checks that everything is at the target version. Reads only."""

    def publish(self, plan: Plan[Any], deployed: Mapping[str, Deployed], events: Sequence[Event]) -> None:
        """Updates the SSM parameter that holds the deployed version.

        `deployed` maps the plan's subjects to the version that each is at; `events` are what was done and is not
        recorded as ended yet, oldest first.
        """

    def counts(self, plan: Plan[Any], events: Sequence[Event]) -> Mapping[str, int]:
        """planned, moved, confirmed, failed and reverted steps. Pure."""

    def outcomes(self, plan: Plan[Any], events: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
        """One mapping a step for the record's JSON, at least `{"name", "from", "to", "outcome"}`, all text;
        `prune` has `planned`, `deleted` and `kept` instead. Pure.
        """
