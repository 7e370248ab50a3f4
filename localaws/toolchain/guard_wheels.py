"""The wheels of the guard's package, in a cache of uv's of their own: tests build packages without a network."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from localaws.errors import LocalError
from localaws.paths import ROOT, cache, locked

_REQUIREMENTS = ROOT / "rollback" / "guard" / "guard_requirements.txt"
_PLATFORM = "x86_64-manylinux2014"
# Lambda's Python on the local account, which is this one, and two of which one is another.
_PYTHONS = sorted({f"{sys.version_info.major}.{sys.version_info.minor}", "3.12", "3.13"})
_LAST_LINES = 15


def find_wheels() -> Path | None:
    """The cache that an earlier `ensure_wheels` filled on this machine."""
    place = _place()
    return place if (place / ".done").exists() else None


def ensure_wheels(progress: Callable[[str], None] = lambda _: None) -> Path:
    """The same, filled under a lock if need be. Raises `LocalError` with uv's last lines if that fails."""
    with locked(
        cache() / "guard-wheels.lock",
        waiting=lambda: progress("another process downloads the guard's wheels, waiting"),
    ):
        if find_wheels() is None:
            progress("downloading the guard's wheels")
            for python in _PYTHONS:
                _fill(_place(), python)
            (_place() / ".done").touch()
    return _place()


def offline(place: Path) -> Mapping[str, str]:
    """The variables with which uv takes wheels from `place` only."""
    return {"UV_CACHE_DIR": str(place), "UV_OFFLINE": "1"}


def _fill(place: Path, python: str) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    where = ["--python-version", python, "--python-platform", _PLATFORM]
    with tempfile.TemporaryDirectory() as unpacked:
        done = subprocess.run(
            [*command, *where, "--target", unpacked, "-r", str(_REQUIREMENTS)],
            env={**os.environ, "UV_CACHE_DIR": str(place)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:])
        raise LocalError(
            f"The guard's wheels could not be downloaded.\n{last}\n"
            "Check the network or the package index, and run the same command again."
        )


def _place() -> Path:
    digest = hashlib.sha256(_REQUIREMENTS.read_bytes() + f"{_PYTHONS} {_PLATFORM}".encode())
    return cache() / f"guard-wheels-{digest.hexdigest()[:16]}"
