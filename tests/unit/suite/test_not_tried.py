"""The last lines of a run count the tests that it did not try, by their reasons."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from localaws.paths import ROOT

_TESTS = """
import pytest

@pytest.fixture(scope="module")
def browser():
    pytest.skip("no browser: install one")

@pytest.mark.parametrize("number", range(3))
def test_of_a_page(browser, number): ...
@pytest.mark.skipif(True, reason="another system")
def test_of_a_system(): ...
@pytest.mark.soak
def test_of_a_soak(): ...
@pytest.mark.soak
@pytest.mark.slow
def test_of_a_long_soak(): ...
@pytest.mark.slow
def test_that_is_slow(): ...
def test_that_is_tried(): ...
"""


def last_lines(folder: Path, *options: str) -> list[str]:
    """What a run with this project's hook ends with, its own last line left out."""
    (folder / "conftest.py").write_text(
        "from tests.not_tried import NotTried\n"
        "def pytest_configure(config):\n    config.pluginmanager.register(NotTried())\n"
    )
    (folder / "test_it.py").write_text(_TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  slow\n  soak\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", *options, str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "1 passed" in lines[-1]
    first = next(number for number, line in enumerate(lines) if line.startswith("not tried"))
    return lines[first:-1]


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_what_is_skipped_and_what_a_longer_run_has_are_counted_once_whoever_runs_them(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    ended = last_lines(tmp_path, "-m", "not soak and not slow", *workers)

    assert ended[0] == "not tried: 3 (no browser: install one)"
    assert sorted(ended[1:]) == [
        "not tried: 1 (another system)",
        "not tried: 1 (left to make test)",
        "not tried: 2 (left to make soak)",
    ]


def test_what_a_person_leaves_out_is_counted_as_well(tmp_path: Path) -> None:
    ended = last_lines(tmp_path, "-k", "tried or page")

    assert "not tried: 1 (deselected)" in ended
