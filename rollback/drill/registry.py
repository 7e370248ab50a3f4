"""The scenarios by their names. A sixth one is a file, and a line here."""

from __future__ import annotations

from collections.abc import Callable

from rollback.drill import code, configuration
from rollback.drill.record import CODE, CONFIGURATION
from rollback.drill.scenario import Scenario, Stage

_MADE: dict[str, tuple[Callable[..., Scenario], tuple[str, ...]]] = {
    CODE: (code.Code, code.FAULTS),
    CONFIGURATION: (configuration.Configuration, code.FAULTS),
}
# Of which kinds a scenario's rollbacks are, whose approval counts.
KINDS = {
    CODE: ("aliases",),
    CONFIGURATION: ("aliases",),
}


def make(scenario: str, stage: Stage) -> Scenario:
    """A scenario on its stage."""
    return _MADE[scenario][0](stage=stage)


def faults(scenario: str) -> tuple[str, ...]:
    """What can get in its way."""
    return _MADE[scenario][1]


def default_fault(scenario: str) -> str:
    """What does, where nothing else is asked for."""
    return faults(scenario)[0]
