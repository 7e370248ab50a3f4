"""Calls of AWS in the log: by name, with how they ended, and with nothing that was asked or answered."""

from __future__ import annotations

import logging
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from rollback.aws.call_log import logged
from tests.planted import secret

ASKED, ANSWERED, KEY = (secret(of) for of in ("asked", "answered", "key"))


@pytest.fixture
def ssm(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG, "rollback.aws")
    session = boto3.Session(
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key=KEY, region_name="eu-west-1"
    )
    logged(session.events)
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=1)
    return session.client("ssm", endpoint_url="http://127.0.0.1:1", config=config)


def test_a_call_is_logged_with_its_request_id_and_without_its_values(
    ssm: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answer = {
        "Parameter": {"Name": ASKED, "Value": ANSWERED},
        "ResponseMetadata": {"HTTPStatusCode": 200, "RequestId": "4b1c", "RetryAttempts": 2},
    }
    with Stubber(ssm) as stubbed:
        stubbed.add_response("get_parameter", answer)
        ssm.get_parameter(Name=ASKED)

    (message,) = caplog.messages
    assert message.startswith("ssm GetParameter 200 in ")
    assert message.endswith(" ms, request 4b1c, after 2 retries")
    assert not [planted for planted in (ASKED, ANSWERED, KEY) if planted in caplog.text]


def test_an_error_is_logged_by_its_code_alone(ssm: Any, caplog: pytest.LogCaptureFixture) -> None:
    with Stubber(ssm) as stubbed:
        stubbed.add_client_error("get_parameter", "ParameterNotFound", f"no {ANSWERED}", 400)
        with pytest.raises(ssm.exceptions.ParameterNotFound):
            ssm.get_parameter(Name=ASKED)

    (message,) = caplog.messages
    assert message.startswith("ssm GetParameter 400 ParameterNotFound in ")
    assert ANSWERED not in message


def test_a_call_without_an_answer_is_logged_by_what_went_wrong(
    ssm: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Exception, match="Could not connect"):
        ssm.get_parameter(Name=ASKED)

    (message,) = caplog.messages
    assert message.startswith("ssm GetParameter EndpointConnectionError in ")
    assert ASKED not in message


def test_nothing_is_worked_out_where_nobody_listens(ssm: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rollback.aws")
    with Stubber(ssm) as stubbed:
        stubbed.add_response("get_parameter", {})
        ssm.get_parameter(Name=ASKED)

    assert caplog.messages == []
