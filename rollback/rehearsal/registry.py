"""The scenarios by name. A new one is a module, and a line here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from rollback.model.drill import (
    AUTOMATIC,
    CODE,
    CONFIGURATION,
    FAILING,
    FULL,
    INFRASTRUCTURE,
    KILLED,
    NONE,
    TABLE,
    THROTTLED,
)
from rollback.rehearsal.scenario import DrillContext, Scenario

_OF_FUNCTIONS = (FAILING, NONE, THROTTLED, KILLED)


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredScenario:
    """A scenario: its class in the module of its name, its possible faults (the first is the default),
    and the kinds of its rollbacks, which decide about approvals.
    """

    module: str
    name: str
    faults: tuple[str, ...]
    kinds: tuple[str, ...]

    def on(self, stage: DrillContext) -> Scenario:
        """Makes the scenario. Imported on demand, because some need optional packages."""
        module = import_module(f"rollback.rehearsal.scenarios.{self.module}")
        made: Scenario = getattr(module, self.name)(stage=stage)
        return made


KNOWN = {
    CODE: RegisteredScenario(module="code", name="CodeScenario", faults=_OF_FUNCTIONS, kinds=("aliases",)),
    CONFIGURATION: RegisteredScenario(
        module="configuration", name="ConfigurationScenario", faults=_OF_FUNCTIONS, kinds=("aliases",)
    ),
    INFRASTRUCTURE: RegisteredScenario(
        module="infrastructure", name="InfrastructureScenario", faults=(NONE, KILLED), kinds=("stack",)
    ),
    FULL: RegisteredScenario(module="full", name="FullScenario", faults=_OF_FUNCTIONS, kinds=("full",)),
    TABLE: RegisteredScenario(
        module="table", name="TableScenario", faults=(NONE, KILLED), kinds=("table", "cutover")
    ),
    AUTOMATIC: RegisteredScenario(
        module="automatic", name="AutomaticScenario", faults=(FAILING,), kinds=("aliases",)
    ),
}
