"""The scenario `full`: a release that is bad in code and infrastructure, and `rollback full`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rollback.config.naming import DEPLOYER
from rollback.model.drill import Drill
from rollback.rehearsal.lambda_faults import Functions
from rollback.rehearsal.scenario import DrillContext, StateBefore
from rollback.rehearsal.scenarios.infrastructure import InfrastructureScenario
from rollback.util.errors import Code, Refused


@dataclass(frozen=True, kw_only=True)
class FullScenario:
    """The scenario `full`."""

    stage: DrillContext

    @property
    def functions(self) -> Functions:
        return Functions(stage=self.stage)

    @property
    def infrastructure(self) -> InfrastructureScenario:
        return InfrastructureScenario(stage=self.stage)

    def look(self) -> StateBefore:
        """As `Functions.look` and `InfrastructureScenario.look`, and `"terraform": commit` (empty where there is
        none).

        Raises `Refused` where the deployed release was not recorded with the deployed commit.
        """
        before: dict[str, Any] = {**self.functions.look(), **self.infrastructure.look()}
        session = self.stage.session
        entry = session.ledger.timeline().release_of(before["release"])
        release = session.ledger.release(entry.id) if entry else None
        if release is None or release.stack_commit != before["commit"]:
            raise Refused(
                f"{before['release']} was not recorded with the deployed commit of the stack: a rollback to it would "
                "deploy another commit.",
                code=Code.DRILL_REFUSED,
                next=f"rollback release record --env {session.environment} --version V --commit SHA  # records what is deployed",
            )
        return {**before, "terraform": release.terraform_commit}

    def go_bad(self, drill: Drill, before: StateBefore) -> None:
        commit = self.infrastructure.deploy(drill, before)
        self.functions.bad_code(before)
        more = ["--terraform-commit", before["terraform"]] if before["terraform"] else []
        self.functions.promote(drill, before, commit, *more)

    def roll_back(self, drill: Drill, before: StateBefore) -> None:
        arguments = ("full", "--to", before["release"], "--reason", drill.reason)
        self.stage.driver.roll_back(DEPLOYER, "full", *arguments)

    def gone(self, drill: Drill, before: StateBefore) -> None:
        self.functions.gone(drill, before)
        self.infrastructure.gone(drill, before)

    def restore(self, drill: Drill, before: StateBefore) -> None:
        self.functions.restore(drill, before)
        self.infrastructure.restore(drill, before)

    def plan(self) -> None:
        self.stage.driver.must(DEPLOYER, "full", "--dry-run")
