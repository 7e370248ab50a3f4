"""The scenario `configuration`: a bad configuration of all functions of a service, and `rollback lambda`."""

from __future__ import annotations

from dataclasses import dataclass

from rollback.drill.scenario import Stood
from rollback.drill.scenarios.code import Code
from rollback.model.drill import Drill


@dataclass(frozen=True, kw_only=True)
class Configuration(Code):
    """The scenario `configuration`: a published version has its configuration, so the way back is the same."""

    def make_bad(self, drill: Drill, stood: Stood) -> None:
        self.functions.bad_configuration(drill, stood)
