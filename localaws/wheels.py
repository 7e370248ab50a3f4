"""Unpacks Python packages from a locked file into a folder, and stores nothing elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_LAST_LINES = 15


def unpack(requirement: Path, folder: Path) -> str | None:
    """Unpacks the packages of the locked file `requirement` into `folder`. Returns None, or the installer's last lines
    if that failed.
    """
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    command = (
        [uv, "pip", "install", "--quiet", "--python", sys.executable, "--no-cache"]
        if uv
        else [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-cache-dir",
        ]
    )
    wanted = ["--no-deps", "--require-hashes", "--target", str(folder), "-r", str(requirement)]
    done = subprocess.run([*command, *wanted], capture_output=True, text=True, check=False)
    if not done.returncode:
        return None
    return "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:])
