"""Another repository's CI: it has the settings and the files that `rollback init` writes, and nothing else of ours.

The command is installed from a wheel by the jobs themselves, into an environment that has its dependencies alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from localaws import wheel as wheels
from localaws.paths import ROOT
from rollback.config.settings import load
from rollback.model import ci_files
from tests.e2e.actions_under_test import REPOSITORY, GitHub, Workflow, github, run
from tests.e2e.estate_under_test import DAN, FUNCTIONS, REASON, Platform, git

SHA = "0123456789abcdef0123456789abcdef01234567"
OURS = f"acme/rollback-cli@{SHA}"
_BIN = Path(sys.executable).parent


@dataclass(kw_only=True)
class Wheel:
    """The wheel, the repository that it was made from, and an environment that has what it requires, but not it."""

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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def wheel(built: Path, tmp_path: Path) -> Wheel:
    repository, environment, tools = tmp_path / "rollback-cli", tmp_path / "python", tmp_path / "tools"
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


@pytest.fixture
def hub() -> Iterator[GitHub]:
    with github() as running:
        yield running


def shop(platform: Platform, wheel: Wheel, system: str, source: str = "") -> Path:
    """The platform's checkout as another team has it: settings in a folder of their own, and the files of its CI."""
    top = platform.root
    names = [name for name in _in(top) if name.startswith("Pulumi") or name == "smoke.sh"]
    (top / "rollbacks").mkdir()
    for name in names:
        git(top, "mv", name, f"rollbacks/{name}")
    source = source or f"file://{wheel.file}"
    pinned = ci_files.Pin(host="github.com", path="acme/rollback-cli", commit=SHA, source=source)
    environment = platform.settings.environment
    for path, text in ci_files.files(system, pinned, [environment], folder="rollbacks").items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)
    git(top, "add", ".")
    git(top, "commit", "-qm", "what rollback init writes")
    git(top, "remote", "add", "origin", f"https://github.com/{REPOSITORY}.git")
    git(top, "update-ref", "refs/remotes/origin/main", "main")
    platform.root = top / "rollbacks"
    return top


def _in(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def called(
    platform: Platform, wheel: Wheel, top: Path, name: str, inputs: dict[str, str], *, hub: GitHub
) -> Workflow:
    return run(
        platform,
        name,
        inputs,
        hub,
        root=top,
        path=wheel.path,
        called={OURS: wheel.repository},
        env={"PYTHONPATH": "", "STUB_PYTHON": sys.executable, "STUB_SETTINGS": "rollbacks"},
    )


def test_on_github_another_repository_rolls_back_by_a_few_lines_that_call_ours(
    prod: Platform, hub: GitHub, wheel: Wheel
) -> None:
    prod.story()
    top = shop(prod, wheel, ci_files.GITHUB)
    hub.approved("prod-rollback-approval", "bob")
    before = wheel.version

    done = called(prod, wheel, top, "rollback.yml", {"environment": "prod", "reason": REASON}, hub=hub)

    assert done.jobs == dict.fromkeys(("plan", "approval", "apply", "end"), "success"), str(done)
    shown = prod.show(done.outputs["rollback_id"])
    assert shown["status"] == "COMPLETE"
    assert shown["initiated_by"] == {"role": "bbws-access-prod-rollback-role", "person": "alice"}
    assert shown["approved_by"] == {"role": "bbws-access-prod-approver-role", "person": "bob"}
    assert prod.versions() == dict.fromkeys(FUNCTIONS, "2")
    assert not before
    assert wheel.version, "the jobs have installed it"
    assert _in(top) == [".git", ".github", ".gitignore", "rollbacks"]


def test_on_github_another_repositorys_deployment_records_its_release(
    dev: Platform, hub: GitHub, wheel: Wheel
) -> None:
    dev.deploy("v1.1.0")
    top = shop(dev, wheel, ci_files.GITHUB)

    done = called(dev, wheel, top, "record-release.yml", {"environment": "dev", "version": "v1.1.0"}, hub=hub)

    assert done.jobs == {"record": "success"}, str(done)
    listed = dev.rollback("release", "list", "--json", as_=DAN).json
    assert [(row["version"], row["commit"]) for row in listed] == [("v1.1.0", git(top, "rev-parse", "main"))]


def test_a_workflow_that_is_called_from_elsewhere_without_a_source_says_so(
    dev: Platform, hub: GitHub, wheel: Wheel
) -> None:
    top = shop(dev, wheel, ci_files.GITHUB)
    file = top / ".github/workflows/rollback.yml"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if "source:" not in line))
    git(top, "commit", "-qam", "no source")

    done = called(dev, wheel, top, "rollback.yml", {"environment": "dev", "reason": REASON}, hub=hub)

    assert done.jobs == {"plan": "failure"}, str(done)
    assert "name its source" in done.log


def test_the_action_gives_another_repositorys_job_the_command_of_its_own_commit(
    dev: Platform, hub: GitHub, wheel: Wheel
) -> None:
    top = shop(dev, wheel, ci_files.GITHUB)
    (top / ".github/workflows/own.yml").write_text(f"""\
name: Own
on: workflow_dispatch
permissions: {{}}
jobs:
  own:
    name: Own
    runs-on: ubuntu-latest
    steps:
      - uses: acme/rollback-cli/.github/actions/prepare@{SHA}
      - id: said
        name: Which
        run: |
          mkdir rollback && echo 'raise SystemExit("not this one")' > rollback/__init__.py
          echo "version=$(rollback --version)" >> "$GITHUB_OUTPUT"
""")
    git(top, "add", ".")
    git(top, "commit", "-qm", "own")

    done = called(dev, wheel, top, "own.yml", {}, hub=hub)

    assert done.jobs == {"own": "success"}, str(done)
    assert done.outputs["version"].startswith("rollback ")
    assert not wheel.version, "nothing but its dependencies is installed"
    assert load(dev.root, "dev").account == dev.settings.account
