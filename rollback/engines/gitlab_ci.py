"""GitLab CI: the pipeline of this process, who approved its deployment, and values for later jobs.

The approvals of a deployment to a protected environment are in the deployments API (`approvals`, or `approval_summary` if
there are several rules), which a job's token may read; it may also list the jobs of a pipeline, if GitLab is new
enough; otherwise a token with `read_api` in GITLAB_TOKEN is needed.
https://docs.gitlab.com/api/deployments/
https://docs.gitlab.com/ci/environments/deployment_approvals/
https://docs.gitlab.com/ci/jobs/ci_job_token/#job-token-access
https://docs.gitlab.com/ci/variables/predefined_variables/
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote

from rollback.engines import http_json
from rollback.util.errors import Code, Refused, UsageError
from rollback.util.stdio import write_out

# The variable of a job's identity token (`id_tokens:`), and the file of its variables (`reports: dotenv:`).
ID_TOKEN, DOTENV = "ROLLBACK_ID_TOKEN", "rollback.env"
_ENDED = {"success", "failed", "canceled", "skipped"}
_PAGE = 100
# Shells also read the file.
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+=,-]*")


@dataclass(frozen=True, slots=True)
class GitLabCi:
    """The pipeline of this process (`ci.Run`), from its job's variables.

    The pipeline is the run: its number stays the same if a job is retried; the job then has another number.
    """

    @property
    def run(self) -> str:
        """`pipelines/4711`."""
        pipeline = os.environ.get("CI_PIPELINE_ID", "")
        return f"pipelines/{pipeline}" if pipeline else ""

    @property
    def attempt(self) -> str:
        """`pipelines/4711/jobs/815`, or the run if the job is unknown."""
        run, job = self.run, os.environ.get("CI_JOB_ID", "")
        return f"{run}/jobs/{job}" if run and job else run

    @property
    def address(self) -> str:
        return os.environ.get("CI_PIPELINE_URL", "")

    def starter(self) -> str:
        """Who started this job: the pipeline's starter, or who started a manual job or retried one."""
        return _variable("GITLAB_USER_LOGIN")

    def has_ended(self, attempt: str) -> bool:
        """A job has ended when its status is final. A pipeline never counts as ended, because
        its jobs can be retried.
        """
        found = re.fullmatch(r"pipelines/([0-9]+)/jobs/([0-9]+)", attempt)
        if found is None:
            return False
        try:
            jobs = _pages(f"pipelines/{found[1]}/jobs?include_retried=true")
            return any(str(job["id"]) == found[2] and job["status"] in _ENDED for job in jobs)
        except (URLError, TimeoutError, ValueError, KeyError, TypeError):
            return False

    def reviewer(self, environment: str) -> str:
        """Who approved this job's deployment to the protected environment `environment`.

        Raises `Refused` where nobody did: an environment without approval rules allows every job. Also
        if the approver started the pipeline, even if GitLab allows that.
        """
        job = _variable("CI_JOB_ID")
        try:
            running = _asked(
                f"deployments?environment={quote(environment, safe='')}&order_by=id&sort=desc&per_page={_PAGE}"
            )
            own = next((str(one["id"]) for one in running if str(_job(one)) == job), "")
            deployment = _asked(f"deployments/{int(own)}") if own else {}
            given = [str(one["user"]["username"]) for one in _approvals(deployment)]
            began = str(deployment["user"]["username"]) if own else ""
        except (URLError, TimeoutError, ValueError, KeyError, TypeError) as error:
            raise Refused(
                f"The approver of this deployment could not be read from GitLab: {error}",
                code=Code.REVIEW_MISSING,
                next="Let the job's token, or GITLAB_TOKEN, read this project's deployments.",
            ) from None
        if not given:
            raise Refused(
                f"Nobody has approved this job's deployment to {environment}.",
                code=Code.REVIEW_MISSING,
                next=f"Protect the environment {environment}, with an approval rule (GitLab Premium).",
            )
        person = given[-1]
        if person.casefold() == began.casefold():
            raise Refused(
                f"{person} started this pipeline and cannot approve it.",
                code=Code.APPROVAL_REFUSED,
                next=f"Another person must approve the deployment to {environment}.",
            )
        return person

    def role(self, arn: str, region: str, *, person: str, seconds: int) -> str:
        """The AWS clients assume it with the job's identity token, and renew it when needed.

        https://docs.aws.amazon.com/sdkref/latest/guide/access-assume-role-web.html
        """
        del seconds  # the clients request an hour at a time
        folder = Path(
            f"{os.environ.get('CI_PROJECT_DIR', '')}.tmp"
        )  # the runner's folder, which is not part of artifacts
        number, name = tempfile.mkstemp(prefix="rollback-token-", dir=folder if folder.is_dir() else None)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(_variable(ID_TOKEN))
        values = {
            "AWS_ROLE_ARN": arn,
            "AWS_ROLE_SESSION_NAME": person,
            "AWS_WEB_IDENTITY_TOKEN_FILE": name,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
        }
        # Keys in the environment, or a profile, would take precedence.
        gone = "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE"
        return "\n".join([gone, *(f"export {key}={shlex.quote(value)}" for key, value in values.items())])

    def output(self, values: Mapping[str, str]) -> None:
        """Writes variables for later jobs, `ROLLBACK_DIGEST` for `digest`, to a file at the project's root that the job reports as
        dotenv.

        Raises `UsageError` for a value that is not a plain word, because a shell may read the file.
        """
        _variable("CI_JOB_ID")
        lines = []
        for name, value in values.items():
            if not _PLAIN.fullmatch(value):
                raise UsageError(f"{name} is not a plain word: {value[:80]!a}", code=Code.OPTION_INVALID)
            lines.append(f"ROLLBACK_{name.removeprefix('rollback_').upper()}={value}\n")
        with (Path(os.environ.get("CI_PROJECT_DIR", ".")) / DOTENV).open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def summarise(self, markdown: str) -> None:
        """Writes it to the log: GitLab's jobs have no summary."""
        _variable("CI_JOB_ID")
        write_out(markdown)
        sys.stdout.flush()


