"""GitHub Actions: the run of this process, who reviewed it, and the outputs and summary of a step.

"Get a workflow run" and "Get the review history for a workflow run"
(https://docs.github.com/en/rest/actions/workflow-runs): the job's token needs `actions: read`. Outputs and
the summary are files ("Workflow commands",
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands).
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError

from rollback.engines import http_json
from rollback.util.errors import Code, Refused, UsageError


@dataclass(frozen=True, slots=True)
class GitHubActions:
    """The run of this process (`ci.Run`), from its job's variables."""

    @property
    def run(self) -> str:
        return os.environ.get("GITHUB_RUN_ID", "")

    @property
    def attempt(self) -> str:
        """As in GitHub's API: `4711/attempts/2`, or the run if the attempt is unknown."""
        run, attempt = self.run, os.environ.get("GITHUB_RUN_ATTEMPT", "")
        return f"{run}/attempts/{attempt}" if run and attempt else run

    @property
    def address(self) -> str:
        server, repository = os.environ.get("GITHUB_SERVER_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
        return f"{server}/{repository}/actions/runs/{self.run}" if server and self.run else ""

    def starter(self) -> str:
        """Who started this attempt; for a re-run possibly somebody else than who started the run."""
        if not (person := os.environ.get("GITHUB_TRIGGERING_ACTOR", "")):
            raise _outside("GITHUB_TRIGGERING_ACTOR")
        return person

    def has_ended(self, attempt: str) -> bool:
        """The `status` of a run, or of an attempt, is `completed` when all its jobs have ended. A run that is run
        again is the same run, so that a run's status says nothing about an earlier attempt ("Get a workflow
        run attempt").
        """
        if not re.fullmatch(r"[0-9]+(/attempts/[0-9]+)?", attempt):
            return False
        try:
            return bool(_asked(f"actions/runs/{attempt}")["status"] == "completed")
        except (URLError, TimeoutError, ValueError, KeyError, TypeError):
            return False

    def reviewer(self, environment: str) -> str:
        """Who approved this run's last job in the GitHub environment `environment`.

        Raises `Refused` where nobody did: an environment without required reviewers allows every job. Also
        if the reviewer started the run or this attempt, even if GitHub allows that.
        """
        try:
            reviews = _asked(f"actions/runs/{self.run}/approvals")
            given = [
                str(review["user"]["login"])
                for review in reviews
                if review["state"] == "approved"
                and environment in {str(one["name"]) for one in review["environments"]}
            ]
        except (URLError, TimeoutError, ValueError, KeyError, TypeError) as error:
            raise Refused(
                f"The reviewer of this run could not be read from GitHub: {error}",
                code=Code.REVIEW_MISSING,
                next="Give the job the permission actions: read, and GITHUB_TOKEN.",
            ) from None
        if not given:
            raise Refused(
                f"Nobody has reviewed this run for {environment}.",
                code=Code.REVIEW_MISSING,
                next=f"Add required reviewers to the environment {environment}, or run pulumi up of the foundation, which declares them.",
            )
        person = given[-1]
        if person.casefold() in {self.starter().casefold(), os.environ.get("GITHUB_ACTOR", "").casefold()}:
            raise Refused(
                f"{person} started this run and cannot approve it.",
                code=Code.APPROVAL_REFUSED,
                next=f"Another reviewer of {environment} must approve it.",
            )
        return person

    def role(self, arn: str, region: str, *, person: str, seconds: int) -> str:
        """A later step assumes it, with these outputs; later steps know when the session ends."""
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        _append("GITHUB_ENV", f"AWS_CREDENTIAL_EXPIRATION={end.isoformat(timespec='seconds')}")
        self.output({"arn": arn, "region": region, "person": person, "seconds": str(seconds)})
        return ""

    def output(self, values: Mapping[str, str]) -> None:
        lines = []
        for name, value in values.items():
            mark = secrets.token_hex(16)  # cannot occur in a value
            lines += [f"{name}<<{mark}", value, mark]
        _append("GITHUB_OUTPUT", "\n".join(lines))

    def summarise(self, markdown: str) -> None:
        _append("GITHUB_STEP_SUMMARY", markdown)


def _append(variable: str, text: str) -> None:
    if not (path := os.environ.get(variable)):
        raise _outside(variable)
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


def _outside(variable: str) -> UsageError:
    return UsageError(
        f"{variable} is not set: this command only works in a job of GitHub Actions or GitLab CI.",
        code=Code.NOT_IN_CI,
    )


def _asked(what: str) -> Any:
    """GitHub's API response about this repository. Raises `ValueError` where it cannot be read."""
    base, repository = os.environ.get("GITHUB_API_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
    token = os.environ.get("GITHUB_TOKEN", "")
    if not (base and repository and token):
        raise ValueError("GITHUB_API_URL, GITHUB_REPOSITORY or GITHUB_TOKEN is missing")
    return asked(base, token, f"repos/{repository}/{what}")


def asked(base: str, token: str, path: str) -> Any:
    """The response of GitHub's API at `base`. Raises as `http_json.asked` does."""
    return http_json.asked(
        f"{base}/{path}", {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
    )
