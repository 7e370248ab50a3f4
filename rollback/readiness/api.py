"""Whether a change could be rolled back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollback.readiness import collect
from rollback.readiness.rules import Verdict

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True)
class Can:
    """Whether a change could be rolled back."""

    environment: Environment

    def __call__(self, commit: str = "HEAD", *, github: bool = False) -> Verdict:
        """Whether a change to `commit` could be rolled back. Changes nothing, and takes no lease.

        With `github` it counts as not reversible unless GitHub's environment has required reviewers.
        """
        with self.environment.operation(reading=True) as session:
            return collect.gather(session, commit, insist=github, notice=self.environment.reporter.notice)
