"""The scenarios by their names. A new one is a file, and a line here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from rollback.drill.scenario import DrillContext, Scenario
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

_OF_FUNCTIONS = (FAILING, NONE, THROTTLED, KILLED)


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredScenario:
    """A scenario: the class in the module of its name that makes it, what can get in its way (the first is its own),
    and of which kinds its rollbacks are, whose approval counts.
    """

    module: str
    name: str
    faults: tuple[str, ...]
    kinds: tuple[str, ...]

    def on(self, stage: DrillContext) -> Scenario:
        """The scenario. Imported when asked for: some of them import what comes with an extra."""
        module = import_module(f"rollback.drill.scenarios.{self.module}")
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
