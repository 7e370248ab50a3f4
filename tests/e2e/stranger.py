"""Another team's repository: settings in a folder of their own, the files of its CI, and a wheel that its jobs install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from localaws import wheel as wheels
from localaws.paths import ROOT
from rollback.setup import ci_files
from tests.e2e.actions_under_test import REPOSITORY
from tests.e2e.estate_under_test import Platform, git

SHA = "0123456789abcdef0123456789abcdef01234567"
_BIN = Path(sys.executable).parent


@dataclass(kw_only=True)
class Wheel:
    """The wheel, the repository that it was made from, and an environment that has what it requires, but not it.

    `path` is the PATH of a job that finds that environment's Python first.
    """

    file: Path
    repository: Path
    environment: Path
    path: str

    @property
    def version(self) -> str:
        """What the environment's `rollback --version` says; empty where it has none."""
        script = self.environment / "bin" / "rollback"
        if not script.exists():
            return ""
        done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, cwd="/")
        return done.stdout.strip()

    @property
    def packages(self) -> Path:
        """The folder of what is installed."""
        (found,) = (self.environment / "lib").glob("python*/site-packages")
        return found


def prepare(built: Path, folder: Path) -> Wheel:
    """Makes the environment in `folder`. No index is asked."""
    repository, environment, tools = folder / "rollback-cli", folder / "python", folder / "tools"
    for name in wheels.sources():
        if name.startswith((".github/", "rollback/", "requirements.txt")):
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, repository / name)
    wheels.install(built, environment, "all")
    # uv finds what is installed by folders, and follows no link to one.
    for linked in environment.glob("lib/python*/site-packages/*.dist-info"):
        if linked.is_symlink():
            real = linked.resolve()
            linked.unlink()
            shutil.copytree(real, linked)
    uv = [str(_BIN / "uv"), "pip", "uninstall", "--quiet", "--python", str(environment / "bin" / "python")]
    subprocess.run([*uv, "rollback-cli"], check=True, capture_output=True)
    tools.mkdir()
    (tools / "uv").symlink_to(_BIN / "uv")
    path = os.pathsep.join([str(environment / "bin"), str(tools), "/usr/bin", "/bin"])
    return Wheel(file=built, repository=repository, environment=environment, path=path)


def shop(platform: Platform, wheel: Wheel, system: str) -> Path:
    """Makes the platform's checkout such a repository. Returns its top; `platform.root` is where the settings are."""
    top = platform.root
    (top / "rollbacks").mkdir()
    for name in within(top):
        if name.startswith("Pulumi") or name == "smoke.sh":
            git(top, "mv", name, f"rollbacks/{name}")
    pinned = ci_files.Pin(
        host="github.com", path="acme/rollback-cli", commit=SHA, source=f"file://{wheel.file}"
    )
    made = ci_files.files(system, pinned, [platform.settings.environment], folder="rollbacks")
    for path, text in made.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)
    git(top, "add", ".")
    git(top, "commit", "-qm", "what rollback init writes")
    git(top, "remote", "add", "origin", f"https://github.com/{REPOSITORY}.git")
    git(top, "update-ref", "refs/remotes/origin/main", "main")
    platform.root = top / "rollbacks"
    return top


def within(folder: Path) -> list[str]:
    """The names in a folder, in order."""
    return sorted(one.name for one in folder.iterdir())
