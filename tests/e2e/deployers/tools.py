"""AWS SAM's, CDK's and AWS's own tools, locked, once a user: folders named after their lock files, filled under a lock.

About 10 s each, and 600 MB together; nothing but the recipes' tests needs them. CDK's program runs on the `node` that Playwright
brings, as the IAM simulator does; npm only fetches it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from localaws.errors import LocalError
from localaws.paths import cache, locked
from tests.permissions.simulator.install import node

_HERE = Path(__file__).parent
_PACKAGES = ("package.json", "package-lock.json")
_LAST_LINES = 15
_PATIENCE = 300


def sam() -> Path:
    """The folder that `sam` is in. Skips the test where it cannot be had, with the reason."""
    return _had("sam", ("sam.txt",), _python("sam.txt")) / "bin"


def aws() -> Path:
    """The folder that `aws` is in. Skips as `sam` does."""
    return _had("awscli", ("aws.txt",), _python("aws.txt")) / "bin"


def cdk() -> list[Path]:
    """The folders that `cdk`, the `python` of its programs and `node` are in. Skips as `sam` does."""
    place = _had("cdk", ("cdk.txt", *_PACKAGES), _cdk)
    return [place / "node_modules" / ".bin", place / "bin", node().parent]


def _had(name: str, locks: tuple[str, ...], fill: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(sys.version.encode())
    for lock in locks:
        digest.update((_HERE / lock).read_bytes())
    place = cache() / f"{name}-{digest.hexdigest()[:16]}"
    done = place / ".done"
    try:
        with locked(cache() / f"{name}.lock"):
            if not done.exists():
                # A script names its interpreter by its path, so it is filled where it stays; what is half is made anew.
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir(parents=True)
                fill(place)
                done.touch()
    except (LocalError, OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{name} cannot be had here: {error}")
    return place


def _python(lock: str) -> Callable[[Path], None]:
    def fill(place: Path) -> None:
        uv = str(Path(sys.executable).with_name("uv"))
        _run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(place)], place)
        install = [uv, "pip", "install", "--quiet", "--no-cache", "--require-hashes", "-r", str(_HERE / lock)]
        _run([*install, "--python", str(place / "bin" / "python")], place)

    return fill


def _cdk(place: Path) -> None:
    _python("cdk.txt")(place)
    for name in _PACKAGES:
        shutil.copyfile(_HERE / name, place / name)
    npm = shutil.which("npm")
    if npm is None:
        raise LocalError("there is no npm on PATH")
    with tempfile.TemporaryDirectory() as kept:
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        _run([npm, "ci", *quiet, f"--cache={kept}"], place)


def _run(command: list[str], place: Path) -> None:
    # Its index is that of the user's own settings.
    done = subprocess.run(
        command, cwd=place, env=os.environ, capture_output=True, text=True, check=False, timeout=_PATIENCE
    )
    if done.returncode:
        raise LocalError("\n".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:]))
