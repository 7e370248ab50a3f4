"""The scenarios by their names. A new one is a file, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rollback.drill.scenario import DrillContext, Scenario
from rollback.drill.scenarios import code, configuration, full, infrastructure, table
from rollback.model.drill import CODE, CONFIGURATION, FULL, INFRASTRUCTURE, TABLE


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredScenario:
    """A scenario: what makes it, what can get in its way (the first is its own), and of which kinds its rollbacks
    are, whose approval counts.
    """

    make: Callable[..., Scenario]
    faults: tuple[str, ...]
    kinds: tuple[str, ...]

    def on(self, stage: DrillContext) -> Scenario:
        return self.make(stage=stage)


KNOWN = {
    CODE: RegisteredScenario(make=code.CodeScenario, faults=code.FAULTS, kinds=("aliases",)),
    CONFIGURATION: RegisteredScenario(
        make=configuration.ConfigurationScenario, faults=code.FAULTS, kinds=("aliases",)
    ),
    INFRASTRUCTURE: RegisteredScenario(
        make=infrastructure.InfrastructureScenario, faults=infrastructure.FAULTS, kinds=("stack",)
    ),
    FULL: RegisteredScenario(make=full.FullScenario, faults=full.FAULTS, kinds=("full",)),
    TABLE: RegisteredScenario(make=table.TableScenario, faults=table.FAULTS, kinds=("table", "cutover")),
}
