"""The scenario `full`: a release that is bad in code and infrastructure, and `rollback full`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rollback.config.naming import DEPLOYER
from rollback.core.errors import Code, Refused
from rollback.drill.lambda_faults import Functions
from rollback.drill.scenario import Stage, Stood
from rollback.drill.scenarios.infrastructure import Infrastructure
from rollback.model.drill import FAILING, KILLED, NONE, THROTTLED, Drill

FAULTS = (FAILING, NONE, THROTTLED, KILLED)


@dataclass(frozen=True, kw_only=True)
class Full:
    """The scenario `full`."""

    stage: Stage

    @property
    def functions(self) -> Functions:
        return Functions(stage=self.stage)

    @property
    def infrastructure(self) -> Infrastructure:
        return Infrastructure(stage=self.stage)

    def look(self) -> Stood:
        """As `Functions.look` and `Infrastructure.look`, and `"terraform": commit` (empty where there is
        none).

        Raises `Refused` where the deployed release was not recorded with the deployed commit.
        """
        stood: dict[str, Any] = {**self.functions.look(), **self.infrastructure.look()}
        session = self.stage.session
        entry = session.ledger.timeline().release_of(stood["release"])
        release = session.ledger.release(entry.id) if entry else None
        if release is None or release.stack_commit != stood["commit"]:
            raise Refused(
                f"{stood['release']} was not recorded with the commit that the stack stands at: going back to it would "
                "bring back another one.",
                code=Code.DRILL_REFUSED,
                next=f"Record what stands as a release: rollback release record --env {session.environment} "
                "--version V --commit SHA",
            )
        return {**stood, "terraform": release.terraform_commit}

    def go_bad(self, drill: Drill, stood: Stood) -> None:
        commit = self.infrastructure.deploy(drill, stood)
        self.functions.bad_code(stood)
        more = ["--terraform-commit", stood["terraform"]] if stood["terraform"] else []
        self.functions.promote(drill, stood, commit, *more)

    def put_back(self, drill: Drill, stood: Stood) -> None:
        words = ("full", "--to", stood["release"], "--reason", drill.reason)
        self.stage.hands.roll_back(DEPLOYER, "full", *words)

    def gone(self, drill: Drill, stood: Stood) -> None:
        self.functions.gone(drill, stood)
        self.infrastructure.gone(drill, stood)

    def restore(self, drill: Drill, stood: Stood) -> None:
        self.functions.restore(drill, stood)
        self.infrastructure.restore(drill, stood)

    def plan(self) -> None:
        self.stage.hands.must(DEPLOYER, "full", "--dry-run")
