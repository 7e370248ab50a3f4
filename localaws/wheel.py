"""The distribution as users get it: its wheel, and virtual environments with it, some of its extras and nothing else.

It uses no network. An environment is a new `venv`; the wheel's direct and indirect requirements
are linked into it from the environment that runs this, where all are installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from localaws.errors import LocalError
from localaws.paths import ROOT

UV = str(Path(sys.executable).with_name("uv"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """An environment with the wheel."""

    root: Path

    @property
    def python(self) -> str:
        return str(self.root / "bin" / "python")

    @property
    def script(self) -> str:
        return str(self.root / "bin" / "rollback")


def sources() -> list[str]:
    """The files of the repository, uncommitted ones included."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return sorted(name for name in set(listed) if name and (ROOT / name).is_file())


def copy(folder: Path) -> None:
    """Copies the repository's files to another folder."""
    for name in sources():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place, follow_symlinks=False)


def environment(folder: Path) -> None:
    """Creates an environment with pip and nothing else."""
    _run(sys.executable, "-m", "venv", str(folder))


def build(folder: Path) -> Path:
    """Builds the wheel from a source distribution, and that from a copy of the repository's files.

    Raises `LocalError` with the builder's output if it fails.
    """
    copy(folder / "copy")
    _run(
        UV,
        "build",
        "--offline",
        "--no-build-isolation",
        "--python",
        sys.executable,
        "-o",
        str(folder / "dist"),
        str(folder / "copy"),
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path, *extras: str) -> Installed:
    """Creates an environment in `folder` with the wheel, its requirements, and those of its `extras`."""
    made = Installed(root=folder)
    _run(UV, "venv", "--offline", "--python", sys.executable, str(folder))
    _run(
        UV,
        "pip",
        "install",
        "--offline",
        "--no-deps",
        "--compile-bytecode",
        "--python",
        made.python,
        str(wheel),
    )
    (site,) = (folder / "lib").glob("python*/site-packages")
    (metadata,) = site.glob("*.dist-info")
    for found in _closure(Distribution.at(metadata), extras):
        for name in {
            path.parts[0] for path in found.files or () if path.parts[0] not in ("..", "__pycache__")
        }:
            if not (site / name).exists():
                (site / name).symlink_to(Path(str(found.locate_file(name))))
    return made


def _closure(of: Distribution, extras: Iterable[str]) -> list[Distribution]:
    """The direct and indirect requirements of a distribution with these extras."""
    found: dict[str, Distribution] = {}
    waiting = [(of, frozenset(extras))]
    asked = set()
    while waiting:
        one, its_extras = waiting.pop()
        if (one.metadata["Name"], its_extras) in asked:
            continue
        asked.add((one.metadata["Name"], its_extras))
        for text in one.requires or ():
            needed = Requirement(text)
            if needed.marker and not any(
                needed.marker.evaluate({"extra": extra}) for extra in its_extras or {""}
            ):
                continue
            required = of if needed.name == of.metadata["Name"] else distribution(needed.name)
            if required is not of:
                found[needed.name] = required
            waiting.append((required, frozenset(needed.extras)))
    return list(found.values())


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalError(f"{command}\n{done.stdout}{done.stderr}")
