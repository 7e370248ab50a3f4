"""At the end of every run: no planted secret in anything that commands said or left (`tests.planted`), and, of a run
of all end-to-end tests, whether what they asked of AWS is what `tests.asked` keeps. The last lines count what was not
tried (`tests.not_tried`).
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import asked, longest_first, planted
from tests.models_once import read_models_once
from tests.not_tried import NotTried
from tests.time_limit import TimeLimit
from tests.unchanged import Unchanged

if TYPE_CHECKING:
    from tests.warm import Warm

_FOLDER, _LEAKS = pytest.StashKey[Path](), pytest.StashKey[list[str]]()
_ASKED, _NEWS = pytest.StashKey[Path](), pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """Commands and the engine's plugins are forks from here on."""
    # A checkout's smoke tests come with this file, and without the local account.
    from tests import prepared  # noqa: PLC0415 - as above
    from tests.warm import Warm  # noqa: PLC0415 - as above

    prepared.account()
    with Warm() as running, running.in_place_of_plugins():
        yield running


# Seconds; the longest test takes a third of it on two busy cores.
_LONGEST = 300


def pytest_configure(config: pytest.Config) -> None:
    read_models_once()
    config.pluginmanager.register(TimeLimit(_LONGEST))
    config.pluginmanager.register(longest_first)
    if (config.rootpath / "localaws").is_dir():
        from localaws.paths import cache  # noqa: PLC0415 - not where smoke tests are alone

        config.pluginmanager.register(Unchanged(config, config.rootpath, cache() / "passed"))
    config.pluginmanager.register(NotTried())
    # Workers inherit the folders of the process that has started them, which searches them.
    if not hasattr(config, "workerinput"):
        config.stash[_FOLDER] = planted.begin()
        if asked.whole(config.args, config.rootpath):
            config.stash[_ASKED] = asked.begin()


def pytest_collection_finish() -> None:
    # All tests of all files are here for good: looking through them for garbage was a tenth of a worker's time.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    folder = session.config.stash.get(_FOLDER, None)
    if folder is not None:
        session.config.stash[_LEAKS] = leaks = planted.search(folder)
        shutil.rmtree(folder, ignore_errors=True)
        if leaks:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    place = session.config.stash.get(_ASKED, None)
    if place is not None:
        if session.exitstatus == pytest.ExitCode.OK and not _selected(session.config):
            session.config.stash[_NEWS] = news = asked.differences(
                asked.shapes(place), all_ran=_all_marked(session.config) and _none_skipped(session)
            )
            if news:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        shutil.rmtree(place, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    leaks = config.stash.get(_LEAKS, [])
    if leaks:
        terminalreporter.section("planted secrets came up", red=True, bold=True)
        for leak in leaks:
            terminalreporter.write_line(leak)
    news = config.stash.get(_NEWS, [])
    if news:
        terminalreporter.section(f"{asked.FILE.name} is out of date", red=True, bold=True)
        for line in news:
            terminalreporter.write_line(line)


def _selected(config: pytest.Config) -> bool:
    """Whether tests were picked: then nothing is said of what they ask. `not soak` is what every run leaves out."""
    chosen = ("keyword", "deselect", "ignore", "ignore_glob", "lf", "collectonly")
    marked = config.option.markexpr not in ("", "not soak")
    return marked or any(getattr(config.option, name, None) for name in chosen)


def _all_marked(config: pytest.Config) -> bool:
    """Whether those that only a soak runs are among the tests: some calls are asked for by them alone."""
    return bool(config.option.markexpr == "")


def _none_skipped(session: pytest.Session) -> bool:
    response = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = response.stats.get("skipped", []) if response is not None else []
    return not [report for report in skipped if report.nodeid.startswith("tests/e2e/")]
