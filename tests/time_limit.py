"""A test that hangs fails, with the line that it hangs at, and the run goes on."""

from __future__ import annotations

import contextlib
import faulthandler
import signal
import sys
from collections.abc import Generator, Iterator
from types import FrameType

import pytest


class TimeLimit:
    """Gives the set-up, the call and the clean-up of each test `seconds`, and then raises in the main thread, where tests run.

    What raises is heard at once by waits for locks, processes and streams. Only what waits for ever in C without
    being interrupted is left to pytest's own limit (`faulthandler_timeout`), which ends the worker.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    @contextlib.contextmanager
    def _limited(self) -> Iterator[None]:
        before = signal.signal(signal.SIGALRM, self._late)
        # Again and again: the clean-up of what hung may hang as well.
        signal.setitimer(signal.ITIMER_REAL, self._seconds, self._seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _late(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signal module's
        faulthandler.dump_traceback(sys.__stderr__ or 2)
        pytest.fail(f"it has not ended after {self._seconds:g} s")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, None, None]:
        with self._limited():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, None, None]:
        with self._limited():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, None, None]:
        with self._limited():
            return (yield)
