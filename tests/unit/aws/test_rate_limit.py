"""Pace: never more calls than the quota, never later than it allows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback.aws.rate_limit import SlidingWindow, TokenBucket


class Limit(Protocol):
    def take(self) -> float: ...


class Time:
    """A clock that goes on by sleeping, and by `idle`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def idle(self, seconds: float) -> None:
        self.now += seconds


def bucket(time: Time) -> TokenBucket:
    return TokenBucket(rate=14, burst=14, clock=time.clock, sleep=time.sleep)


def window(time: Time) -> SlidingWindow:
    return SlidingWindow(limit=90, clock=time.clock, sleep=time.sleep)


def starts(make: Callable[[Time], Limit], pauses: list[float]) -> list[float]:
    """When each call goes that is asked for after a pause, from the first on."""
    time = Time()
    limit = make(time)
    times = []
    for pause in pauses:
        time.idle(pause)
        limit.take()
        times.append(time.now - 1000.0)
    return times


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    times = starts(bucket, [0.0] * 42)
    assert times[:14] == [0.0] * 14
    assert times[-1] == pytest.approx((42 - 14) / 14)


def test_a_window_lets_its_limit_go_at_once_and_the_next_after_a_second() -> None:
    times = starts(window, [0.0] * 200)
    assert times[:90] == [0.0] * 90
    assert times[90:180] == [1.0] * 90
    assert times[180:] == [2.0] * 20


def test_a_window_below_one_a_second() -> None:
    time = Time()
    limit = SlidingWindow(limit=1, seconds=1 / 0.5, clock=time.clock, sleep=time.sleep)
    assert [limit.take() for _ in range(3)] == [0.0, 2.0, 2.0]


@given(st.lists(st.sampled_from([0.0, 0.001, 0.05, 0.3, 0.999, 1.0, 5.0]), max_size=400))
def test_no_second_holds_more_reads_than_the_limit(pauses: list[float]) -> None:
    times = starts(window, pauses)
    for first, beyond in zip(times, times[90:], strict=False):
        assert beyond - first > 1 - 1e-6


@given(st.lists(st.sampled_from([0.0, 0.001, 0.05, 0.3, 0.999, 1.0, 5.0]), max_size=200))
def test_writes_stay_within_a_bucket_of_the_quotas_size(pauses: list[float]) -> None:
    tokens, last = 15.0, 0.0
    for at in starts(bucket, pauses):
        tokens = min(15.0, tokens + (at - last) * 15)
        last = at
        tokens -= 1
        assert tokens > -1e-6


@pytest.mark.parametrize("make", [bucket, window])
def test_threads_share_one_limit(make: Callable[[Time], Limit]) -> None:
    """Real threads on a clock that stands still: their waits are those of one caller after another."""
    time = Time()
    limit = make(time)
    waits: list[float] = []
    limit.sleep = waits.append  # type: ignore[attr-defined]

    def work() -> None:
        for _ in range(25):
            limit.take()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {bucket: (200 - 14) / 14, window: 2.0}[make]
    assert max(waits) == pytest.approx(expected)
