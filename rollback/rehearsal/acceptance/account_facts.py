"""Facts about the account as a whole: quotas and clocks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws.account import MAX_SKEW_SECONDS, code
from rollback.aws.pacing import THROTTLES
from rollback.rehearsal.acceptance.fact import Differs, Fact, Skipped
from rollback.rehearsal.acceptance.sandbox import DENIALS, Sandbox

# Three seconds of the quota, so that other users of the account are not throttled for long.
_CALLS = 45
# Codes of Service Quotas for "Rate of control plane API requests" and "Rate of GetFunction API requests".
_CONTROL_PLANE, _GET_FUNCTION = "L-B2AA0F47", "L-37540937"
# A Date header has whole seconds.
_UNSURE = 2.0


def _paced(sandbox: Sandbox) -> str:
    function, account = sandbox.function, sandbox.account
    pace, codes = account.settings.pace, Counter[str]()

    def seen(response: tuple[Any, Any] | None = None, **_: Any) -> None:
        """Called by botocore before a retry; returning None leaves the decision to its other handlers."""
        if response is not None and response[0].status_code == 429:  # noqa: PLR2004 - HTTP, RFC 6585
            codes[str(response[1].get("Error", {}).get("Code", ""))] += 1

    events = function.lambda_.meta.events
    events.register_first("needs-retry.lambda", seen)
    began = time.monotonic()
    try:
        account.each(lambda _: function.read(), range(_CALLS))
    finally:
        events.unregister("needs-retry.lambda", seen)
    rate = _CALLS / (time.monotonic() - began)
    if strange := codes.keys() - THROTTLES:
        raise Differs(f"too many requests failed with {', '.join(sorted(strange))}")
    measured = f"{_CALLS} GetAlias at up to {pace.writes:g} a second after a burst of {pace.burst}, {rate:.0f} a second"
    if codes:
        raise Differs(
            f"{measured}: {codes.total()} were throttled, with {', '.join(sorted(codes))}. Something else uses the quota, "
            "or the quota is smaller: run this again, or lower the setting `pace`"
        )
    return (
        f"{measured}: none was throttled. GetFunction, and the response to throttled calls, were not tested"
    )


def _stated(sandbox: Sandbox) -> str:
    # No retries: an endpoint without this service never responds.
    quotas = sandbox.account.client("service-quotas", retries={"total_max_attempts": 1, "mode": "standard"})
    pace = sandbox.account.settings.pace
    asked = {"control plane": (_CONTROL_PLANE, pace.writes), "GetFunction": (_GET_FUNCTION, pace.reads)}
    stated = {}
    for name, (quota, used) in asked.items():
        try:
            found = quotas.get_service_quota(ServiceCode="lambda", QuotaCode=quota)["Quota"]
        except ClientError as error:
            if code(error) in DENIALS:
                raise
            raise Skipped(f"Service Quotas returned {code(error)}") from None
        if name.casefold() not in str(found.get("QuotaName", "")).casefold():
            raise Skipped(f"Service Quotas calls {quota} '{found.get('QuotaName')}'")
        stated[name] = found["Value"]
        if used > found["Value"]:
            raise Differs(f"{name}: {found['Value']:g} calls a second, and `pace` uses {used:g}")
    return ", ".join(f"{name} {value:g} calls a second" for name, value in stated.items())


def _clocks(sandbox: Sandbox) -> str:
    calls: dict[str, Callable[[], Any]] = {
        "STS": lambda: sandbox.client("sts").get_caller_identity(),
        "Lambda": lambda: sandbox.client("lambda").list_functions(MaxItems=1),
        "DynamoDB": lambda: sandbox.client("dynamodb").list_tables(Limit=1),
        "S3": lambda: sandbox.client("s3").list_buckets(),
    }
    ahead = {name: found for name, call in calls.items() if (found := _ahead(call)) is not None}
    if not ahead:
        raise Skipped("no response has a Date header")
    spread = max(ahead.values()) - min(ahead.values())
    told = ", ".join(f"{name} {seconds:+.1f} s" for name, seconds in ahead.items())
    if spread > _UNSURE:
        raise Differs(f"this machine's clock is ahead of: {told}")
    if max(map(abs, ahead.values())) > MAX_SKEW_SECONDS:
        raise Differs(f"this machine's clock is more than {MAX_SKEW_SECONDS} s off: {told}")
    return f"this machine's clock is ahead of: {told}"


def _ahead(call: Callable[[], Any]) -> float | None:
    """Seconds by which this machine's clock is ahead of an answer's Date, which has whole seconds; None without one.

    A denial has a Date as well.
    """
    began = datetime.now(UTC)
    try:
        answer = call()
    except ClientError as error:
        answer = error.response
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    middle = began + (datetime.now(UTC) - began) / 2
    return None if date is None else (middle - parsedate_to_datetime(date)).total_seconds() - 0.5


_GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg"
FACTS = (
    Fact(
        name="paced-calls",
        says="Lambda does not throttle control-plane calls at the pace of the settings.",
        why="Every alias needs one such call; retries of throttled calls take longer than pacing.",
        source=f"{_GUIDE}/gettingstarted-limits.html#api-requests",
        tried=_paced,
    ),
    Fact(
        name="stated-quotas",
        says="Lambda's quotas are at least the pace of the settings.",
        why="The quotas limit how fast a rollback of many functions is.",
        source=f"{_GUIDE}/gettingstarted-limits.html#api-requests",
        tried=_stated,
    ),
    Fact(
        name="clocks",
        says="The services' clocks agree, and this machine's is less than five minutes off.",
        why="A table is restored to a time in a record; AWS refuses requests that are five minutes old.",
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html",
        tried=_clocks,
    ),
)
