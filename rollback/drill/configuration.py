"""A bad configuration of all functions of a service, and `rollback lambda`."""

from __future__ import annotations

from dataclasses import dataclass

from rollback.drill.code import Code
from rollback.drill.record import Drill
from rollback.drill.scenario import Stood


@dataclass(frozen=True, kw_only=True)
class Configuration(Code):
    """The scenario `configuration`: a published version has its configuration, so the way back is the same."""

    def make_bad(self, drill: Drill, stood: Stood) -> None:
        self.functions.bad_configuration(drill, stood)
