"""Tests of the local account are left out where a green run has tried just what there is now, and only there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from localaws.paths import ROOT
from tests import unchanged

_CONFTEST = """
from pathlib import Path
from tests.not_tried import NotTried
from tests.unchanged import Unchanged
def pytest_configure(config):
    config.pluginmanager.register(NotTried())
    config.pluginmanager.register(Unchanged(config, Path(config.rootpath), Path(config.rootpath) / "cache"))
"""
_INI = """
[pytest]
testpaths = tests/integration tests/unit
addopts = -q -p no:cacheprovider --import-mode=importlib
markers =
    unchanged
    soak
"""
_EVERYTHING = ("tests/unit", "tests/integration", "-m", "not soak")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two tests, one of the local account, which has one module."""
    files = {
        "pytest.ini": _INI,
        "tests/integration/localaws/test_account.py": "def test_account(): ...\n",
        "tests/unit/test_product.py": "def test_product(): ...\n",
        "localaws/account.py": "",
        "requirements.txt": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    return tmp_path


def run(project: Path, *arguments: str) -> str:
    """The line in which pytest counts, without its time; and before it, if something was not tried, why."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    *_, before, last = done.stdout.strip().splitlines()
    return (f"{before}; " if before.startswith("not tried") else "") + last.rpartition(" in ")[0]


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_they_are_left_out_from_a_green_run_until_something_of_theirs_changes(
    project: Path, workers: tuple[str, ...]
) -> None:
    first = run(project, *_EVERYTHING, *workers)
    again = run(project, *_EVERYTHING, *workers)
    (project / "localaws" / "account.py").write_text("CHANGED = True\n")
    changed = run(project, *_EVERYTHING, *workers)

    assert (first, changed) == ("2 passed", "2 passed")
    assert again.startswith("not tried: 1 (localaws/ is as it was when they passed); 1 passed")


def test_who_names_them_and_a_soak_run_them_always(project: Path) -> None:
    run(project, *_EVERYTHING)

    assert run(project, "tests/unit", "tests/integration") == "2 passed", "a soak"
    assert run(project, "tests/integration", "-m", "not soak") == "1 passed"


def test_a_run_that_fails_or_is_not_whole_leaves_nothing_out_of_the_next_one(project: Path) -> None:
    run(project, "tests/integration", "-m", "not soak")
    run(project, *_EVERYTHING, "-k", "account")
    (project / "tests" / "unit" / "test_product.py").write_text("def test_product(): assert False\n")
    run(project, *_EVERYTHING)
    (project / "tests" / "unit" / "test_product.py").write_text("def test_product(): ...\n")

    assert run(project, *_EVERYTHING) == "2 passed"


def test_what_is_watched_is_there() -> None:
    assert [name for name in unchanged.WATCHED if not (ROOT / name).exists()] == []
