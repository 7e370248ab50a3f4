"""The scenario `code`: bad code in all functions of a service, and `rollback lambda`."""

from __future__ import annotations

from dataclasses import dataclass

from rollback.config.naming import ROLLBACK
from rollback.model.drill import Drill
from rollback.rehearsal.lambda_faults import Functions
from rollback.rehearsal.scenario import DrillContext, StateBefore


@dataclass(frozen=True, kw_only=True)
class CodeScenario:
    """The scenario `code`."""

    stage: DrillContext

    @property
    def functions(self) -> Functions:
        return Functions(stage=self.stage)

    def look(self) -> StateBefore:
        """As `Functions.look`."""
        return self.functions.look()

    def go_bad(self, drill: Drill, before: StateBefore) -> None:
        scratch = self.stage.scratch
        commit = scratch.commit(f"{drill.reason}, bad on purpose", scratch.tip, {})
        self.make_bad(drill, before)
        self.functions.promote(drill, before, commit)

    def make_bad(self, drill: Drill, before: StateBefore) -> None:  # noqa: ARG002 - of a configuration it tells which
        self.functions.bad_code(before)

    def roll_back(self, drill: Drill, before: StateBefore) -> None:
        arguments = ("lambda", "--to", before["release"], "--reason", drill.reason)
        self.stage.driver.roll_back(ROLLBACK, "aliases", *arguments)

    def gone(self, drill: Drill, before: StateBefore) -> None:
        self.functions.gone(drill, before)

    def restore(self, drill: Drill, before: StateBefore) -> None:
        self.functions.restore(drill, before)

    def plan(self) -> None:
        self.stage.driver.must(ROLLBACK, "lambda", "--dry-run")
        self.stage.driver.must(ROLLBACK, "verify")