def _job(deployment: Mapping[str, Any]) -> object:
    """The number of a deployment's job; None without one."""
    return (deployment.get("deployable") or {}).get("id")


def _approvals(deployment: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A deployment's approvals, for either way to protect its environment."""
    rules = (deployment.get("approval_summary") or {}).get("rules") or ()
    found = [
        *(deployment.get("approvals") or ()),
        *(one for rule in rules for one in rule["deployment_approvals"]),
    ]
    return (one for one in found if one["status"] == "approved")


def _variable(name: str) -> str:
    """A variable of the job. Raises `UsageError` if it is not set."""
    if not (value := os.environ.get(name, "")):
        raise UsageError(
            f"{name} is not set: this command only works in a job of GitLab CI"
            + (f" with id_tokens: {{{ID_TOKEN}: {{aud: sts.amazonaws.com}}}}." if name == ID_TOKEN else "."),
            code=Code.NOT_IN_CI,
        )
    return value


def _pages(what: str) -> Iterator[Any]:
    """All entries of a list, page by page."""
    number = 1
    while page := _asked(f"{what}&per_page={_PAGE}&page={number}"):
        yield from page
        number += 1
        if len(page) < _PAGE:
            return


def _asked(what: str) -> Any:
    """GitLab's API response about this project. Raises `ValueError` where it cannot be read."""
    base, project = os.environ.get("CI_API_V4_URL", ""), os.environ.get("CI_PROJECT_ID", "")
    own, given = os.environ.get("CI_JOB_TOKEN", ""), os.environ.get("GITLAB_TOKEN", "")
    if not (base and project and (own or given)):
        raise ValueError("CI_API_V4_URL, CI_PROJECT_ID or CI_JOB_TOKEN is missing")
    header = {"PRIVATE-TOKEN": given} if given else {"JOB-TOKEN": own}
    return http_json.asked(f"{base}/projects/{quote(project, safe='')}/{what}", header)
