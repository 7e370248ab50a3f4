"""The pace through botocore and the quota's proxy: what is throttled goes again, and all of it gets done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bench.load import OPERATION, outside_load
from localaws import quota
from localaws.quota import CONTROL, Rate
from rollback.aws.pacing import Throttles, paced
from tests.doubles.clock import Clock
from tests.doubles.world import settings
from tests.integration.localaws import test_quota
from tests.proxy import Proxy

upstream = test_quota.upstream

# Ten times Lambda's: what takes seconds on an account takes tenths here.
RATES = {CONTROL: Rate(rate=150, burst=15), "GetFunction": Rate(rate=1000, burst=100)}
SLOW = {"writes": 4, "burst": 1, "reads": 95}
OURS = {"writes": 148, "burst": 13, "reads": 95}


def unretried(endpoint: str, attempts: int = 1) -> Any:
    return boto3.client(
        "lambda",
        endpoint_url=endpoint,
        region_name="eu-west-1",
        aws_access_key_id="111111111111",
        aws_secret_access_key="x",
        config=Config(
            retries={"mode": "standard", "total_max_attempts": attempts}, proxies={}, max_pool_connections=32
        ),
    )


def client(endpoint: str) -> tuple[Any, Throttles]:
    """As `rollback.aws.account.connect` makes it."""
    made, throttles = unretried(endpoint, attempts=5), Throttles()
    paced(made, settings(pace=OURS), throttles)
    return made, throttles


def move(made: Any, count: int) -> int:
    """As many writes by sixteen threads; how many were answered."""
    with ThreadPoolExecutor(16) as pool:
        return len(
            list(
                pool.map(
                    lambda number: made.update_alias(
                        FunctionName=f"f{number}", Name="live", FunctionVersion="7"
                    ),
                    range(count),
                )
            )
        )


def test_all_writes_get_done_while_somebody_else_takes_half_of_the_quota(upstream: str) -> None:
    with quota.running(upstream, {**quota.AWS, **RATES}) as proxy:
        made, throttles = client(proxy.endpoint)
        with outside_load(unretried(proxy.endpoint), 75, "theirs"):
            done = move(made, 150)

        window = proxy.window
        assert window.calls[OPERATION] > 5
        assert done == 150
        assert 0 < throttles.count <= 14, "it has met the other, and gone slower: else it were twice as many"
        assert throttles.count == window.throttled["UpdateAlias"]
        assert window.calls["UpdateAlias"] == 150 + throttles.count, "nothing but the throttled went again"


def test_a_read_that_is_throttled_teaches_the_reads_and_not_the_writes(upstream: str) -> None:
    with quota.running(upstream, {**quota.AWS, "GetFunction": Rate(rate=5, burst=1)}) as proxy:
        clock = Clock()
        made, throttles = unretried(proxy.endpoint, attempts=5), Throttles()
        paced(made, settings(pace=OURS), throttles, clock=clock.monotonic, sleep=clock.sleep)
        for _ in range(4):
            made.get_function(FunctionName="f", Qualifier="live")
        waited = clock.seconds
        for _ in range(20):
            made.update_alias(FunctionName="f", Name="live", FunctionVersion="7")

        assert waited > 0
        assert clock.seconds - waited == pytest.approx((20 - OURS["burst"]) / OURS["writes"])
        assert throttles.count == proxy.window.throttled["GetFunction"] >= 1
        assert proxy.window.throttled.keys() == {"GetFunction"}


@pytest.mark.finding("F5")
def test_a_burst_of_throttling_ends_no_call_while_sixteen_wait(upstream: str) -> None:
    """So many throttles that each of those that wait meets more than the five attempts of botocore."""
    with Proxy(upstream) as proxy:
        made, throttles = client(proxy.endpoint)
        proxy.refuse("UpdateAlias", status=429, code="TooManyRequestsException", nth=9, times=120)
        done = move(made, 42)

        assert done == 42
        assert throttles.count == proxy.counts["UpdateAlias"] - 42 == 120


@pytest.mark.finding("F5")
@pytest.mark.parametrize(("seconds", "through"), [(290.0, True), (310.0, False)])
def test_a_call_is_tried_again_for_as_long_as_the_rto(upstream: str, seconds: float, through: bool) -> None:
    """One call alone, the last of a rollback: there are no others that it would have to wait for."""
    clock = Clock()
    with Proxy(upstream) as proxy:
        made, throttles = unretried(proxy.endpoint, attempts=5), Throttles()
        noticed: list[int] = []
        throttles.at_the_next(lambda: noticed.append(throttles.count))
        paced(made, settings(pace=SLOW), throttles, clock=clock.monotonic, sleep=clock.sleep)
        proxy.refuse("GetAlias", status=429, code="TooManyRequestsException", times=100_000)
        clock.meanwhile = lambda _: proxy.forget() if clock.seconds >= seconds else None
        with nullcontext() if through else pytest.raises(ClientError, match="TooManyRequests"):
            made.get_alias(FunctionName="f", Name="live")

    assert settings(pace=SLOW).rto.code * 60 == 300
    assert throttles.count > 40
    assert noticed == [1], "when it begins, and once"
    assert 290 <= clock.seconds <= 310
