"""Keeps calls below a shared quota: one limit per quota, shared by all threads of the process.

Lambda allows 15 control-plane calls per second, account and region, and 100 GetFunction calls ("Lambda
quotas", API requests, https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html). Calls beyond
are throttled and must be retried, so that it is faster never to exceed the quota. The limit applies to every
attempt, retries included. The quota belongs to the account: a throttle means that something
else is using it, too, and the remaining part can only be learned by trying.

botocore's adaptive retry mode is no replacement; it is "experimental", too
(https://docs.aws.amazon.com/boto3/latest/guide/retries.html; botocore/retries/adaptive.py, bucket.py):
- It has no initial limit: calls are not delayed before the first throttle, so that a known limit
  would be learned from throttled calls, which must be retried.
- It has one limit per client, for all operations: after a throttled UpdateAlias it would slow down
  GetFunction, which has its own quota, and other clients of the same account would not slow down.
- Its bucket is empty at first: there is no burst, which a rollback of a dozen functions needs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

# Seconds in which the pace rises linearly from zero to the configured one.
# A halved pace recovers in half of that, soon enough for an RTO of minutes. While another
# deployment uses half of the quota, there is a throttle about every eight seconds, not at each call.
RECOVERY = 30.0
# The smallest share of the configured pace: with Lambda's quota about one control-plane call a second. If that
# is still throttled, others use the quota.
LEAST = 1 / 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """The share of the configured limit in use, 0 to 1, `since` a time. Pure; times are monotonic
    seconds.
    """

    share: float = 1.0
    since: float = float("-inf")

    def at(self, now: float) -> float:
        """The share at a time: after the last throttle, plus the recovery since."""
        if self.share >= 1:
            return 1.0
        return min(1.0, self.share + max(0.0, now - self.since) / RECOVERY)

    def throttled(self, now: float) -> Learned:
        """Halves the share."""
        return Learned(share=max(LEAST, self.at(now) / 2), since=now)


@dataclass(frozen=True, kw_only=True, slots=True)
class PacedBucket:
    """`rate` tokens per second, at most `burst` saved; both times the learned share. Pure.

    Represented by the time `next` at which it was full minus `burst` tokens.
    """

    rate: float
    burst: int
    next: float = float("-inf")
    learned: Learned = Learned()

    def reserve(self, now: float) -> tuple[PacedBucket, float]:
        """The bucket without the next token, and the time at which the token may be used."""
        share = self.learned.at(max(now, self.next))
        rate, burst = self.rate * share, max(1, int(self.burst * share))
        slot = max(self.next, now - (burst - 1) / rate)
        return replace(self, next=slot + 1 / rate), max(slot, now)

    def throttled(self, now: float) -> PacedBucket:
        """Drops saved tokens, and returns unused ones."""
        learned = self.learned.throttled(now)
        return replace(self, next=now + 1 / (self.rate * learned.share), learned=learned)


@dataclass(frozen=True, kw_only=True, slots=True)
class RateWindow:
    """At most `limit` calls in any `seconds`, times the learned share. Pure.

    `slots` are the times of the last calls, oldest first.
    """

    limit: int
    seconds: float = 1.0
    slots: tuple[float, ...] = ()
    learned: Learned = Learned()

    def reserve(self, now: float) -> tuple[RateWindow, float]:
        """The window with one more call, and the time at which the call may be sent."""
        limit = max(1, int(self.limit * self.learned.at(now)))
        slot = max(now, self.slots[-1]) if self.slots else now
        if len(self.slots) >= limit:
            slot = max(slot, self.slots[-limit] + self.seconds)
        return replace(self, slots=(*self.slots[1 - self.limit :], slot) if self.limit > 1 else (slot,)), slot

    def throttled(self, now: float) -> RateWindow:
        """Drops calls that were not sent yet."""
        gone = tuple(slot for slot in self.slots if slot <= now)
        return replace(self, slots=gone, learned=self.learned.throttled(now))


class _Rule(Protocol):
    """Decides when a call may be sent."""

    def reserve(self, now: float) -> tuple[_Rule, float]: ...
    def throttled(self, now: float) -> _Rule: ...


class Limit:
    """The limit that all threads wait for before a call, and report throttles to.

    `clock` and `sleep` are seconds, monotonic.
    """

    def __init__(self, rule: _Rule, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self.clock, self.sleep = clock, sleep
        self._rule = rule
        # Ticket → the time at which its caller may continue, in order of arrival.
        self._waiting: dict[object, float] = {}
        self._lessons = 0
        # The number of throttles when this thread's last call was sent.
        self._knew = threading.local()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Waits until a call may be sent; returns the seconds waited."""
        ticket, waited = object(), 0.0
        with self._lock:
            slot = self._reserve(ticket, self.clock())
        try:
            while True:
                if (wait := slot - self.clock()) > 0:
                    self.sleep(wait)
                    waited += wait
                with self._lock:
                    # After a throttle a waiting thread waits again, at the lower rate.
                    if self._waiting[ticket] == slot:
                        self._knew.lessons = self._lessons
                        return waited
                    slot = self._waiting[ticket]
        finally:
            with self._lock:
                del self._waiting[ticket]

    def throttled(self) -> None:
        """Reports that this thread's last call was throttled.

        Calls sent before the last reported throttle are ignored, because several run in parallel. Waiting threads
        keep their order: the throttled call comes after them, so that none uses up all attempts.
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

    It stays below a per-second quota however it is counted: per second or by a bucket. A few
    dozen reads, for which a person waits, are sent at once.
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
    """`rate` units per second, accounted after use: a caller that used many then waits."""

    rate: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _paid: float = field(init=False, default=float("-inf"))
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def spend(self, units: float) -> None:
        """Accounts for used `units`, and waits until the rate allows them."""
        with self._lock:
            now = self.clock()
            self._paid = max(self._paid, now) + units / self.rate
            wait = self._paid - now
        if wait > 0:
            self.sleep(wait)
