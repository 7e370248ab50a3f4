"""The CI run that a process belongs to: who asks, who has reviewed it, and which attempt of it this is.

One interface for GitHub Actions and for GitLab CI: `current()` gives the one of this process. Where a value goes that
later steps and jobs need, and where a summary is shown, is theirs as well.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

from rollback.integrations.github_actions import GitHubActions
from rollback.integrations.gitlab_ci import GitLabCi


class Run(Protocol):
    """A CI run, as a job of it sees it.

    `run` names it, and stays the same where somebody runs it, or a job of it, again; `attempt` does not. Both are empty
    outside CI, as is `address`, where a person sees it.
    """

    @property
    def run(self) -> str: ...
    @property
    def attempt(self) -> str: ...
    @property
    def address(self) -> str: ...

    def starter(self) -> str:
        """Who has started this attempt. Raises `UsageError` outside CI, as do those below that need it."""
        ...

    def reviewer(self, environment: str) -> str:
        """Who has approved this job's deployment to `environment`. Raises `Refused` where nobody has, where it cannot
        be known, or where it was who began the run.
        """
        ...

    def has_ended(self, attempt: str) -> bool:
        """Whether an attempt (or a run) has ended; false where it is another system's, or cannot be asked for."""
        ...

    def role(self, arn: str, region: str, *, person: str, seconds: int) -> str:
        """Has this job take a role in the name of `person` for `seconds`. What is returned, the step's shell has to
        evaluate; empty where nothing is left to do.
        """
        ...

    def output(self, values: Mapping[str, str]) -> None:
        """Hands values on to later steps and jobs."""
        ...

    def summarise(self, markdown: str) -> None:
        """Adds to the job's summary."""
        ...


def current() -> Run:
    """The run of this process; outside CI one that has no name and refuses everything else."""
    return GitLabCi() if os.environ.get("GITLAB_CI") == "true" else GitHubActions()


def has_ended(attempt: str) -> bool:
    """Whether an attempt, of whichever system, has ended; false where that system cannot be asked."""
    return any(system.has_ended(attempt) for system in (GitHubActions(), GitLabCi()))
