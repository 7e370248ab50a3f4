"""Another repository's CI: it has the settings and the files that `rollback init` writes, and nothing else of ours.

The command is installed from a wheel by the jobs themselves, into an environment that has its dependencies alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localaws import wheel as wheels
from rollback.config.settings import load
from rollback.setup import ci_files
from tests.e2e.actions_under_test import GitHub, Workflow, github, run
from tests.e2e.estate_under_test import DAN, FUNCTIONS, REASON, Platform, git
from tests.e2e.stranger import SHA, Wheel, prepare, shop, within

OURS = f"acme/rollback-cli@{SHA}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def wheel(built: Path, tmp_path: Path) -> Wheel:
    return prepare(built, tmp_path)


@pytest.fixture
def hub() -> Iterator[GitHub]:
    with github() as running:
        yield running


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


@pytest.mark.soak  # test_workflows.py has these jobs roll back and a reviewer approve; test_on_github_another_repositorys_deployment_records_its_release calls from elsewhere
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
    assert within(top) == [".git", ".github", ".gitignore", "rollbacks"]


def test_on_github_another_repositorys_deployment_records_its_release(
    dev: Platform, hub: GitHub, wheel: Wheel
) -> None:
    dev.deploy("v1.1.0")
    top = shop(dev, wheel, ci_files.GITHUB)
    before = wheel.version

    done = called(dev, wheel, top, "record-release.yml", {"environment": "dev", "version": "v1.1.0"}, hub=hub)

    assert done.jobs == {"record": "success"}, str(done)
    assert not before
    assert wheel.version, "the job has installed it"
    assert within(top) == [".git", ".github", ".gitignore", "rollbacks"]
    listed = dev.rollback("release", "list", "--json", as_=DAN).json
    assert [(row["version"], row["commit"]) for row in listed] == [("v1.1.0", git(top, "rev-parse", "main"))]


@pytest.mark.soak  # tests/unit/integrations/test_workflow_steps.py runs that step without a source
def test_a_workflow_that_is_called_from_elsewhere_without_a_source_says_so(
    dev: Platform, hub: GitHub, wheel: Wheel
) -> None:
    top = shop(dev, wheel, ci_files.GITHUB)
    file = top / ".github/workflows/rollback.yml"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if "source:" not in line))
    git(top, "commit", "-qam", "no source")

    done = called(dev, wheel, top, "rollback.yml", {"environment": "dev", "reason": REASON}, hub=hub)

    assert done.jobs == {"plan": "failure"}, str(done)
    assert "exit status 2" in done.log


@pytest.mark.soak  # test_workflows.py has jobs use the same action at the command's own commit
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
