"""Rehearsed rollbacks: something is made bad on purpose, rolled back and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollback.actions import drill_store
from rollback.drill import runner
from rollback.drill.roles import Roles
from rollback.model import drill as drills
from rollback.model.drill import Drill, ScenarioSummary

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True)
class Drills:
    """Drills of one environment; outside production, but for those that only read."""

    environment: Environment

    def table(self) -> tuple[ScenarioSummary, ...]:
        """The latest drills, a line a scenario, against the environment's budgets."""
        acting = Roles(read_only=True).take
        with self.environment.operation(reading=True, acting=acting) as session:
            return tuple(drills.table(session.settings, drill_store.drills(session.ledger)))

    def run(
        self,
        scenario: str = "all",
        *,
        fault: str = "",
        services: Sequence[str] = (),
        table: str = "",
        read_only: bool = False,
        approver_profile: str = "",
        patience: float = 0.0,
    ) -> tuple[Drill, ...]:
        """Drills one scenario, some (`code,full`) or all that the environment has, under the drill role; those that were
        drilled.

        `fault` is what gets in the way (`none`, `failing`, `throttled`, `killed`), the scenario's own by default.
        `read_only` only plans, and sees that what is deployed answers. `approver_profile` is the AWS profile of another
        person, or `patience` the seconds to wait for them. Raises `Refused` where no drill may run, `RollbackError`
        where what was deployed before could not be restored. One that did not pass has another status than `PASSED`.
        """
        env = self.environment
        roles = Roles(read_only=read_only, approver=approver_profile)
        with env.operation(first=True, acting=roles.take) as session:
            request = runner.DrillRequest(
                scenarios=drills.scenarios(scenario, session.settings),
                fault=fault,
                services=tuple(services),
                table=table,
                read_only=read_only,
                patience=patience,
            )
            ready = runner.DrillRunner(
                session=session, roles=roles, ui=env.reporter, stop=env.stop, request=request
            )
            return tuple(ready.run())


def judged(done: Sequence[Drill]) -> None:
    """Raises `RollbackError` where a drill did not pass."""
    runner.judged(list(done))
