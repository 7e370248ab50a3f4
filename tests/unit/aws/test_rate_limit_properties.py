"""Pace: whoever counts never sees more than the burst and the rate; and what it learns from throttles."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback.aws.rate_limit import (
    LEAST,
    RECOVERY,
    Learned,
    Limit,
    PacedBucket,
    RateWindow,
    SlidingWindow,
    TokenBucket,
)
from tests.doubles.clock import Clock

# Lambda's quota of control-plane calls, and what this project asks for of it (Pulumi.yaml).
QUOTA, RATE, BURST = 15.0, 14.9, 13
PAUSES = st.lists(
    st.one_of(st.sampled_from([0.0, 0.01, 0.4]), st.floats(0, 3), st.just("throttle")),
    min_size=1,
    max_size=60,
)


def bucket(rate: float, burst: int) -> tuple[TokenBucket, Clock]:
    clock = Clock()
    return TokenBucket(rate=rate, burst=burst, clock=clock.monotonic, sleep=clock.sleep), clock


def gone(limit: Limit, clock: Clock, pauses: list[float | str]) -> list[float]:
    """When each call went, with throttles in between."""
    times = []
    for pause in pauses:
        if isinstance(pause, str):
            limit.throttled()
        else:
            clock.sleep(pause)
            limit.take()
            times.append(clock.seconds)
    return times


@given(st.floats(0.5, 200), st.integers(1, 30), PAUSES)
def test_no_window_ever_holds_more_than_the_burst_and_what_the_rate_gives(
    rate: float, burst: int, pauses: list[float | str]
) -> None:
    tokens, clock = bucket(rate, burst)
    times = gone(tokens, clock, pauses)

    for first in range(len(times)):
        for last in range(first, len(times)):
            allowed = burst + rate * (times[last] - times[first])
            assert last - first + 1 <= allowed + 1e-6


@given(st.integers(1, 30), PAUSES)
def test_no_second_ever_holds_more_reads_than_the_limit_whatever_was_learned(
    limit: int, pauses: list[float | str]
) -> None:
    clock = Clock()
    reads = SlidingWindow(limit=limit, clock=clock.monotonic, sleep=clock.sleep)
    times = gone(reads, clock, pauses)

    assert all(later - first > 1 - 1e-6 for first, later in zip(times, times[limit:], strict=False))


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


# -- what it learns ---------------------------------------------------------------------------------------


def test_a_throttle_halves_the_share_and_it_comes_back_by_as_much_in_every_second() -> None:
    learned = Learned().throttled(100.0)

    assert learned.at(100.0) == 0.5
    assert learned.at(100.0 + RECOVERY / 4) == pytest.approx(0.75)
    assert learned.at(100.0 + RECOVERY / 2) == learned.at(1e9) == 1.0
    assert learned.throttled(100.0 + RECOVERY / 4).at(100.0 + RECOVERY / 4) == pytest.approx(0.375)


@given(st.lists(st.floats(0, 100), max_size=40))
def test_the_share_is_never_more_than_all_nor_less_than_the_least(pauses: list[float]) -> None:
    learned, now = Learned(), 0.0
    for pause in pauses:
        now += pause
        before = learned.at(now)
        learned = learned.throttled(now)
        assert LEAST <= learned.at(now) <= before <= 1
        assert learned.at(now) in (LEAST, pytest.approx(before / 2))


def test_after_a_throttle_nothing_goes_at_once_and_the_rate_is_half() -> None:
    rule = PacedBucket(rate=10.0, burst=10)
    for _ in range(5):
        rule, _ = rule.reserve(0.0)

    rule = rule.throttled(0.0)
    slots = []
    for _ in range(4):
        rule, slot = rule.reserve(0.0)
        slots.append(slot)

    assert slots[0] == pytest.approx(0.2)
    assert 0.15 < slots[3] - slots[2] < 0.2, "half the rate, and a little more as time goes on"


def test_after_a_throttle_half_as_many_reads_go_in_a_second() -> None:
    rule = RateWindow(limit=10).throttled(0.0)
    slots = []
    for _ in range(11):
        rule, slot = rule.reserve(0.0)
        slots.append(slot)

    assert slots == [0.0] * 5 + [1.0] * 5 + [2.0]


def test_calls_that_were_under_way_together_teach_one_lesson() -> None:
    """Ten threads send, then all ten are throttled: that is one deployment of another team's, not ten."""
    clock = Clock()
    tokens = TokenBucket(rate=RATE, burst=BURST, clock=clock.monotonic, sleep=clock.sleep)
    sent = threading.Barrier(10)

    def one() -> None:
        tokens.take()
        sent.wait()
        tokens.throttled()

    threads = [threading.Thread(target=one) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    before = clock.seconds
    tokens.take()
    assert clock.seconds - before == pytest.approx(2 / RATE), "half the rate, not a thousandth"


def test_who_waits_while_a_throttle_comes_waits_again_at_the_pace_that_was_learned() -> None:
    clock = Clock()
    tokens = TokenBucket(rate=10.0, burst=1, clock=clock.monotonic, sleep=clock.sleep)
    tokens.take()

    def throttled() -> None:
        tokens.take()
        tokens.throttled()

    other = threading.Thread(target=throttled)

    def meanwhile(_: float) -> None:
        clock.meanwhile = lambda _: None
        other.start()
        other.join()

    clock.meanwhile = meanwhile
    tokens.take()

    # 0.1 s for its own turn, 0.1 s for the other's, then 0.2 s at half the rate.
    assert clock.seconds == pytest.approx(0.4, abs=0.01)


@pytest.mark.finding("F5")
def test_who_is_throttled_asks_again_after_those_who_wait() -> None:
    """Else one call uses up all of its attempts while nobody else has one."""
    clock = Clock()
    tokens = TokenBucket(rate=10.0, burst=1, clock=clock.monotonic, sleep=clock.sleep)
    went = []

    def throttled() -> None:
        tokens.take()
        tokens.throttled()
        tokens.take()
        went.append(clock.seconds)

    def meanwhile(_: float) -> None:
        clock.meanwhile = lambda _: None
        other.start()
        other.join()

    other = threading.Thread(target=throttled)
    tokens.take()
    clock.meanwhile = meanwhile
    tokens.take()

    # 0.1 s for our turn, 0.1 s for the other's; then, at half the rate, 0.2 s for ours, and only then the other's.
    assert went == [pytest.approx(0.6, abs=0.01)]


@dataclass
class Quota:
    """The account's bucket, of which somebody else takes `foreign` calls a second as long as there are any."""

    foreign: float
    tokens: float = QUOTA
    at: float = 0.0
    refused: int = 0
    _owed: float = field(default=0.0)

    def call(self, now: float) -> bool:
        """Whether a call of ours gets through."""
        self._owed += (now - self.at) * self.foreign
        self.tokens = min(QUOTA, self.tokens + (now - self.at) * QUOTA)
        self.at = now
        taken = min(int(self._owed), int(self.tokens))
        # What somebody else was refused, they ask for again.
        self._owed, self.tokens = min(self._owed - taken, QUOTA), self.tokens - taken
        if self.tokens < 1:
            self.refused += 1
            return False
        self.tokens -= 1
        return True


@pytest.mark.parametrize("count", [42, 500, 5000])
def test_alone_nothing_is_throttled_and_it_takes_hardly_longer_than_the_quota_asks(count: int) -> None:
    tokens, clock = bucket(RATE, BURST)
    quota = Quota(foreign=0.0)
    for _ in range(count):
        tokens.take()
        assert quota.call(clock.seconds)

    assert clock.seconds <= 1.09 * (count - 15) / 15


@pytest.mark.parametrize("count", [42, 500, 5000])
def test_all_gets_done_while_somebody_else_takes_half(count: int) -> None:
    tokens, clock = bucket(RATE, BURST)
    quota = Quota(foreign=QUOTA / 2)
    for _ in range(count):
        for _ in range(20):
            tokens.take()
            if quota.call(clock.seconds):
                break
            tokens.throttled()
        else:
            pytest.fail("throttled twenty times in a row")

    assert quota.refused <= 2 + count / 20
    # Half of the quota is what there is for us.
    assert clock.seconds <= 1.5 * count / (QUOTA / 2)


def test_once_the_other_has_ended_the_pace_is_what_was_configured_again() -> None:
    tokens, clock = bucket(RATE, BURST)
    tokens.take()
    tokens.throttled()
    clock.sleep(RECOVERY)
    before = clock.seconds
    for _ in range(100):
        tokens.take()

    assert clock.seconds - before == pytest.approx((100 - BURST) / RATE)
