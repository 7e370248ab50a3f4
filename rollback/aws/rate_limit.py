"""Keeps calls below a shared quota: one limit for each, used by all threads of the process.

Lambda allows 15 control-plane calls a second in an account and region, and 100 GetFunction calls ("Lambda
quotas", API requests, https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html). Calls beyond
are throttled, which costs a retry, so it is faster never to exceed them. The limit is asked before every
attempt that leaves the process, retries included. The quota is the account's: a throttle means that somebody
else is using it, too, and how much of it is left can only be learned by trying.

botocore's adaptive retry mode is no replacement; it is "experimental", too
(https://docs.aws.amazon.com/boto3/latest/guide/retries.html; botocore/retries/adaptive.py, bucket.py):
- It knows no limit to begin with: calls are not held back before the first throttle, so a limit that is known
  would be learned from refused calls, each of which costs a retry.
- It has one limit for each client, for all of its operations: after a throttled UpdateAlias it would slow
  GetFunction, which has a quota of its own, and another client of the same account would not know.
- Its bucket is empty when it begins to count: there is no burst, which is what a rollback of a dozen functions is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

# Seconds in which the pace would rise from nothing to what is configured, by as much in every second.
# A pace that was halved once is back after half of it, soon enough for an RTO of minutes. While another
# team's deployment takes half of the quota, it is felt again every eight seconds or so, not at each call.
RECOVERY = 30.0
# The least share of the configured pace: with Lambda's quota about one control-plane call a second. Anybody who
# is throttled even so is not the one who takes the quota.
LEAST = 1 / 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """The share of the configured limit that is used, 0 to 1, `since` a time. Pure; times are monotonic
    seconds.
    """

    share: float = 1.0
    since: float = float("-inf")

    def at(self, now: float) -> float:
        """The share at a time: as it was left by the last throttle, and what has been regained since."""
        if self.share >= 1:
            return 1.0
        return min(1.0, self.share + max(0.0, now - self.since) / RECOVERY)

    def throttled(self, now: float) -> Learned:
        """Half of what it was."""
        return Learned(share=max(LEAST, self.at(now) / 2), since=now)


@dataclass(frozen=True, kw_only=True, slots=True)
class PacedBucket:
    """`rate` tokens a second, at most `burst` saved up; both by the share that was learned. Pure.

    It is kept as the time `next` at which it would have been full but for `burst` tokens.
    """

    rate: float
    burst: int
    next: float = float("-inf")
    learned: Learned = Learned()

    def reserve(self, now: float) -> tuple[PacedBucket, float]:
        """The bucket without the next token, and the time from which on that may be used."""
        share = self.learned.at(max(now, self.next))
        rate, burst = self.rate * share, max(1, int(self.burst * share))
        slot = max(self.next, now - (burst - 1) / rate)
        return replace(self, next=slot + 1 / rate), max(slot, now)

    def throttled(self, now: float) -> PacedBucket:
        """Nothing is saved up any more, and tokens that are not used yet are given back."""
        learned = self.learned.throttled(now)
        return replace(self, next=now + 1 / (self.rate * learned.share), learned=learned)


@dataclass(frozen=True, kw_only=True, slots=True)
class RateWindow:
    """At most `limit` calls in any `seconds`, by the share that was learned. Pure.

    `slots` are the times of the last calls, oldest first.
    """

    limit: int
    seconds: float = 1.0
    slots: tuple[float, ...] = ()
    learned: Learned = Learned()

    def reserve(self, now: float) -> tuple[RateWindow, float]:
        """The window with one more call, and the time from which on that may go."""
        limit = max(1, int(self.limit * self.learned.at(now)))
        slot = max(now, self.slots[-1]) if self.slots else now
        if len(self.slots) >= limit:
            slot = max(slot, self.slots[-limit] + self.seconds)
        return replace(self, slots=(*self.slots[1 - self.limit :], slot) if self.limit > 1 else (slot,)), slot

    def throttled(self, now: float) -> RateWindow:
        """Calls that have not gone yet are forgotten."""
        gone = tuple(slot for slot in self.slots if slot <= now)
        return replace(self, slots=gone, learned=self.learned.throttled(now))


class _Rule(Protocol):
    """What decides when a call may go."""

    def reserve(self, now: float) -> tuple[_Rule, float]: ...
    def throttled(self, now: float) -> _Rule: ...


class Limit:
    """What all threads wait for before a call, and report a throttle to.

    `clock` and `sleep` are seconds, monotonic.
    """

    def __init__(self, rule: _Rule, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self.clock, self.sleep = clock, sleep
        self._rule = rule
        # When each of those who wait may go, by a ticket of its own: first come, first served.
        self._waiting: dict[object, float] = {}
        self._lessons = 0
        # How many throttles were known when this thread's last call went.
        self._knew = threading.local()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Waits until a call may go; returns the seconds waited for it."""
        ticket, waited = object(), 0.0
        with self._lock:
            slot = self._reserve(ticket, self.clock())
        try:
            while True:
                if (wait := slot - self.clock()) > 0:
                    self.sleep(wait)
                    waited += wait
                with self._lock:
                    # A thread that waited while a throttle came waits again, at the lower rate.
                    if self._waiting[ticket] == slot:
                        self._knew.lessons = self._lessons
                        return waited
                    slot = self._waiting[ticket]
        finally:
            with self._lock:
                del self._waiting[ticket]

    def throttled(self) -> None:
        """Learns that this thread's last call was beyond the quota.

        Calls that went before the last lesson teach nothing new: several are under way at a time. Those who wait
        keep their order: the call that was throttled asks again after them, so that none uses up all attempts.
        """
        with self._lock:
            if getattr(self._knew, "lessons", 0) == self._lessons:
                now = self.clock()
                self._rule = self._rule.throttled(now)
                self._lessons += 1
                for ticket in self._waiting:
                    self._reserve(ticket, now)

    def _reserve(self, ticket: object, now: float) -> float:
        self._rule, slot = self._rule.reserve(now)
        self._waiting[ticket] = slot
        return slot


class TokenBucket(Limit):
    """A `PacedBucket` for threads."""

    def __init__(
        self,
        *,
        rate: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(PacedBucket(rate=rate, burst=burst), clock, sleep)


class SlidingWindow(Limit):
    """A `RateWindow` for threads.

    It keeps below a quota of that many a second however it is counted: by the second or by a bucket. A few
    dozen reads, which are what a person waits for, go at once.
    """

    def __init__(
        self,
        *,
        limit: int,
        seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(RateWindow(limit=limit, seconds=seconds), clock, sleep)


@dataclass(kw_only=True)
class Budget:
    """`rate` units a second, paid after they were used: a caller that used many waits until they are paid."""

    rate: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _paid: float = field(init=False, default=float("-inf"))
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def spend(self, units: float) -> None:
        """Accounts for `units` that were used, and returns once they are paid for."""
        with self._lock:
            now = self.clock()
            self._paid = max(self._paid, now) + units / self.rate
            wait = self._paid - now
        if wait > 0:
            self.sleep(wait)
