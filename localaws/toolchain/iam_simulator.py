"""The IAM simulator that judges policies in tests, once a user, with its locked npm packages.

What runs it is the `node` that Playwright brings: every checkout has it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from localaws.errors import LocalError
from localaws.paths import cache, locked
from localaws.toolchain import npm as packages

LOCKS = packages.LOCKS / "iam-simulator"


def find_simulator() -> Path | None:
    """The folder with the simulator's `node_modules` that an earlier `ensure_simulator` made."""
    place = _place()
    return place if place.exists() else None


def ensure_simulator(
    progress: Callable[[str], None] = lambda _: None,
    *,
    npm: str | None = "npm",
    requirement: Path = packages.NPM,
) -> Path:
    """The folder with the simulator's `node_modules`, fetched if it is not there yet.

    The folder is named after the lock file's hash; it is filled beside its place under a lock and then moved,
    so that nobody sees half of it. `npm` and `requirement` are those of `npm.install`. Raises `LocalError` with npm's
    last lines if it fails.
    """
    place = _place()
    if place.exists():
        return place
    with locked(
        cache() / "iam-simulator.lock",
        waiting=lambda: progress("another process fetches the IAM simulator, waiting"),
    ):
        if place.exists():
            return place
        progress("fetching the IAM simulator")
        making = Path(tempfile.mkdtemp(prefix="iam-simulator-", suffix=".part", dir=cache()))
        try:
            packages.install(LOCKS, making, npm=npm, requirement=requirement)
            making.rename(place)
        except LocalError as error:
            raise LocalError(
                f"The IAM simulator could not be fetched.\n{error}\n"
                "Check the network, or the registry in npm's settings, and run the same command again."
            ) from None
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


def _place() -> Path:
    digest = hashlib.sha256()
    for name in packages.LOCKED:
        digest.update((LOCKS / name).read_bytes())
    return cache() / f"iam-simulator-{digest.hexdigest()[:16]}"
