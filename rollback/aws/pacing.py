"""Paces a Lambda client: waits for the quotas' limits before each attempt, and slows down after each throttle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from rollback.aws.rate_limit import Limit, SlidingWindow, TokenBucket
from rollback.config.sections import Pace, Rto

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

THROTTLES = {"TooManyRequestsException", "ThrottlingException", "Throttling"}


class Limits(Protocol):
    """The limits of calls to Lambda, from the settings."""

    @property
    def pace(self) -> Pace: ...
    @property
    def rto(self) -> Rto: ...


class Throttles:
    """Counts throttled responses: something else is using the quota, too."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._notice: Callable[[], object] | None = None

    def add(self) -> None:
        with self._lock:
            self.count += 1
            notice, self._notice = self._notice, None
        if notice is not None:
            notice()

    def at_the_next(self, notice: Callable[[], object]) -> None:
        """Has `notice` called, once, by the thread whose call is throttled next."""
        self._notice = notice


def paced(
    client: LambdaClient,
    settings: Limits,
    throttles: Throttles,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Waits for the rate limit before every attempt, and slows it down after every throttle.

    A throttled call was not executed: it is retried as soon as the limit allows, for at most the RTO of a
    code rollback, so that a short burst of throttling does not fail a rollback. `clock`
    and `sleep` are seconds, monotonic.
    """
    patience = settings.rto.code * 60
    writes = TokenBucket(rate=settings.pace.writes, burst=settings.pace.burst, clock=clock, sleep=sleep)
    limit = max(1, int(settings.pace.reads))
    reads = SlidingWindow(limit=limit, seconds=limit / settings.pace.reads, clock=clock, sleep=sleep)

    def quota(event_name: str) -> Limit | None:
        # GetFunction has its own quota; Invoke is not a control-plane call.
        operation = event_name.rsplit(".", 1)[-1]
        return {"Invoke": None, "GetFunction": reads}.get(operation, writes)

    def before_send(event_name: str = "", **_: Any) -> None:
        if (quota_of := quota(event_name)) is not None:
            quota_of.take()

    def needs_retry(
        response: tuple[Any, Any] | None, request_dict: dict[str, Any], event_name: str = "", **_: Any
    ) -> float | None:
        """Called by botocore: returns seconds to wait before the next attempt, or None to leave the decision to others."""
        quota_of = quota(event_name)
        if quota_of is None or response is None or not _throttled(*response):
            return None
        throttles.add()
        quota_of.throttled()
        # The context belongs to one call with all its attempts.
        since: float = request_dict["context"].setdefault("throttled_since", clock())
        return 0.0 if clock() - since < patience else None

    client.meta.events.register("before-send.lambda", before_send)
    client.meta.events.register_first("needs-retry.lambda", needs_retry)  # type: ignore[arg-type] # an answer counts


def _throttled(http: Any, parsed: Any) -> bool:
    name = parsed.get("Error", {}).get("Code", "")
    return http.status_code == 429 or name in THROTTLES  # noqa: PLR2004 - HTTP, RFC 6585
