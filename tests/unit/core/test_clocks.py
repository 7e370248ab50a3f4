"""Time goes on while a machine is suspended."""

from __future__ import annotations

import time

import pytest

from rollback.util.clocks import Clocks


@pytest.mark.finding("CLOCK_BOOTTIME")
@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no such clock")
def test_a_lease_runs_out_while_its_holder_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks, real = Clocks(now=lambda: ""), time.clock_gettime
    before = clocks.monotonic()

    monkeypatch.setattr(
        time, "clock_gettime", lambda clock: real(clock) + (3600 if clock == time.CLOCK_BOOTTIME else 0)
    )

    assert clocks.monotonic() - before >= 3600


def test_without_that_clock_it_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)

    assert abs(Clocks(now=lambda: "").monotonic() - time.monotonic()) < 60
