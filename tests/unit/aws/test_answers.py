"""An answer that is cut off, empty or something else is a lost answer: asked for again, and decided upon what is there."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from rollback.aws.account import explained
from rollback.aws.answers import MalformedAnswer, trust_nothing
from rollback.util.errors import Code, RollbackError

ALIAS = json.dumps({"Name": "live", "FunctionVersion": "7", "RevisionId": "r2"}).encode()


class Raw(io.BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.getvalue()


def answers(client: Any, *bodies: tuple[bytes, Mapping[str, str]]) -> list[int]:
    """A client that gets these bodies one after the other, the last one for ever; how often it has asked."""
    asked: list[int] = []

    def send(request: Any, **_: Any) -> AWSResponse:
        body, headers = bodies[min(len(asked), len(bodies) - 1)]
        asked.append(1)
        return AWSResponse(request.url, 200, dict(headers), Raw(body))

    client.meta.events.register("before-send", send)
    return asked


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    monkeypatch.setattr("time.sleep", lambda _: None)
    session = boto3.Session("AKIA", "secret", region_name="eu-west-1")
    trust_nothing(session.events)
    config = Config(retries={"mode": "standard", "total_max_attempts": 5})
    return lambda service: session.client(service, config=config)


def whole(body: bytes) -> tuple[bytes, dict[str, str]]:
    return body, {"content-length": str(len(body))}


@pytest.mark.finding("F1")
@pytest.mark.finding("G7")
@pytest.mark.parametrize(
    "lie",
    [
        pytest.param((ALIAS[:20], {"content-length": str(len(ALIAS))}), id="cut off"),
        pytest.param(whole(b"{}"), id="empty"),
        pytest.param(whole(b"<html>welcome to the hotel</html>"), id="a page"),
        pytest.param(whole(b""), id="nothing"),
        pytest.param(whole(ALIAS[:-1]), id="no end"),
    ],
)
def test_a_malformed_answer_is_asked_for_again(make: Callable[[str], Any], lie: Any) -> None:
    client = make("lambda")
    asked = answers(client, lie, whole(ALIAS))

    answer = client.get_alias(FunctionName="f", Name="live")

    assert (answer["RevisionId"], len(asked)) == ("r2", 2)


@pytest.mark.finding("F1")
def test_an_item_is_never_taken_for_missing_because_its_answer_was_cut_off(
    make: Callable[[str], Any],
) -> None:
    client = make("dynamodb")
    item = json.dumps({"Item": {"PK": {"S": "LOCK#dev"}}}).encode()
    asked = answers(client, (b"", {"content-length": str(len(item))}), whole(item))

    answer = client.get_item(TableName="t", Key={"PK": {"S": "LOCK#dev"}})

    assert (answer["Item"]["PK"]["S"], len(asked)) == ("LOCK#dev", 2)


@pytest.mark.finding("F1")
def test_where_no_better_answer_comes_it_is_an_error_of_ours_and_no_traceback(
    make: Callable[[str], Any],
) -> None:
    client = make("lambda")
    asked = answers(client, whole(b"<html>"))

    with pytest.raises(RollbackError) as caught, explained("reading an alias"):
        client.get_alias(FunctionName="f", Name="live")

    assert caught.value.code is Code.AWS_ERROR
    assert isinstance(caught.value.__cause__, MalformedAnswer)
    assert len(asked) == 5


def test_an_answer_without_an_item_is_an_answer(make: Callable[[str], Any]) -> None:
    client = make("dynamodb")
    asked = answers(client, whole(b"{}"))

    assert "Item" not in client.get_item(TableName="t", Key={"PK": {"S": "x"}})
    assert len(asked) == 1


@pytest.mark.finding("F1")
def test_a_change_of_an_item_without_the_item_is_no_answer(make: Callable[[str], Any]) -> None:
    client = make("dynamodb")
    asked = answers(client, whole(b"{}"), whole(json.dumps({"Attributes": {"beat": {"N": "2"}}}).encode()))

    answer = client.update_item(TableName="t", Key={"PK": {"S": "LOCK#dev"}}, ReturnValues="ALL_NEW")

    assert (answer["Attributes"]["beat"]["N"], len(asked)) == ("2", 2)


def test_a_head_has_the_length_of_its_object_and_no_body(make: Callable[[str], Any]) -> None:
    s3 = make("s3")
    asked = answers(s3, (b"", {"content-length": "4711", "x-amz-version-id": "v1"}))

    assert s3.head_object(Bucket="b", Key="k")["VersionId"] == "v1"
    assert len(asked) == 1


def _page(number: int, *, again: bool) -> tuple[bytes, dict[str, str]]:
    body = {"Functions": [], "NextMarker": "the same" if again else f"page {number}"}
    return whole(json.dumps(body).encode())


@pytest.mark.finding("B13")
@pytest.mark.parametrize(("again", "most"), [(True, 2), (False, 1001)])
def test_pages_that_do_not_end_are_an_error(make: Callable[[str], Any], most: int, *, again: bool) -> None:
    client = make("lambda")
    asked = answers(client, *(_page(number, again=again) for number in range(1100)))

    with pytest.raises(RollbackError) as raised, explained("listing"):
        list(client.get_paginator("list_functions").paginate())

    assert raised.value.code is Code.AWS_ERROR
    assert len(asked) <= most


@pytest.mark.finding("B13")
def test_a_second_look_begins_with_the_first_page(make: Callable[[str], Any]) -> None:
    client = make("lambda")
    two = (_page(1, again=False), whole(b'{"Functions": []}'))
    asked = answers(client, *two, *two)

    for _ in range(2):
        list(client.get_paginator("list_functions").paginate())

    assert len(asked) == 4


@pytest.mark.finding("B14")
def test_a_long_error_message_of_aws_is_cut() -> None:
    answer = {"Error": {"Code": "Odd", "Message": "x" * 5_000_000}}

    with pytest.raises(RollbackError) as raised, explained("reading"):
        raise ClientError(answer, "GetAlias")  # type: ignore[arg-type] # a part of it

    assert len(raised.value.what) < 500
