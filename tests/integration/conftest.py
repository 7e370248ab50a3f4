"""What integration tests share: moto's DynamoDB in this process, and a small platform over it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.doubles.world import World, create_table, settings


class OneByOne:
    """Threads take turns: moto's conditions are checked and written in two steps."""

    def __init__(self, client: Any) -> None:
        self._client, self._lock = client, threading.Lock()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def one(**request: Any) -> Any:
            with self._lock:
                return call(**request)

        return one


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = OneByOne(boto3.client("dynamodb", region_name="eu-west-1"))
        create_table(client)
        yield client


@pytest.fixture
def world(dynamodb: Any, tmp_path: Path) -> World:
    """Two services, three functions, no approval, no smoke command; nothing recorded yet."""
    return World(dynamodb=dynamodb, root=tmp_path, settings=settings())
