"""The Protocol that every kind of target implements, and the journal and context that it receives. Start here for
a new kind.

Only the lifecycle knows order, lease, approval and record; only a target knows its service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rollback.model.deployed import Deployed
from rollback.model.events import Happened
from rollback.model.kind import Kind
from rollback.model.plan import Plan, Refusal
from rollback.model.record import Check, Event
from rollback.util.clocks import Clocks

if TYPE_CHECKING:
    from rollback.aws.account import Account
    from rollback.ledger.repository import Ledger


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a target is made from. `root` is the checkout with the settings.

    What a target keeps between `plan` and `execute` (a worktree, an update plan) it registers with `closing`,
    which the session always closes. `confirm_dead` is the `HOST:PID` that a person confirmed to be dead.
    `working` shows long work by its name.
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

    `foreign`: somebody else changed it in the meantime; `refused`: the service refused it, so that
    nothing was done. With neither it may have been done, and only the response was lost. `part` is the
    plan's subject whose deployed version is then unknown.
    """

    subject: str
    reason: str
    foreign: bool = False
    refused: bool = False
    part: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The result of an execution or an undo: complete if there is no failure and no stop.

    `revert` asks the lifecycle to revert at once. `again`: the remaining changes are more than
    was approved, and need a new plan. `done` names the plan's subjects that are at the target version
    although others are not. `not_undone` is a text about changes that cannot be undone.
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
    """The events of one record, to which only one process may write."""

    @property
    def events(self) -> Sequence[Event]:
        """All events so far, those of earlier processes included."""

    @property
    def tag(self) -> str:
        """A unique name of the record and this holder of its lease."""

    @property
    def taken_over(self) -> bool:
        """Whether an earlier process may still be executing the plan."""

    def check(self) -> None:
        """Raises `LeaseLost` where another process has taken over."""


class Journal(Written, Protocol):
    """A record's journal, as targets use it."""

    @property
    def rollback_id(self) -> str:
        """The record's id."""

    def append(self, data: Happened) -> None:
        """Writes an event, e.g. `Found(function=name, version="7", …)`. May be called from any thread. Raises
        `LeaseLost` where the lease is no longer ours.
        """

    def stopping(self) -> bool:
        """Whether to stop (Ctrl-C): nothing new must be started."""

    def progress(self, done: int) -> None:
        """Reports how many steps are done."""


class Target(Protocol):
    """One kind of thing that can be rolled back.

    `verb` is its command, `doing` the text shown while it works, `smoked` whether the smoke
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
        """The domains whose leases a rollback of this kind takes, in the order that everybody uses."""

    def plan(self, request: Any) -> Plan[Any]:
        """The plan for a request of this kind (`rollback.model.request`). Reads only.

        Raises `UsageError` for what does not exist, `Refused` for what is not allowed.
        """

    def again(self, plan: Plan[Any], rollback_id: str) -> Plan[Any]:
        """The plan made again, to be compared with the one approved under `rollback_id`. Reads only.

        Raises `Refused` where `plan` is known to be out of date.
        """

    def refusals(self, plan: Plan[Any]) -> Sequence[Refusal]:
        """The guards' refusals of the plan. Pure."""

    def keep(self, plan: Plan[Any], rollback_id: str) -> None:
        """Stores what the execution of `plan` needs and its record cannot contain."""

    def forget(self, plan: Plan[Any], rollback_id: str, events: Sequence[Event], *, ended: bool) -> None:
        """Removes what `keep` stored and is no longer needed: everything if the record has `ended`."""

    def execute(self, plan: Plan[Any], journal: Journal) -> Outcome:
        """Executes the plan, skipping what is done according to the journal."""

    def undo(self, plan: Plan[Any], journal: Journal) -> Outcome:
        """Reverts to the state before the plan."""

    def verify(self, plan: Plan[Any]) -> Sequence[Check]:
        """Checks that everything is at the target version. Reads only."""

    def publish(self, plan: Plan[Any], deployed: Mapping[str, Deployed], events: Sequence[Event]) -> None:
        """Updates the SSM parameter that holds the deployed version.

        `deployed` maps the plan's subjects to their deployed versions; `events` are of records that have not
        ended yet, oldest first.
        """

    def counts(self, plan: Plan[Any], events: Sequence[Event]) -> Mapping[str, int]:
        """The numbers of steps by the names in `COUNTS`. Pure."""

    def outcomes(self, plan: Plan[Any], events: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
        """One mapping per step for the record's JSON, at least `{"name", "from", "to", "outcome"}`, all text;
        `prune` has `planned`, `deleted` and `kept` instead. Pure.
        """
