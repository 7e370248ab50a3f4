"""The scenarios by their names. A new one is a file, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rollback.drill.scenario import Scenario, Stage
from rollback.drill.scenarios import code, configuration, full, infrastructure, table
from rollback.model.drill import CODE, CONFIGURATION, FULL, INFRASTRUCTURE, TABLE


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A scenario: what makes it, what can get in its way (the first is its own), and of which kinds its rollbacks
    are, whose approval counts.
    """

    make: Callable[..., Scenario]
    faults: tuple[str, ...]
    kinds: tuple[str, ...]

    def on(self, stage: Stage) -> Scenario:
        return self.make(stage=stage)


KNOWN = {
    CODE: Known(make=code.Code, faults=code.FAULTS, kinds=("aliases",)),
    CONFIGURATION: Known(make=configuration.Configuration, faults=code.FAULTS, kinds=("aliases",)),
    INFRASTRUCTURE: Known(make=infrastructure.Infrastructure, faults=infrastructure.FAULTS, kinds=("stack",)),
    FULL: Known(make=full.Full, faults=full.FAULTS, kinds=("full",)),
    TABLE: Known(make=table.Table, faults=table.FAULTS, kinds=("table", "cutover")),
}
