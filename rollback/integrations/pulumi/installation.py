"""The engine that this command installs, where a machine has none; and what an installer may see of the environment.

Nothing is downloaded unless a person asks for it: `rollback tools install`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from platformdirs.unix import Unix

from rollback.core.errors import Code, RollbackError
from rollback.core.extras import extra

INSTALLER = "https://www.pulumi.com/docs/install/"
SECONDS = 600
_LAST_LINES = 8
# By their names: of clouds, of engines, of GitHub and its jobs, and whatever calls itself so.
_CREDENTIALS = re.compile(
    r"(AWS|PULUMI|GITHUB|GH|ACTIONS|GITLAB|CI|TF|SLACK|AZURE|ARM|GOOGLE|CLOUDSDK|VAULT)_.*|SSH_(AUTH_SOCK|AGENT_PID)"
    r"|.*(TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|ACCESS_KEY|PRIVATE_KEY|API_?KEY).*",
    re.IGNORECASE,
)
# What an installer has to know all the same: where packages and plugins are, and how it may fetch them.
_INSTALLERS = re.compile(
    r"(PIP|UV|POETRY|NPM_CONFIG|YARN)_.*"
    r"|PULUMI_(HOME|PYTHON_CMD|SKIP_UPDATE_CHECK|DISABLE_AUTOMATIC_PLUGIN_ACQUISITION|IGNORE_AMBIENT_PLUGINS"
    r"|PLUGIN_DOWNLOAD_URL_OVERRIDES)",
    re.IGNORECASE,
)
# `PulumiCommand.install` is the SDK's: it runs the official installer, without a limit in time and with the whole
# environment, so that it gets a process of its own.
# https://www.pulumi.com/docs/reference/pkg/python/pulumi/#pulumi.automation.PulumiCommand.install
_INSTALL = """
import subprocess, sys
from pulumi.automation import PulumiCommand
from semver import VersionInfo
try:
    PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))
except subprocess.CalledProcessError as error:
    sys.exit(error.output.decode(errors="replace"))
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def pinned() -> str:
    """The version of the engine that is installed: that of the SDK."""
    with extra("pulumi"):
        return version("pulumi")


def installed() -> Path:
    """Where the engine of `install` is, or would be."""
    return Unix("rollback-cli").user_cache_path / "engines" / f"pulumi-{pinned()}" / "bin" / "pulumi"


def found() -> Path | None:
    """The engine that `install` has installed; None where it has not."""
    return installed() if os.access(installed(), os.X_OK) else None


def install(seconds: float = SECONDS) -> Path:
    """Has the official installer install the pinned engine, within `seconds`; where it is then.

    It sees no credentials. Raises `RollbackError` with its last lines where it does not go, and then nothing is left.
    """
    program = installed()
    root = program.parent.parent
    if program.exists():
        return program
    root.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with subprocess.Popen(
        [sys.executable, "-I", "-c", _INSTALL, str(root), pinned()],
        env=without_credentials(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=seconds)
            why = "\n".join(printed.strip().splitlines()[-_LAST_LINES:])
        except BaseException as error:
            # The installer and what it has started.
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            why = f"it took more than {seconds / 60:.0f} minutes"
    if not process.returncode and program.exists():
        return program
    shutil.rmtree(root, ignore_errors=True)
    raise RollbackError(
        f"Pulumi {pinned()} could not be installed:\n{why}",
        code=Code.TOOL_MISSING,
        changed="Nothing was changed.",
        next=f"Install it by hand: {INSTALLER}",
    )


def without_credentials(variables: Mapping[str, str]) -> dict[str, str]:
    """Environment variables without those that are, or lead to, credentials; an installer's own are kept. Pure."""
    return {
        name: value
        for name, value in variables.items()
        if _INSTALLERS.fullmatch(name) or not _CREDENTIALS.fullmatch(name)
    }
