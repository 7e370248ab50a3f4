"""What every kind of target offers to the flow, and what the flow offers to it.

The flow alone knows the order, the lease, approval and the record; a target alone knows its service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rollback.plan import Plan, Refusal, Request
from rollback.records import Check, Event


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A step that did not go: what, and why.

    `foreign` means that somebody else changed it meanwhile; `refused` that the service said no, so that
    nothing of it was done. With neither it may have been done, and only the answer got lost.
    """

    subject: str
    reason: str
    foreign: bool = False
    refused: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How far an execution or an undo came. It went through where there is no failure and no stop."""

    failures: tuple[Failure, ...] = ()
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        return not self.failures and not self.interrupted


class Journal(Protocol):
    """A record's journal while its lease is held."""

    @property
    def events(self) -> Sequence[Event]:
        """All events so far, those of earlier processes included."""

    @property
    def tag(self) -> str:
        """Names the record and this holder of its lease; no other holder ever has the same."""

    @property
    def taken_over(self) -> bool:
        """Whether an earlier process may still be about to do what the plan says."""

    def append(self, kind: str, data: Mapping[str, Any]) -> None:
        """Writes an event. Raises `LeaseLost` where the lease is no longer ours. Takes any thread."""

    def check(self) -> None:
        """Raises `LeaseLost` where the lease is no longer ours."""

    def stopping(self) -> bool:
        """Whether a person has asked to stop: begin nothing new."""

    def progress(self, done: int) -> None:
        """Tells how many steps are through."""


class Target(Protocol):
    """One kind of thing that can be put back."""

    kind: str
    domain: str
    step: type[Any]

    def plan(self, request: Request) -> Plan[Any]:
        """What would be done. Reads only."""

    def refusals(self, plan: Plan[Any]) -> Sequence[Refusal]:
        """What speaks against the plan. Pure."""

    def execute(self, plan: Plan[Any], journal: Journal) -> Outcome:
        """Does what the plan says, skipping what the journal says is done."""

    def undo(self, plan: Plan[Any], journal: Journal) -> Outcome:
        """Back to where the plan began."""

    def verify(self, plan: Plan[Any]) -> Sequence[Check]:
        """Whether everything stands at the plan. Reads only."""

    def publish(self, plan: Plan[Any], *, undone: bool) -> None:
        """Writes where others look it up what is deployed now."""

    def counts(self, plan: Plan[Any], events: Sequence[Event]) -> Mapping[str, int]:
        """planned, moved, confirmed, failed and reverted steps. Pure."""

    def outcomes(self, plan: Plan[Any], events: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
        """One mapping a step for the record's JSON: name, from, to, outcome. Pure."""
