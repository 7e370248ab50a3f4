"""Gives a commit's program its own dependencies.

A temporary worktree has no virtualenv. If the commit has the same requirements as the current
checkout, it uses that checkout's virtualenv; otherwise one is made from its requirements, once, and kept in the
user's cache folder. The same is done for packages of components in the project's repository. What Pulumi
installs itself (`pulumi install`: uv, poetry and other languages) is installed into the worktree, as locked, and
does not change the commit's files: the engine records in its history whether the worktree is dirty.

Installing a package runs its code. So it is done without this command's credentials; a
package can still reach the same user's files, and what the machine itself has access to.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from platformdirs.unix import Unix

from rollback.engines import git
from rollback.engines.pulumi.engine import Engine
from rollback.engines.pulumi.installation import INSTALLER, without_credentials
from rollback.util import safe_yaml
from rollback.util.errors import Code, RollbackError, UsageError

_PYTHON, _PIP, _UV = "python", "pip", "uv"
# Languages whose programs only need plugins, which the engine finds.
_NEEDS_NONE = ("yaml",)
_PLUGIN_FILE = "PulumiPlugin.yaml"
_REQUIREMENTS, _UV_LOCK = "requirements.txt", "uv.lock"
# The lock file must not be updated (https://docs.astral.sh/uv/reference/environment/#uv_frozen).
_FROZEN = {"UV_FROZEN": "1"}
# In the worktree, not in the user's cache
# (https://python-poetry.org/docs/configuration/#virtualenvsin-project).
_IN_PROJECT = {"POETRY_VIRTUALENVS_IN_PROJECT": "true"}
# Packages by their path, e.g. `./lib` and `-e .` (https://pip.pypa.io/en/stable/reference/requirements-file-format/).
_BY_PATH = re.compile(
    r"^\s*(?:(?:-e|--editable)[ =]?\s*)?(?:\.{1,2}(?:/|\s|\[|$)|file:|[^\s#;@]+\s*@\s*file:)", re.MULTILINE
)
_OTHERS = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[ =]?\s*(\S+)", re.MULTILINE)
_SECONDS = 600
_LAST_LINES = 8


@dataclass(frozen=True, kw_only=True)
class Checkouts:
    """The `commit`'s worktree and the current checkout, and the project's `folder` in both, e.g. `infra/network`."""

    commit: str
    worktree: Path
    today: Path
    folder: str


def provide(
    engine: Engine,
    project: Mapping[str, Any],
    where: Checkouts,
    working: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> dict[str, str]:
    """Provides the dependencies of a commit's program and of its local packages, and returns the
    environment variables that the engine needs for them, e.g. `{"PULUMI_PYTHON_CMD": "/…/bin/python"}`.

    `project` is the program's parsed `Pulumi.yaml`; `working` shows long work by its name. Raises
    `RollbackError` with the installer's last lines where the dependencies cannot be installed.
    """
    variables: dict[str, str] = {}
    for folder, document in {where.folder: project, **_packages(project, where)}.items():
        variables |= _provided(engine, document, folder, where, working)
    return variables


def _packages(project: Mapping[str, Any], where: Checkouts) -> dict[str, Mapping[str, Any]]:
    """Folder → parsed `PulumiPlugin.yaml` of the packages in a project's repository
    (https://www.pulumi.com/docs/reference/pulumiplugin-yaml/).
    """
    found: dict[str, Mapping[str, Any]] = {}
    for path in local_packages(project).values():
        folder = Path(os.path.normpath(Path(where.folder) / path))
        file = where.worktree / folder / _PLUGIN_FILE
        if not folder.is_absolute() and ".." not in folder.parts and file.is_file():
            found[str(folder)] = safe_yaml.mapping(
                f"{folder / _PLUGIN_FILE} of commit {where.commit[:12]}", safe_yaml.read(file, where.worktree)
            )
    return found


def local_packages(project: Mapping[str, Any]) -> dict[str, str]:
    """Name → path of the providers that a project's parsed `Pulumi.yaml` refers to by path: its `packages`, and its
    `plugins`.
    """
    packages, plugins = project.get("packages"), project.get("plugins")
    found = {}
    for name, package in packages.items() if isinstance(packages, dict) else ():
        source = package.get("source") if isinstance(package, dict) else package
        if isinstance(source, str) and source.startswith((".", "/")):
            found[str(name)] = source
    providers = plugins.get("providers") if isinstance(plugins, dict) else None
    for plugin in providers if isinstance(providers, list) else ():
        if isinstance(plugin, dict) and plugin.get("name") and plugin.get("path"):
            found[str(plugin["name"])] = str(plugin["path"])
    return found


def _provided(
    engine: Engine,
    document: Mapping[str, Any],
    folder: str,
    where: Checkouts,
    working: Callable[[str], AbstractContextManager[object]],
) -> dict[str, str]:
    """`provide` for the program or package in `folder` with this parsed `Pulumi.yaml` or `PulumiPlugin.yaml`."""
    here, today = where.worktree / folder, where.today / folder
    runtime = document.get("runtime")
    name, options = (
        (runtime.get("name"), runtime.get("options") or {}) if isinstance(runtime, dict) else (runtime, {})
    )

    def installing() -> AbstractContextManager[object]:
        return working(f"Installing the dependencies of commit {where.commit[:12]}")

    if name in _NEEDS_NONE:
        return {}
    toolchain = options.get("toolchain", _PIP) if name == _PYTHON else ""
    if toolchain != _PIP:
        variables = _as_locked(toolchain, here, where.worktree)
        with installing():
            _install(engine, here, variables, str(toolchain or name))
            git.restore(where.worktree)
        return variables
    virtualenv = options.get("virtualenv")
    wanted, known = _wanted(here), _wanted(today)
    # Local packages must be the commit's, even if the requirements are equal.
    own = bool(_BY_PATH.search(wanted))
    is_todays = wanted == known and not own

    def made() -> Path:
        kept = where.worktree.with_name(f"venv-{hashlib.sha256(folder.encode()).hexdigest()[:8]}")
        return _made(wanted, here, installing, kept if own else None)

    if not virtualenv:
        # The engine uses the program's interpreter for everything without its own.
        if wanted == "" or is_todays or folder != where.folder:
            return {}
        return {"PULUMI_PYTHON_CMD": str(made() / "bin" / "python")}
    place, there = here / virtualenv, today / virtualenv
    if not place.exists():
        _lend(there if is_todays and there.exists() else made(), place)
    return {}


def _as_locked(toolchain: str, folder: Path, top: Path) -> dict[str, str]:
    """The variables by which a toolchain installs the commit's lock file into the worktree `top`."""
    if toolchain != _UV:
        return _IN_PROJECT if toolchain else {}
    folders = (folder, *folder.parents)[: len(folder.relative_to(top).parts) + 1]
    return _FROZEN if any((one / _UV_LOCK).is_file() for one in folders) else {}


def _lend(virtualenv: Path, place: Path) -> None:
    """Links a virtualenv at `place`, ignored by git, because a new file would make the worktree dirty."""
    place.mkdir(parents=True)
    (place / ".gitignore").write_text("*\n", encoding="utf-8")
    for part in virtualenv.resolve().iterdir():
        if part.name != ".gitignore":
            (place / part.name).symlink_to(part)


def _wanted(folder: Path) -> str:
    """The requirements of a project with included files, as one text; empty if there are none."""
    texts: dict[Path, str] = {}
    todo = [folder / _REQUIREMENTS]
    while todo:
        path = todo.pop()
        if path not in texts and path.is_file():
            texts[path] = path.read_text(encoding="utf-8", errors="replace")
            todo += [path.parent / name for name in _OTHERS.findall(texts[path])]
    return "\n".join(texts.values())


def _made(
    wanted: str,
    folder: Path,
    installing: Callable[[], AbstractContextManager[object]],
    place: Path | None = None,
) -> Path:
    """The virtualenv for these requirements, made if needed (about a minute, once): at `place`, or in the
    user's cache.
    """
    seed = f"{sys.version_info[:2]} {sys.platform} {wanted}"
    cache = Unix("rollback-cli").user_cache_path / "venvs"
    place = place or cache / hashlib.sha256(seed.encode()).hexdigest()[:24]
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    ready = place / "ready"
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            # An incomplete one was left by a killed process.
            shutil.rmtree(place, ignore_errors=True)
            try:
                with installing():
                    _run([sys.executable, "-m", "venv", str(place)], folder, os.environ)
                    pip = [
                        str(place / "bin" / "python"),
                        "-m",
                        "pip",
                        "install",
                        "--disable-pip-version-check",
                    ]
                    if wanted:
                        _run([*pip, "--quiet", "-r", _REQUIREMENTS], folder, os.environ)
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
            ready.touch()
    return place


def _install(engine: Engine, folder: Path, variables: Mapping[str, str], by: str) -> None:
    """Runs `pulumi install`; `by` is the toolchain of a program in Python, else the language."""
    engine = replace(engine, variables={**without_credentials(engine.variables), **variables})
    ended = engine.install(folder, _SECONDS)
    if ended.late:
        raise _too_late()
    if not ended.ok:
        raise UsageError(
            f"The commit's dependencies cannot be installed (`pulumi install`, {by}):\n{ended.why}",
            code=Code.DEPENDENCIES_UNAVAILABLE,
            next=f"Check that `pulumi install` works on this machine in a checkout of that commit: it needs {by}, Pulumi's "
            f"plugin for the language ({INSTALLER}), and the commit's locked packages.",
        )


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
        next="Select a commit whose requirements can still be installed, or make them available to pip.",
    )
