"""The CI run of this process: who started it, who reviewed it, and which attempt it is.

One interface for GitHub Actions and GitLab CI: `current()` returns the run of this process. It also writes
values for later steps and jobs, and the summary.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

from rollback.engines.github_actions import GitHubActions
from rollback.engines.gitlab_ci import GitLabCi


class Run(Protocol):
    """A CI run, as seen by one of its jobs.

    `run` is its name, which stays the same if it, or one of its jobs, is run again; `attempt` does not. Both are empty
    outside CI, and so is `address`, the URL of its page.
    """

    @property
    def run(self) -> str: ...
    @property
    def attempt(self) -> str: ...
    @property
    def address(self) -> str: ...

    def starter(self) -> str:
        """Who started this attempt. Raises `UsageError` outside CI, like the methods below."""
        ...

    def reviewer(self, environment: str) -> str:
        """Who approved this job's deployment to `environment`. Raises `Refused` where nobody did, where that cannot
        be read, or where the approver also started the run.
        """
        ...

    def has_ended(self, attempt: str) -> bool:
        """Whether an attempt (or a run) has ended; false if it belongs to another system, or cannot be read."""
        ...

    def role(self, arn: str, region: str, *, person: str, seconds: int) -> str:
        """Lets this job assume a role in the name of `person` for `seconds`. Returns text that the step's shell must
        evaluate; may be empty.
        """
        ...

    def output(self, values: Mapping[str, str]) -> None:
        """Passes values to later steps and jobs."""
        ...

    def summarise(self, markdown: str) -> None:
        """Adds to the job's summary."""
        ...


def current() -> Run:
    """The run of this process; outside CI a run without a name, whose methods raise `UsageError`."""
    return GitLabCi() if os.environ.get("GITLAB_CI") == "true" else GitHubActions()


def has_ended(attempt: str) -> bool:
    """Whether an attempt, of either system, has ended; false if that system cannot be read."""
    return any(system.has_ended(attempt) for system in (GitHubActions(), GitLabCi()))
