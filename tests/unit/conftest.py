"""What holds for all unit tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.doubles.github_runs import serving

# A loaded machine is no bug: an example may take as long as it takes.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# A shell that runs the tests in the background has SIGINT ignored, which children inherit; those of these
# tests are to end by it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb's log is kept in its user's home, which is not the tests'."""
    monkeypatch.setenv("ROLLBACK_LOG", "off")


@pytest.fixture
def github_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """GitHub's API on loopback: run, or attempt of one → its status."""
    runs: dict[str, str] = {}
    with serving(runs) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield runs
