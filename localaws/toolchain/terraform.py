"""Terraform: `terraform` or `tofu` from PATH, else OpenTofu, built once for each machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from localaws.toolchain import gotool
from localaws.toolchain.build import path_without_ours
from localaws.toolchain.gotool import GoTool

MINIMUM = (1, 10)  # the first with `use_lockfile`, of both
TOFU = GoTool(
    name="tofu",
    version="1.12.6",
    package="github.com/opentofu/opentofu/cmd/tofu",
    # Otherwise its version would be a development build.
    ldflags="-s -w -X github.com/opentofu/opentofu/version.dev=no",
    installer="https://opentofu.org/docs/intro/install/",
)
_NAMES = ("terraform", "tofu")


def ensure_terraform(progress: Callable[[str], None] = lambda _: None) -> Path:
    """The tool to use: the one on PATH, else OpenTofu, built here if necessary (minutes, once).

    Raises `LocalError` with what to install if that fails.
    """
    return find_terraform() or gotool.ensure(TOFU, progress)


def find_terraform() -> Path | None:
    """What `ensure_terraform` returns, where nothing has to be built for it."""
    return official_terraform() or built_terraform()


def built_terraform() -> Path | None:
    """The OpenTofu that an earlier `ensure_terraform` built on this machine."""
    return gotool.find(TOFU)


def official_terraform() -> Path | None:
    """The first of `terraform` and `tofu` on PATH that is new enough and not ours."""
    for name in _NAMES:
        found = shutil.which(name, path=path_without_ours())
        if found is not None and _version(found) >= MINIMUM:
            return Path(found)
    return None


def _version(tool: str) -> tuple[int, int]:
    # Without a check for newer versions, and without the caller's configuration.
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TF_")} | {"CHECKPOINT_DISABLE": "1"}
    completed = subprocess.run([tool, "version"], capture_output=True, text=True, check=False, env=environ)
    version = re.search(r"^(?:Terraform|OpenTofu) v(\d+)\.(\d+)", completed.stdout, re.MULTILINE)
    return (int(version[1]), int(version[2])) if version else (0, 0)
