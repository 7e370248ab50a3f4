"""No run of the tests waits for ever for one of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from localaws.paths import ROOT

_CONFTEST = """
from tests.time_limit import TimeLimit
def pytest_configure(config):
    config.pluginmanager.register(TimeLimit(1))
"""
_HANGING = """
import pytest, subprocess, threading, time
from unittest import mock

@pytest.fixture
def hanging():
    threading.Event().wait()

@pytest.fixture
def never_cleaned_up():
    yield
    threading.Lock().acquire() and threading.Event().wait()

def test_a_lock(): threading.Event().wait()
def test_a_process(): subprocess.run(["sleep", "600"])
def test_no_error_is_taken_for_it():
    while True:
        try:
            time.sleep(600)
        except Exception:
            pass
def test_set_up(hanging): ...
def test_clean_up(never_cleaned_up): ...
def test_that_ends(): ...
"""
_KILLED = """
import os
def test_before(): ...
def test_that_kills_its_worker(): os._exit(1)
"""


def _run(folder: Path, program: str, *arguments: str) -> list[str]:
    (folder / "conftest.py").write_text(_CONFTEST)
    (folder / "test_it.py").write_text(program)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=no", *arguments, str(folder)]
    run = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    assert run.returncode == 1
    return sorted(
        {
            line.partition(" - ")[0].replace("test_it.py::", "")
            for line in run.stdout.splitlines()
            if line.startswith(("PASSED", "FAILED", "ERROR"))
        }
    )


def test_what_hangs_fails_and_what_comes_after_it_runs(tmp_path: Path) -> None:
    assert _run(tmp_path, _HANGING) == [
        "ERROR test_clean_up",
        "ERROR test_set_up",
        "FAILED test_a_lock",
        "FAILED test_a_process",
        "FAILED test_no_error_is_taken_for_it",
        "PASSED test_clean_up",
        "PASSED test_that_ends",
    ]


def test_a_worker_that_is_gone_ends_the_run(tmp_path: Path) -> None:
    arguments = ("-n", "2", "--dist", "loadfile", "--max-worker-restart", "0")

    assert "FAILED test_that_kills_its_worker" in _run(tmp_path, _KILLED, *arguments)
