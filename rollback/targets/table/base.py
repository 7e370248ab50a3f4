"""What the targets `table` and `cutover` share: the acting role, the locks, and planning again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from rollback.aws import assume_role
from rollback.aws.assume_role import Clients
from rollback.config.naming import RESTORE
from rollback.ledger.lease import LeaseLost
from rollback.model.deployed import Deployed
from rollback.model.events import Reverting, has
from rollback.model.plan import Plan, Refusal
from rollback.model.record import Event
from rollback.model.request import CutoverRequest, TableRequest
from rollback.targets.base import Context, Journal, Outcome
from rollback.targets.progress import counts
from rollback.targets.table import steps
from rollback.targets.table.steps import Doing, Tables, TableStep
from rollback.util.errors import RollbackError


class TableTarget:
    """A target of a table. `clients` returns the restore role's clients; without it the role is assumed when needed."""

    verb = "table"
    step = TableStep

    def __init__(
        self,
        context: Context,
        *,
        clients: Clients | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._account = context.account
        self._ledger = context.ledger
        self._settings = context.account.settings
        self._given = clients
        self._now = now
        self._sleep = sleep

    @cached_property
    def _tables(self) -> Tables:
        clients = self._given or assume_role.clients(self._account, RESTORE)
        return Tables(clients=clients, settings=self._settings)

    @property
    def minutes(self) -> int:
        return self._settings.rto.table

    def domains(self, request: TableRequest | CutoverRequest) -> tuple[str, ...]:
        return (steps.domain(request.table),)

    def plan(self, request: Any) -> Plan[TableStep]:
        raise NotImplementedError

    def _run(self, plan: Plan[TableStep], journal: Journal, doing: Doing) -> Outcome:
        """Executes the steps in order. A step done after the lease was lost is undone, if the record is being
        undone.

        Tables have no fencing: a process that was paused right before a call makes the call when it wakes
        up, if the state is what it expects. It detects the lost lease at its next journal entry.
        """
        try:
            return steps.run(plan, journal, doing)
        except LeaseLost as lost:
            events = self._ledger.load(journal.rollback_id).events
            if has(events, Reverting):
                for take_back in self._late:
                    try:
                        take_back()
                    except RollbackError as error:
                        lost.changed += f" What was done after that could not be undone: {error.what}"
            raise

    @cached_property
    def _late(self) -> list[Callable[[], object]]:
        """Functions that undo what was done and is not journalled yet."""
        return []

    def again(self, plan: Plan[TableStep], rollback_id: str) -> Plan[TableStep]:  # noqa: ARG002 - the Protocol's
        return self.plan(plan.request)

    def refusals(self, plan: Plan[TableStep]) -> Sequence[Refusal]:
        return plan.refusals

    def keep(self, plan: Plan[TableStep], rollback_id: str) -> None:
        """Does nothing: the plan has everything, and a cutover's loss report is already stored."""

    def forget(
        self, plan: Plan[TableStep], rollback_id: str, events: Sequence[Event], *, ended: bool
    ) -> None:
        """Does nothing: people may still need a loss report."""

    def publish(
        self, plan: Plan[TableStep], deployed: Mapping[str, Deployed], events: Sequence[Event]
    ) -> None:
        """Does nothing: a restore does not change what callers use, and a cutover's steps write its parameter."""

    def counts(self, plan: Plan[TableStep], events: Sequence[Event]) -> Mapping[str, int]:
        return counts(steps.outcomes(plan, events))

    def outcomes(self, plan: Plan[TableStep], events: Sequence[Event]) -> Sequence[Mapping[str, Any]]:
        """See `steps.outcomes`."""
        return steps.outcomes(plan, events)
