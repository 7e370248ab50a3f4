"""Rehearsed rollbacks: a drill breaks something on purpose, rolls it back and measures how long that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollback.lifecycle import drill_store
from rollback.model import drill as drills
from rollback.model.drill import Drill, ScenarioSummary
from rollback.rehearsal import runner
from rollback.rehearsal.roles import Roles

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True)
class Drills:
    """Drills of one environment; in production only those that read."""

    environment: Environment

    def table(self) -> tuple[ScenarioSummary, ...]:
        """The latest drill of each scenario, compared with the environment's budgets."""
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
        """Drills one scenario, some (`code,full`) or all of the environment's, under the drill role. Returns the drills
        that ran.

        `fault` is the injected fault (`none`, `failing`, `throttled`, `killed`), by default the scenario's own.
        `read_only` only plans, and checks that what is deployed answers. `approver_profile` is the AWS profile of
        another person, or `patience` the seconds to wait for them. Raises `Refused` if no drill may run,
        `RollbackError` if what was deployed before could not be restored. A drill that failed has a status other than
        `PASSED`.
        """
        env = self.environment
        roles = Roles(read_only=read_only, approver=approver_profile, scenario=scenario)
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
    """Raises `RollbackError` if a drill failed."""
    runner.judged(list(done))
