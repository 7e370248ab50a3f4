"""Tests of `localaws/` are left out of `make test` where they have passed with all of it as it is now.

They are about the local account and not about the product, and all other tests use that account anyway. A whole run
that is green writes a file, named after a hash of `localaws/`, of its tests and of the locked requirements, in the
folder of the tools (`localaws.paths.cache`). A new machine has none; `make soak`, and who names a file or a folder,
runs them always.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = ("tests/integration/localaws", "tests/unit/localaws")
# What a change of may change how they end.
WATCHED = (
    *TESTS,
    "localaws",
    "tests/integration/provider_stack.py",
    "tests/prepared.py",
    "requirements.txt",
    "requirements-dev.txt",
)
_MARKER = "not soak"
_CHOOSING = ("keyword", "deselect", "ignore", "ignore_glob", "lf", "collectonly")
_KEY = "unchanged"


def digest(root: Path, watched: Iterable[str] = WATCHED) -> str:
    """Of the interpreter, and of all that is watched: names and contents."""
    seen = hashlib.sha256(sys.version.encode())
    for name in watched:
        place = root / name
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and "__pycache__" not in path.parts:
                seen.update(f"\0{path.relative_to(root)}\0".encode())
                seen.update(hashlib.sha256(path.read_bytes()).digest())
    return seen.hexdigest()[:24]


class Unchanged:
    """A plugin. Workers leave out what the process that started them has decided, since all must collect the same."""

    def __init__(self, config: pytest.Config, root: Path, stamps: Path) -> None:
        self._root, self._before = root, digest(root)
        self._stamps, self._passed = stamps, False
        self._whole = _whole(config, root)
        worker = getattr(config, "workerinput", None)
        self.leaves_out: bool = (
            worker[_KEY]
            if worker is not None
            else self._whole and config.option.markexpr == _MARKER and self._stamp.exists()
        )

    @property
    def _stamp(self) -> Path:
        return self._stamps / f"localaws-{self._before}"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: object) -> None:
        node.workerinput[_KEY] = self.leaves_out  # type: ignore[attr-defined] # pytest-xdist's

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if not self.leaves_out:
            return
        left = [item for item in items if _about_localaws(item.nodeid)]
        for item in left:
            item.add_marker(_KEY)
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if not _about_localaws(item.nodeid)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and _about_localaws(report.nodeid):
            self._passed = True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """What was tried is what was there when the run began, and still is."""
        green = session.exitstatus == pytest.ExitCode.OK and self._whole and self._passed
        if green and not hasattr(session.config, "workerinput") and digest(self._root) == self._before:
            self._stamps.mkdir(parents=True, exist_ok=True)
            self._stamp.touch()


def _about_localaws(nodeid: str) -> bool:
    return nodeid.startswith(TESTS)


def _whole(config: pytest.Config, root: Path) -> bool:
    """Whether all tests are to be run, but for those that only `make soak` runs."""
    places = [(root / argument).resolve() for argument in config.args]
    chosen = config.option.markexpr not in ("", _MARKER) or any(
        getattr(config.option, name, None) for name in _CHOOSING
    )
    return not chosen and all(
        any((root / folder).is_relative_to(place) for place in places)
        for folder in config.getini("testpaths")
    )
