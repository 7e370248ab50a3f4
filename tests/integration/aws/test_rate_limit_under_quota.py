"""The pace through botocore and the quota's proxy: what is throttled goes again, and all of it gets done."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bench.load import OPERATION, outside_load
from localaws import quota
from localaws.quota import CONTROL, Rate
from rollback.aws.account import Throttles, paced
from tests.doubles.world import settings
from tests.integration.localaws import test_quota

upstream = test_quota.upstream

# Ten times Lambda's: what takes seconds on an account takes tenths here.
RATES = {CONTROL: Rate(rate=150, burst=15), "GetFunction": Rate(rate=1000, burst=100)}
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
    with quota.running(upstream, {**quota.AWS, "GetFunction": Rate(rate=20, burst=1)}) as proxy:
        made, throttles = client(proxy.endpoint)
        for _ in range(4):
            made.get_function(FunctionName="f", Qualifier="live")
        began = time.monotonic()
        made.update_alias(FunctionName="f", Name="live", FunctionVersion="7")

        assert time.monotonic() - began < 0.5
        assert throttles.count == proxy.window.throttled["GetFunction"] >= 1
        assert proxy.window.throttled.keys() == {"GetFunction"}


def test_who_is_always_throttled_fails_in_the_end(upstream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollback.aws.rate_limit.LEAST", 1.0)
    with quota.running(upstream, {**quota.AWS, CONTROL: Rate(rate=0.001, burst=0)}) as proxy:
        made, throttles = client(proxy.endpoint)
        with pytest.raises(ClientError, match="Rate exceeded"):
            made.get_alias(FunctionName="f", Name="live")

        assert throttles.count == proxy.window.throttled["GetAlias"] == 20
