"""Pace: whoever counts, in any window of any length, never sees more than the burst and the rate."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from rollback.pace import TokenBucket
from tests.doubles.clock import Clock


def bucket(rate: float, burst: int) -> tuple[TokenBucket, Clock]:
    clock = Clock()
    return TokenBucket(rate=rate, burst=burst, clock=clock.monotonic, sleep=clock.sleep), clock


@given(
    st.floats(0.5, 200),
    st.integers(1, 30),
    st.lists(st.floats(0, 3), min_size=1, max_size=60),
)
def test_no_window_ever_holds_more_than_the_burst_and_what_the_rate_gives(
    rate: float, burst: int, pauses: list[float]
) -> None:
    tokens, clock = bucket(rate, burst)
    times = []
    for pause in pauses:
        clock.sleep(pause)
        tokens.take()
        times.append(clock.seconds)

    for first in range(len(times)):
        for last in range(first, len(times)):
            allowed = burst + rate * (times[last] - times[first])
            assert last - first + 1 <= allowed + 1e-6


@given(st.floats(0.5, 200), st.integers(1, 30), st.integers(1, 100))
def test_a_run_without_a_pause_takes_no_longer_than_the_floor(rate: float, burst: int, count: int) -> None:
    tokens, clock = bucket(rate, burst)

    waited = sum(tokens.take() for _ in range(count))

    assert abs(clock.seconds - max(0, count - burst) / rate) < 1e-6
    assert abs(waited - clock.seconds) < 1e-6


def test_threads_share_one_bucket() -> None:
    waits: list[float] = []
    tokens = TokenBucket(rate=10, burst=4, clock=lambda: 0.0, sleep=waits.append)
    threads = [threading.Thread(target=tokens.take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [round(wait, 6) for wait in sorted(waits) if wait > 1e-9] == [0.1, 0.2, 0.3, 0.4]
