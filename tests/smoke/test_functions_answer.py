"""What a rollback runs to prove a release well: every function of the environment answers through its alias.

Run by the `smoke` setting with `TEST_ENVIRONMENT` set, under the caller's own credentials.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from rollback.config.settings import Settings, find_root, load

ROOT = find_root(Path(__file__).parent)
ENVIRONMENT = os.environ.get("TEST_ENVIRONMENT", "")


def _settings() -> Settings | None:
    return load(ROOT, ENVIRONMENT) if ENVIRONMENT else None


SETTINGS = _settings()


@pytest.mark.parametrize("service", SETTINGS.services if SETTINGS else [])
def test_every_function_of_the_service_answers(service: str) -> None:
    assert SETTINGS is not None
    client = boto3.client("lambda", region_name=SETTINGS.region, config=Config(max_pool_connections=16))

    def trouble(function: str) -> str:
        answer = client.invoke(FunctionName=function, Qualifier=SETTINGS.alias, Payload=b"{}")
        body = answer["Payload"].read()
        if "FunctionError" in answer:
            document = json.loads(body)
            return f"{function}: {document.get('errorMessage')} ({document.get('errorType')})"
        return ""

    with ThreadPoolExecutor(8) as pool:
        troubles = [text for text in pool.map(trouble, SETTINGS.functions(service)) if text]

    if troubles:
        # Without a traceback: who is on call has to see what is wrong, not where that was noticed.
        pytest.fail("\n".join(troubles), pytrace=False)
