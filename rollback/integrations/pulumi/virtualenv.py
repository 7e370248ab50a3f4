"""Gives a commit's program its own Python dependencies.

A checkout made for one command has no virtualenv. Where the commit asks for the same requirements as today's
checkout, it gets that checkout's virtualenv; else one is made from its requirements, once, and kept in the
user's cache folder. Projects of other runtimes and toolchains install theirs themselves (`pulumi install`).

To install a package is to run its code. So it is done without the credentials that this command was given: what the
package can still reach are files of the same user, and whatever the machine itself is trusted with.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from platformdirs.unix import Unix

from rollback.core.errors import Code, RollbackError, UsageError
from rollback.integrations.pulumi.engine import Engine
from rollback.integrations.pulumi.installation import without_credentials

_REQUIREMENTS = "requirements.txt"
_OTHERS = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[ =]?\s*(\S+)", re.MULTILINE)
_SECONDS = 600
_LAST_LINES = 8


def provide(engine: Engine, project: Mapping[str, Any], folder: Path, today: Path) -> dict[str, str]:
    """Gives the program in `folder` what it imports, and returns the environment variables that it needs for
    that, e.g. `{"PULUMI_PYTHON_CMD": "/…/bin/python"}`.

    `project` is its parsed `Pulumi.yaml`, `today` the folder of the same project in today's checkout. Raises
    `RollbackError` with the installer's last lines where the dependencies cannot be installed.
    """
    runtime = project.get("runtime")
    name, options = (
        (runtime.get("name"), runtime.get("options") or {}) if isinstance(runtime, dict) else (runtime, {})
    )
    if name != "python" or options.get("toolchain", "pip") != "pip":
        _install(engine, folder)
        return {}
    virtualenv = options.get("virtualenv")
    wanted, known = _wanted(folder), _wanted(today)
    if not virtualenv:
        if wanted in ("", known):
            return {}
        return {"PULUMI_PYTHON_CMD": str(_made(wanted, folder) / "bin" / "python")}
    place, there = folder / virtualenv, today / virtualenv
    if not place.exists():
        _lend(there if wanted == known and there.exists() else _made(wanted, folder), place)
    return {}


def _lend(virtualenv: Path, place: Path) -> None:
    """Shows a virtualenv at `place` without git seeing it: a worktree with something new in it is dirty."""
    place.mkdir(parents=True)
    (place / ".gitignore").write_text("*\n", encoding="utf-8")
    for part in virtualenv.resolve().iterdir():
        if part.name != ".gitignore":
            (place / part.name).symlink_to(part)


def _wanted(folder: Path) -> str:
    """The requirements of a project with those that they name, as one text; empty where there are none."""
    texts: dict[Path, str] = {}
    todo = [folder / _REQUIREMENTS]
    while todo:
        path = todo.pop()
        if path not in texts and path.is_file():
            texts[path] = path.read_text(encoding="utf-8", errors="replace")
            todo += [path.parent / name for name in _OTHERS.findall(texts[path])]
    return "\n".join(texts.values())


def _made(wanted: str, folder: Path) -> Path:
    """The virtualenv for these requirements, made if it is not there (a minute or so, once)."""
    seed = f"{sys.version_info[:2]} {sys.platform} {wanted}"
    place = Unix("rollback-cli").user_cache_path / "venvs" / hashlib.sha256(seed.encode()).hexdigest()[:24]
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    ready = place / "ready"
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            # A half made one is of somebody who was killed while making it.
            shutil.rmtree(place, ignore_errors=True)
            try:
                _run([sys.executable, "-m", "venv", str(place)], folder, os.environ)
                pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
                if wanted:
                    _run([*pip, "--quiet", "-r", _REQUIREMENTS], folder, os.environ)
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
            ready.touch()
    return place


def _install(engine: Engine, folder: Path) -> None:
    engine = replace(engine, variables=without_credentials(engine.variables))
    ended = engine.install(folder, _SECONDS)
    if ended.late:
        raise _too_late()
    if not ended.ok:
        raise _uninstallable(ended.why)


def _run(command: list[str], folder: Path, variables: Mapping[str, str]) -> None:
    """Runs an installer without the credentials in `variables`."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=without_credentials(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise _too_late() from None
    if done.returncode:
        raise _uninstallable("\n".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:]))


def _too_late() -> RollbackError:
    return RollbackError(
        f"The commit's dependencies were not installed within {_SECONDS // 60} minutes.",
        code=Code.DEPENDENCIES_UNAVAILABLE,
        changed="Nothing was changed.",
    )


def _uninstallable(output: str) -> UsageError:
    return UsageError(
        f"The commit's dependencies cannot be installed:\n{output}",
        code=Code.DEPENDENCIES_UNAVAILABLE,
        next="Name a commit whose requirements can still be had, or make them available to pip.",
    )
