"""What the Pulumi engine's own history says of an environment's stack."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import urlencode

from rollback.settings import Settings

# `history` answers ten entries unless a page size is given.
_PAGE = 100


def backend_url(settings: Settings) -> str:
    """Where the stack's state is: `PULUMI_BACKEND_URL`, else the environment's state bucket."""
    given = os.environ.get("PULUMI_BACKEND_URL")
    if given:
        return given
    options = {"region": settings.region}
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        options |= {"endpoint": endpoint, "s3ForcePathStyle": "true"}
    return f"s3://{settings.names.state_bucket}?{urlencode(options)}"


def deployed_commit(root: Path, settings: Settings) -> tuple[str | None, str]:
    """The commit of the newest successful, clean update of the stack; or None and why it is not known.

    A refresh writes a `git.head` of its own into the history, which is that of the checkout it ran in
    and says nothing of what is deployed: only updates count.
    """
    if shutil.which("pulumi") is None:
        return None, "The stack's commit is not recorded: pulumi is not on PATH."
    from pulumi import automation as auto  # noqa: PLC0415 - costs a third of a second

    try:
        workspace = auto.LocalWorkspace(
            work_dir=str(root), env_vars={"PULUMI_BACKEND_URL": backend_url(settings)}
        )
        history = auto.Stack.select(settings.environment, workspace).history(
            page_size=_PAGE, show_secrets=False
        )
    except auto.CommandError as error:
        lines = [line for line in str(error).splitlines() if "error:" in line] or str(error).splitlines()
        return None, f"The stack's commit is not recorded: {lines[-1].strip()[:300]}"
    for update in history:
        environment = update.environment or {}
        if (
            update.kind == "update"
            and update.result == "succeeded"
            and environment.get("git.dirty") != "true"
        ):
            return environment.get("git.head"), ""
    return None, "The stack's commit is not recorded: no clean update of it is known."
