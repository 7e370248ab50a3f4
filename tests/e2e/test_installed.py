"""What others install: one wheel that gives the command, the Python API and the components; the rest are extras."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import rollback
from localaws import wheel as wheels
from localaws.wheel import Installed
from rollback.util.errors import Code
from rollback.util.version import DISTRIBUTION
from tests.e2e.docs_as_typed import commands
from tests.e2e.estate_under_test import ALICE, DAN, FUNCTIONS, REASON, Platform
from tests.warm import Run

_COMPONENTS = """
import importlib, pkgutil, rollback.components
for module in pkgutil.iter_modules(rollback.components.__path__):
    print(importlib.import_module(f"rollback.components.{module.name}").__name__)
"""

_API = """
from rollback import Environment, UsageError
try:
    Environment.open("dev")
except UsageError as error:
    print(error.code)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels.build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Installed]:
    """Extras → an environment that has the wheel with them."""

    @cache
    def one(*extras: str) -> Installed:
        return wheels.install(wheel, tmp_path_factory.mktemp("installed") / "venv", *extras)

    return one


def test_the_wheel_has_the_command_and_the_components_and_nothing_else_at_the_top(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    tops = {name.split("/")[0] for name in names}
    ours = {name for name in names if name.startswith("rollback/")}

    assert {top.partition("-")[0] for top in tops} == {"rollback", DISTRIBUTION.replace("-", "_")}
    # Style, script, the mark of typed packages and all modules: whatever the repository has in the two folders.
    assert ours == {
        name.replace("components/", "rollback/components/", 1) if name.startswith("components/") else name
        for name in wheels.sources()
        if name.startswith(("rollback/", "components/"))
    }


def test_from_an_empty_folder_the_command_and_the_api_answer(
    installed: Callable[..., Installed], tmp_path: Path
) -> None:
    script = installed().script

    helped, version = _typed(tmp_path, script, "--help"), _typed(tmp_path, script, "--version")
    nowhere = _typed(tmp_path, script, "status", "--env", "dev", "--json")
    module = _typed(tmp_path, installed().python, "-m", "rollback", "--version")
    api = _typed(tmp_path, installed().python, "-c", _API)

    assert (helped.code, version.code, nowhere.code) == (0, 0, 2)
    assert "lambda" in helped.out
    assert version.out.split() == ["rollback", rollback.__version__] == module.out.split()
    assert json.loads(nowhere.err)["code"] == Code.NO_CHECKOUT == api.out.strip()


def test_the_components_are_a_package_of_the_commands(
    installed: Callable[..., Installed], tmp_path: Path
) -> None:
    run = _typed(tmp_path, installed("components").python, "-c", _COMPONENTS)
    here = Path(rollback.__file__).parents[1] / "components"

    assert run.code == 0, run.err
    assert run.out.split() == sorted(
        f"rollback.components.{path.stem}" for path in here.glob("*.py") if path.stem != "__init__"
    )


def test_functions_are_rolled_back_where_no_extra_is_installed(
    installed: Callable[..., Installed], dev: Platform
) -> None:
    dev.story()
    script = installed().script

    planned = _on(dev, script, "lambda", "--reason", REASON, "--dry-run", "--json")
    done = _on(dev, script, "lambda", "--reason", REASON, "--json")
    seen = [_on(dev, script, verb, "--json") for verb in ("status", "verify", "history", "audit")]
    report = _on(dev, script, "report", "--file", str(dev.folder / "report.html"))
    recorded = dev.command(
        [script, "release", "record", "--version", "v1.3.0", "--commit", "a" * 40, "--env", "dev"], as_=DAN
    ).finish()

    assert planned.code == done.code == 0, str(done)
    assert done.json["status"] == "COMPLETE"
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")
    assert [run.code for run in seen] == [0, 0, 0, 0], "\n".join(map(str, seen))
    assert report.code == 0, str(report)
    assert recorded.code == 0, str(recorded)


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["stack", "--to", "previous", "--reason", REASON, "--env", "dev"], "pulumi"),
        pytest.param(["adopt", "--env", "dev"], "pulumi", marks=pytest.mark.soak),
        pytest.param(["foundation", "split", "--env", "dev"], "pulumi", marks=pytest.mark.soak),
        (["tools", "install"], "pulumi"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_a_verb_that_needs_an_extra_names_it(
    installed: Callable[..., Installed], untouched: Platform, arguments: list[str], extra: str
) -> None:
    run = untouched.command([installed().script, *arguments, "--json"], as_=DAN).finish()

    assert run.code == 2, str(run)
    assert run.error is not None
    assert run.error["code"] == Code.EXTRA_MISSING
    assert f"pip install '{DISTRIBUTION}[{extra}]'" in run.error["message"]


def test_with_its_extra_a_stack_is_driven_and_a_terraform_file_is_read(
    installed: Callable[..., Installed], tmp_path: Path
) -> None:
    stack = "from rollback.targets.stack import target"
    file = "from rollback.engines import hcl; hcl.backend('terraform {}')"
    told = "import slack_sdk.webhook"

    with_it = [
        _typed(tmp_path, installed(extra).python, "-c", program)
        for extra, program in (("pulumi", stack), ("terraform", file), ("slack", told))
    ]
    without = [_typed(tmp_path, installed().python, "-c", program) for program in (stack, file, told)]

    assert [run.code for run in with_it] == [0, 0, 0], "\n".join(map(str, with_it))
    assert [run.code for run in without] == [1, 1, 1]


@pytest.mark.parametrize(
    ("builds", "installs"),
    # To upgrade, the same two lines are typed, and what was built before is removed.
    [pytest.param(0, 0, id="installing"), pytest.param(1, 1, id="upgrading", marks=pytest.mark.soak)],
)
def test_the_page_s_lines_build_the_wheel_in_a_checkout_and_install_it(
    tmp_path: Path, builds: int, installs: int
) -> None:
    """No index is asked: what builds it is here already, and what it requires is not installed."""
    page = [line.command for line in commands(wheels.ROOT / "docs" / "install.md")]
    build = [line for line in page if line.endswith("uv build --wheel")][builds]
    install = [line for line in page if line.startswith("pip install ") and line.endswith(" dist/*.whl")][
        installs
    ]
    checkout, venv = tmp_path / "checkout", tmp_path / "venv"
    wheels.copy(checkout)
    wheels.environment(venv)
    offline = {
        "PATH": f"{venv / 'bin'}:{Path(wheels.UV).parent}:/usr/bin:/bin",
        "UV_OFFLINE": "1",
        "UV_NO_BUILD_ISOLATION": "1",
        "UV_PYTHON": sys.executable,
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "HOME": str(tmp_path),
    }

    for line in (build, install):
        done = subprocess.run(
            ["sh", "-c", line], cwd=checkout, env=offline, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"

    assert (venv / "bin" / "rollback").exists()


def _typed(folder: Path, *command: str) -> Run:
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return Run(code=done.returncode, out=done.stdout, err=done.stderr)


def _on(platform: Platform, script: str, *arguments: str) -> Run:
    return platform.command([script, *arguments, "--env", "dev"], as_=ALICE).finish()
