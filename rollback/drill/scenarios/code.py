"""The scenario `code`: bad code in all functions of a service, and `rollback lambda`."""

from __future__ import annotations

from dataclasses import dataclass

from rollback.config.naming import ROLLBACK
from rollback.drill.lambda_faults import Functions
from rollback.drill.scenario import Stage, Stood
from rollback.model.drill import FAILING, KILLED, NONE, THROTTLED, Drill

FAULTS = (FAILING, NONE, THROTTLED, KILLED)


@dataclass(frozen=True, kw_only=True)
class Code:
    """The scenario `code`."""

    stage: Stage

    @property
    def functions(self) -> Functions:
        return Functions(stage=self.stage)

    def look(self) -> Stood:
        """As `Functions.look`."""
        return self.functions.look()

    def go_bad(self, drill: Drill, stood: Stood) -> None:
        scratch = self.stage.scratch
        commit = scratch.commit(f"{drill.reason}, bad on purpose", scratch.tip, {})
        self.make_bad(drill, stood)
        self.functions.promote(drill, stood, commit)

    def make_bad(self, drill: Drill, stood: Stood) -> None:  # noqa: ARG002 - of a configuration it tells which
        self.functions.bad_code(stood)

    def put_back(self, drill: Drill, stood: Stood) -> None:
        words = ("lambda", "--to", stood["release"], "--reason", drill.reason)
        self.stage.hands.roll_back(ROLLBACK, "aliases", *words)

    def gone(self, drill: Drill, stood: Stood) -> None:
        self.functions.gone(drill, stood)

    def restore(self, drill: Drill, stood: Stood) -> None:
        self.functions.restore(drill, stood)

    def plan(self) -> None:
        self.stage.hands.must(ROLLBACK, "lambda", "--dry-run")
        self.stage.hands.must(ROLLBACK, "verify")
