"""The emulator's own tool environment: it pins a botocore that is not the product's."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from localaws.errors import LocalError
from localaws.paths import cache, locked

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def ensure_tool(progress: Callable[[str], None] = lambda _: None) -> Path:
    """The interpreter of the emulator's environment, which is made if it is not there.

    The folder is named after the hash of the locked requirements and of the interpreter's version;
    it is filled beside its place under a lock and then moved, so that nobody sees half of it. Its
    bytecode is compiled once: the emulator is forbidden to write any, and a start without costs twice.
    Raises `LocalError` with the installer's last lines if it fails.
    """
    found = find_tool()
    if found is not None:
        return found
    place = _place()
    interpreter, compiled = place / "bin" / "python", place / ".compiled"
    with locked(cache() / "ministack.lock", waiting=lambda: progress("another process installs it, waiting")):
        if not interpreter.exists():
            _install(place, progress)
        if not compiled.exists():
            command = [str(interpreter), "-m", "compileall", "-q", "-j", "0", str(place / "lib")]
            subprocess.run(command, capture_output=True, check=False)  # what cannot be compiled still runs
            compiled.touch()
    return interpreter


def find_tool() -> Path | None:
    """The interpreter of the environment that an earlier `ensure_tool` made."""
    interpreter, compiled = _place() / "bin" / "python", _place() / ".compiled"
    return interpreter if compiled.exists() and interpreter.exists() else None


def _place() -> Path:
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    return cache() / f"ministack-{key}"


def _install(place: Path, progress: Callable[[str], None]) -> None:
    progress("installing the local AWS account")
    making = Path(tempfile.mkdtemp(prefix="ministack-", suffix=".part", dir=cache()))
    try:
        _fill(making)
        shutil.rmtree(place, ignore_errors=True)
        making.rename(place)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _fill(folder: Path) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    python = folder / "bin" / "python"
    lock = ["--require-hashes", "-r", str(REQUIREMENTS)]
    if uv:
        steps = [
            [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", str(python), *lock],
        ]
    else:
        steps = [
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *lock],
        ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
            raise LocalError(
                f"The local AWS account could not be installed.\n{last}\n"
                "Check the network or the package index, and run the same command again."
            )
