"""Checks in the account itself the behaviour of AWS that this tool relies on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollback.rehearsal.acceptance import names, run
from rollback.rehearsal.acceptance.fact import Report
from rollback.rehearsal.acceptance.names import SandboxNames

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True)
class Acceptance:
    """Checks facts about AWS in a sandbox that is created for it and deleted afterwards. Does not use the ledger."""

    environment: Environment

    def planned(self) -> SandboxNames:
        """A run that could be started: `resources` is everything that it would create. Makes no call to AWS."""
        with self.environment.operation() as session:
            return SandboxNames(session.settings, names.new_run(session.clocks.identifier()))

    def run(self, planned: SandboxNames, *, idle_version: str = "", older_than: int = 60) -> Report:
        """Checks every fact and deletes what it created; first it deletes what runs left that began `older_than`
        minutes ago or earlier.

        `idle_version` is `FUNCTION:VERSION`, a version that Lambda has set Inactive: it is invoked once, which
        activates it. Facts that do not hold are in the report; `judged` raises an error for them. Raises `UsageError`
        for an invalid `idle_version`.
        """
        env, idle = self.environment, run.idle_version(idle_version)
        with env.operation() as session:
            env.reporter.start("Trying", len(run.FACTS))
            try:
                return run.Acceptance(
                    account=session.account,
                    names=planned,
                    now=session.now,
                    stop=env.stop,
                    notice=env.reporter.notice,
                    older_than=older_than,
                    progress=env.reporter.progress,
                    idle=idle,
                ).run()
            finally:
                env.reporter.finish()


def judged(report: Report) -> None:
    """Raises `VerificationFailed` if a fact does not hold, `Refused` if the caller may not check all of them, and
    `RollbackError` if the run was stopped, got no answer, or left resources.
    """
    run.judged(report)
