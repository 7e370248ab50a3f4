"""What operations return: plans, and results of rollbacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollback.model import plan as plans
from rollback.model.command_line import ways_past
from rollback.model.messages import refuse
from rollback.model.plan import Refusal
from rollback.model.record import Event, Record
from rollback.model.situation import RecordSeen
from rollback.util.errors import AwaitingApproval

NOTHING_TO_DO = "NOTHING_TO_DO"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a rollback would do. Passing it to `roll_back` confirms it: exactly this is done, or nothing.

    `details` is the whole plan (`rollback.model.plan.Plan`). `refusals` are the reasons against it: each has a
    `subject`, a `reason` and a `remedy`, which is what to type, or "". A plan with refusals is never applied.
    """

    details: plans.Plan[Any]
    refusals: tuple[Refusal, ...] = ()

    @property
    def changes(self) -> tuple[Any, ...]:
        """The steps that change something, of the kind's own type, each with a `subject`: a function, a URN, a
        Terraform address, or a step of a table rollback.
        """
        return self.details.changing

    @property
    def digest(self) -> str:
        """64 hexadecimal digits over everything that would be done, and on which state."""
        return self.details.digest()

    @property
    def kind(self) -> str:
        return self.details.kind

    @property
    def environment(self) -> str:
        return self.details.environment

    @property
    def from_version(self) -> str:
        """What is deployed: a release, or a commit's first 12 digits; "" if unknown."""
        return self.details.from_version

    @property
    def to_version(self) -> str:
        """What the rollback goes to, in the same form."""
        return self.details.to_version

    @property
    def notices(self) -> tuple[str, ...]:
        """Warnings to read before it is applied, one sentence each."""
        return self.details.notices

    def check(self) -> None:
        """Raises `Refused` (`PLAN_REFUSED`) with all refusals, if there are any."""
        plan = self.details
        refuse(self.refusals, ways_past(self.refusals, plan.request, plan.environment))


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The result of a rollback that ended, or that waits for a person.

    `record` is None if there was nothing to do. `seen` is the record with what decides which commands it allows.
    `events` is its journal so far, `outcomes` one mapping for each step (`name`, `from`, `to`, `outcome`; of `prune`
    `planned`, `deleted` and `kept`). `waiting` is set if a person has to approve or to confirm: it says who, and
    what to type. `next` is what to type next, one command per item. `journal` is an emergency's file.
    """

    plan: Plan | None
    seen: RecordSeen | None = None
    events: tuple[Event, ...] = ()
    outcomes: tuple[Mapping[str, Any], ...] = ()
    waiting: AwaitingApproval | None = None
    next: tuple[str, ...] = ()
    journal: Path | None = None

    @property
    def record(self) -> Record | None:
        return self.seen.record if self.seen is not None else None

    @property
    def status(self) -> str:
        """The record's status, `AWAITING_CONFIRMATION` if the same person has to confirm it, or `NOTHING_TO_DO`."""
        return self.seen.status if self.seen is not None else NOTHING_TO_DO

    @property
    def rollback_id(self) -> str:
        """The id for `show`, `approve`, `apply`, `resume` and `abort`; "" if there is no record."""
        return self.seen.record.rollback_id if self.seen is not None else ""
