"""What integration tests share: a small platform over DynamoDB in memory, or over moto's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.doubles.world import TABLE, World, create_table, settings
from tests.simulation.aws.dynamodb_model import DynamoDB


class OneByOne:
    """Threads take turns: conditions are checked and written in two steps, by the model and by moto."""

    def __init__(self, client: Any) -> None:
        self._client, self._lock = client, threading.Lock()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def one(**request: Any) -> Any:
            with self._lock:
                return call(**request)

        return one


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """moto's DynamoDB; other services' clients of boto3 are moto's as well, as long as it is there."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = OneByOne(boto3.client("dynamodb", region_name="eu-west-1"))
        create_table(client)
        yield client


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two services, three functions, no approval, no smoke command; nothing recorded yet."""
    dynamodb = OneByOne(DynamoDB())
    create_table(dynamodb)
    return World(dynamodb=dynamodb, root=tmp_path, settings=settings())


class LedgerApart:
    """Calls of the ledger's table go to the model, which answers in a hundredth of moto's time; all others to moto."""

    def __init__(self, ledger: Any, others: Any) -> None:
        self._ledger, self._others = ledger, others

    def __getattr__(self, name: str) -> Any:
        def one(**request: Any) -> Any:
            # The product writes transactions into the ledger alone.
            ledger = request.get("TableName") == TABLE or name == "transact_write_items"
            return getattr(self._ledger if ledger else self._others, name)(**request)

        return one


@pytest.fixture
def moto_world(world: World, moto: Any) -> World:
    """The same where tables are more than the ledger: those can be scanned, backed up and restored."""
    return replace(world, dynamodb=LedgerApart(world.dynamodb, moto))
