"""The scenario `configuration`: a bad configuration of all functions of a service, and `rollback lambda`."""

from __future__ import annotations

from dataclasses import dataclass

from rollback.model.drill import Drill
from rollback.rehearsal.scenario import StateBefore
from rollback.rehearsal.scenarios.code import CodeScenario


@dataclass(frozen=True, kw_only=True)
class ConfigurationScenario(CodeScenario):
    """The scenario `configuration`: a published version has its configuration, so the rollback is the same."""

    def make_bad(self, drill: Drill, before: StateBefore) -> None:
        self.functions.bad_configuration(drill, before)
