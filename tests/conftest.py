"""At the end of every run: no planted secret in anything that commands said or left (`tests.planted`)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import planted

_FOLDER, _LEAKS = pytest.StashKey[Path](), pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    # Workers inherit the folder of the process that has started them, which searches it.
    if not hasattr(config, "workerinput"):
        config.stash[_FOLDER] = planted.begin()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    folder = session.config.stash.get(_FOLDER, None)
    if folder is not None:
        session.config.stash[_LEAKS] = leaks = planted.search(folder)
        shutil.rmtree(folder, ignore_errors=True)
        if leaks:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    leaks = config.stash.get(_LEAKS, [])
    if leaks:
        terminalreporter.section("planted secrets came up", red=True, bold=True)
        for leak in leaks:
            terminalreporter.write_line(leak)
