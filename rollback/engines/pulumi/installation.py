"""The engine that this tool installs if a machine has none, and the environment that installers may see.

Downloads only happen on request: `rollback tools install`.
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

from rollback.util.errors import Code, RollbackError
from rollback.util.extras import extra

INSTALLER = "https://www.pulumi.com/docs/install/"
SECONDS = 600
_LAST_LINES = 8
# Names of variables of clouds, engines, GitHub and its jobs, and names that look like a secret.
_CREDENTIALS = re.compile(
    r"(AWS|PULUMI|GITHUB|GH|ACTIONS|GITLAB|CI|TF|SLACK|AZURE|ARM|GOOGLE|CLOUDSDK|VAULT)_.*|SSH_(AUTH_SOCK|AGENT_PID)"
    r"|.*(TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|ACCESS_KEY|PRIVATE_KEY|API_?KEY).*",
    re.IGNORECASE,
)
# Variables that an installer needs anyway: where packages and plugins are, and how to fetch them.
_INSTALLERS = re.compile(
    r"(PIP|UV|POETRY|NPM_CONFIG|YARN)_.*"
    r"|PULUMI_(HOME|PYTHON_CMD|SKIP_UPDATE_CHECK|DISABLE_AUTOMATIC_PLUGIN_ACQUISITION|IGNORE_AMBIENT_PLUGINS"
    r"|PLUGIN_DOWNLOAD_URL_OVERRIDES)",
    re.IGNORECASE,
)
# The SDK's `PulumiCommand.install` runs the official installer without a time limit and with the whole
# environment, so that it runs in a separate process.
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
    """The version of the engine to install: that of the SDK."""
    with extra("pulumi"):
        return version("pulumi")


def installed() -> Path:
    """The path of the engine that `install` installs."""
    return Unix("rollback-cli").user_cache_path / "engines" / f"pulumi-{pinned()}" / "bin" / "pulumi"


def found() -> Path | None:
    """The installed engine; None if `install` has not run."""
    return installed() if os.access(installed(), os.X_OK) else None


def install(seconds: float = SECONDS) -> Path:
    """Runs the official installer for the pinned engine, within `seconds`; returns its path.

    It sees no credentials. Raises `RollbackError` with its last lines where it fails; then nothing is left behind.
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
            # The installer and its child processes.
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
    """Environment variables without credentials or paths to them; variables that an installer needs are kept. Pure."""
    return {
        name: value
        for name, value in variables.items()
        if _INSTALLERS.fullmatch(name) or not _CREDENTIALS.fullmatch(name)
    }
