"""GitHub Actions: the run that a process belongs to, who reviewed it, and the outputs and summary of a step.

"Get a workflow run" and "Get the review history for a workflow run"
(https://docs.github.com/en/rest/actions/workflow-runs): the job's token needs `actions: read`. Outputs and
the summary are files ("Workflow commands",
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands).
"""

from __future__ import annotations

import json
import os
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from rollback.core.errors import Code, Refused, UsageError

_SECONDS = 10
_LOOPBACK = "http://127.0.0.1:"


def this_run() -> str:
    """The run that this process belongs to; empty outside GitHub Actions."""
    return os.environ.get("GITHUB_RUN_ID", "")


def this_attempt() -> str:
    """This attempt of it, as GitHub's API has it: `4711/attempts/2`, or the run where no attempt is told; empty outside."""
    run, attempt = this_run(), os.environ.get("GITHUB_RUN_ATTEMPT", "")
    return f"{run}/attempts/{attempt}" if run and attempt else run


def starter() -> str:
    """Who has started this attempt of the run: another than began the run, perhaps, where it is run again.

    Raises `UsageError` outside GitHub Actions.
    """
    if not (person := os.environ.get("GITHUB_TRIGGERING_ACTOR", "")):
        raise UsageError(
            "GITHUB_TRIGGERING_ACTOR is not set: this is for a step of GitHub Actions.", code=Code.NOT_IN_CI
        )
    return person


def address() -> str:
    """Where a person sees this run; empty outside GitHub Actions."""
    server, repository = os.environ.get("GITHUB_SERVER_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
    return f"{server}/{repository}/actions/runs/{this_run()}" if server and this_run() else ""


def has_ended(run: str) -> bool:
    """Whether `run` of this repository, or an attempt of it (as of `this_attempt`), has ended, by GitHub's answer;
    false where it cannot be asked.

    The `status` of either is `completed` once none of its jobs runs any more. A run that is run again is the same
    run, so that of the whole run this says nothing about an earlier attempt ("Get a workflow run attempt").
    """
    if not re.fullmatch(r"[0-9]+(/attempts/[0-9]+)?", run):
        return False
    try:
        return bool(_asked(f"actions/runs/{run}")["status"] == "completed")
    except (URLError, TimeoutError, ValueError, KeyError, TypeError):
        return False


def reviewer(environment: str) -> str:
    """Who approved this run's last job in the GitHub environment `environment`.

    Raises `Refused` where nobody did: an environment without required reviewers lets every job pass. So it does
    where it was who began the run, or this attempt of it, whatever GitHub allows.
    """
    try:
        reviews = _asked(f"actions/runs/{this_run()}/approvals")
        given = [
            str(review["user"]["login"])
            for review in reviews
            if review["state"] == "approved"
            and environment in {str(one["name"]) for one in review["environments"]}
        ]
    except (URLError, TimeoutError, ValueError, KeyError, TypeError) as error:
        raise Refused(
            f"GitHub does not say who reviewed this run: {error}",
            code=Code.REVIEW_MISSING,
            next="The job needs actions: read and GITHUB_TOKEN.",
        ) from None
    if not given:
        raise Refused(
            f"Nobody has reviewed this run for {environment}.",
            code=Code.REVIEW_MISSING,
            next=f"Give the environment {environment} required reviewers: pulumi up of the foundation declares them.",
        )
    person = given[-1]
    if person.casefold() in {starter().casefold(), os.environ.get("GITHUB_ACTOR", "").casefold()}:
        raise Refused(
            f"{person} has started this run, and cannot approve it.",
            code=Code.APPROVAL_REFUSED,
            next=f"Another reviewer of {environment} has to approve it.",
        )
    return person


def output(**values: str) -> None:
    """Hands values on to later steps and jobs. Raises `UsageError` outside GitHub Actions."""
    lines = []
    for name, value in values.items():
        mark = secrets.token_hex(16)  # what no value can hold
        lines += [f"{name}<<{mark}", value, mark]
    _append("GITHUB_OUTPUT", "\n".join(lines))


def ends(at: datetime) -> None:
    """Has the job's later steps know when the role that it takes now will end. Raises `UsageError` outside GitHub
    Actions.
    """
    _append("GITHUB_ENV", f"AWS_CREDENTIAL_EXPIRATION={at.astimezone(UTC).isoformat(timespec='seconds')}")


def summarise(markdown: str) -> None:
    """Adds to the job's summary. Raises `UsageError` outside GitHub Actions."""
    _append("GITHUB_STEP_SUMMARY", markdown)


def _append(variable: str, text: str) -> None:
    if not (path := os.environ.get(variable)):
        raise UsageError(f"{variable} is not set: this is for a step of GitHub Actions.", code=Code.NOT_IN_CI)
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


def _asked(what: str) -> Any:
    """What GitHub's API answers about this repository. Raises `ValueError` where it cannot be asked."""
    base, repository = os.environ.get("GITHUB_API_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
    token = os.environ.get("GITHUB_TOKEN", "")
    if not (base and repository and token):
        raise ValueError("GITHUB_API_URL, GITHUB_REPOSITORY or GITHUB_TOKEN is missing")
    return asked(base, token, f"repos/{repository}/{what}")


def asked(base: str, token: str, path: str) -> Any:
    """What GitHub's API at `base` answers. Raises `ValueError` for an address that a token is not sent to.

    Raises `urllib.error.HTTPError` for what GitHub refuses, `URLError` or `TimeoutError` without an answer.
    """
    if not base.startswith(("https://", _LOOPBACK)):
        raise ValueError(f"{base} is no address of GitHub's API")
    wanted = Request(  # noqa: S310 - the scheme was looked at
        f"{base}/{path}",
        headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"},
    )
    with urlopen(wanted, timeout=_SECONDS) as answer:  # noqa: S310 - as above
        return json.load(answer)
