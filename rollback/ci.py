"""The CI run that a process belongs to, and whether another one has ended.

"Get a workflow run", GitHub REST API: a run's `status` is `completed` once none of its jobs runs any more.
The job's token needs `actions: read`.
"""

from __future__ import annotations

import json
import os
import re
from urllib.error import URLError
from urllib.request import Request, urlopen

_SECONDS = 10


def this_run() -> str:
    """The run that this process belongs to; empty outside GitHub Actions."""
    return os.environ.get("GITHUB_RUN_ID", "")


def has_ended(run: str) -> bool:
    """Whether GitHub says that `run` of this repository has ended; false where it cannot be asked."""
    address, repository = os.environ.get("GITHUB_API_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
    token = os.environ.get("GITHUB_TOKEN", "")
    if not (re.fullmatch(r"[0-9]+", run) and address.startswith(("https://", "http://127.0.0.1:")) and token):
        return False
    asked = Request(  # noqa: S310 - the scheme was looked at
        f"{address}/repos/{repository}/actions/runs/{run}",
        headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"},
    )
    try:
        with urlopen(asked, timeout=_SECONDS) as answer:  # noqa: S310 - as above
            return bool(json.load(answer)["status"] == "completed")
    except (URLError, TimeoutError, ValueError, KeyError, TypeError):
        return False
