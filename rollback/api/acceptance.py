"""What this tool relies on, tried in the account itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollback.actions.acceptance import names, run
from rollback.actions.acceptance.fact import Report
from rollback.actions.acceptance.names import SandboxNames

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True)
class Acceptance:
    """Facts about AWS, tried in a sandbox that is made for it and removed again. The ledger is not touched."""

    environment: Environment

    def planned(self) -> SandboxNames:
        """A run that could be made: `resources` is all that it makes. Nothing is asked of AWS."""
        with self.environment.operation() as session:
            return SandboxNames(session.settings, names.new_run(session.clocks.identifier()))

    def run(self, planned: SandboxNames, *, idle_version: str = "", older_than: int = 60) -> Report:
        """Tries every fact, and removes what was made for it; before, what runs have left that began `older_than`
        minutes ago.

        `idle_version` is `FUNCTION:VERSION`, a version that Lambda has set Inactive: it is invoked once, which wakes
        it. What does not hold is in the report, and `judged` raises it. Raises `UsageError` for an idle version that is
        none.
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
    """Raises `VerificationFailed` where a fact does not hold, `Refused` where the caller may not try all of them, and
    `RollbackError` where the run was stopped, was not answered, or has left something.
    """
    run.judged(report)
