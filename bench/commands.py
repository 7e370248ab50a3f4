"""Commands that are not measured: what the benchmarks set up with, and the script's own."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from localaws.errors import LocalError


def run(arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> str:
    """Runs a command. Returns its output. Raises `LocalError` with its last lines if it fails."""
    done = subprocess.run(
        arguments,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LocalError(f"{shlex.join(arguments)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout
