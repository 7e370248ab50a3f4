"""Check and diff of the local provider: pure functions over data."""

# ruff: noqa: ARG002 (the arguments are those of the protocol)

from __future__ import annotations

import json
from concurrent import futures
from typing import Any

import boto3
import grpc
import pytest
from botocore.exceptions import ClientError
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from localaws.provider import config, invokes, lifecycle, schema, servicer
from localaws.provider.cloud import Cloud
from localaws.provider.lifecycle import Unfinished
from localaws.provider.policies import canonical
from localaws.provider.types import TYPES
from localaws.provider.types.ssm import Parameter
from localaws.provider.values import UNKNOWN, decode, encode

ALIAS, ROLE = TYPES["aws:lambda/alias:Alias"], TYPES["aws:iam/role:Role"]
TABLE, PARAMETER = TYPES["aws:dynamodb/table:Table"], TYPES["aws:ssm/parameter:Parameter"]
TRUST = json.dumps(
    {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "1" * 12}}]}
)


def checked(resource: Any, inputs: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    values, failures = lifecycle.check(resource, inputs, old={}, name="thing", seed=b"seed")
    return values, [f"{failure.key}: {failure.reason}" for failure in failures]


def keys(difference: lifecycle.DiffResult) -> list[str]:
    return [change.path for change in difference.changes]


def test_defaults_are_filled_in_and_reported_to_be_defaults() -> None:
    inputs, failures = checked(ROLE, {"name": "deployer", "assumeRolePolicy": TRUST})

    assert failures == []
    assert (inputs["path"], inputs["maxSessionDuration"]) == ("/", 3600)
    assert inputs["__defaults"] == ["forceDetachPolicies", "maxSessionDuration", "path"]


def test_a_generated_name_stays_until_a_second_object_is_wanted() -> None:
    first, _ = checked(ROLE, {"assumeRolePolicy": TRUST})
    again, _ = lifecycle.check(ROLE, {"assumeRolePolicy": TRUST}, old=first, name="thing", seed=b"other")
    second, _ = lifecycle.check(ROLE, {"assumeRolePolicy": TRUST}, old={}, name="thing", seed=b"other")

    assert first["name"].startswith("thing-")
    assert again["name"] == first["name"] != second["name"]


@pytest.mark.parametrize(
    ("inputs", "failure"),
    [
        (
            {"assumeRolePolicy": TRUST, "tag": {}},
            "tag: 'tag' is no input of aws:iam/role:Role here; did you mean 'tags'?",
        ),
        ({}, "assumeRolePolicy: Missing required property 'assumeRolePolicy'"),
        (
            {"assumeRolePolicy": TRUST, "maxSessionDuration": "x"},
            "maxSessionDuration: expected a number, got 'x'",
        ),
        ({"assumeRolePolicy": "{"}, "assumeRolePolicy: 'assumeRolePolicy' contains an invalid JSON policy"),
    ],
)
def test_what_cannot_be_is_named(inputs: dict[str, Any], failure: str) -> None:
    assert checked(ROLE, inputs)[1][0].startswith(failure)


def test_an_attribute_that_no_index_uses_is_refused() -> None:
    attributes = [{"name": "PK", "type": "S"}, {"name": "extra", "type": "S"}]

    _, failures = checked(TABLE, {"hashKey": "PK", "attributes": attributes})

    assert failures == ["attributes: all attributes must be indexed. Unused attributes: ['extra']"]


def test_a_secret_of_the_wrong_kind_is_not_repeated() -> None:
    _, failures = checked(PARAMETER, {"type": "String", "value": ["hush"]})

    assert failures
    assert "hush" not in str(failures)


def test_an_unknown_input_is_no_failure_and_is_a_difference() -> None:
    inputs, failures = checked(ALIAS, {"name": "live", "functionName": UNKNOWN, "functionVersion": UNKNOWN})
    difference = lifecycle.diff(ALIAS, {"name": "live", "functionName": "f", "functionVersion": "1"}, inputs)

    assert failures == []
    assert keys(difference) == ["functionName", "functionVersion"]
    assert difference.replaces == ["functionName"]


def test_the_order_of_keys_and_statements_changes_nothing() -> None:
    one = {
        "Version": "2012-10-17",
        "Statement": [{"Action": ["a", "b"], "Effect": "Allow"}, {"Effect": "Deny"}],
    }
    other = {
        "Statement": [{"Effect": "Deny"}, {"Effect": "Allow", "Action": ["b", "a"]}],
        "Version": "2012-10-17",
    }
    narrower = {
        "Version": "2012-10-17",
        "Statement": [{"Action": "a", "Effect": "Allow"}, {"Effect": "Deny"}],
    }

    assert canonical(json.dumps(one)) == canonical(json.dumps(other))
    assert canonical(json.dumps(one)) != canonical(json.dumps(narrower))


def test_what_the_program_leaves_to_the_cloud_is_no_difference() -> None:
    asked = {"hashKey": "PK", "name": "t", "pointInTimeRecovery": {"enabled": True}, "attributes": []}
    deployed = {
        **asked,
        "pointInTimeRecovery": {"enabled": True, "recoveryPeriodInDays": 35},
        "region": "eu-west-1",
    }

    assert keys(lifecycle.diff(TABLE, deployed, asked)) == []


def test_what_the_program_drops_is_taken_away() -> None:
    deployed = {"name": "live", "functionName": "f", "functionVersion": "1", "description": "x"}

    difference = lifecycle.diff(
        ALIAS, deployed, {"name": "live", "functionName": "f", "functionVersion": "1"}
    )

    assert [(change.path, change.kind) for change in difference.changes] == [("description", "DELETE")]


def test_an_ignored_input_is_never_a_difference() -> None:
    deployed = {"name": "live", "functionName": "f", "functionVersion": "2", "description": "back"}
    asked = {"name": "live", "functionName": "f", "functionVersion": "1"}

    assert keys(lifecycle.diff(ALIAS, deployed, asked, ignore=["functionVersion", "description"])) == []


def test_a_fixed_name_is_deleted_first_and_a_generated_one_is_not() -> None:
    deployed = {"name": "r", "path": "/", "assumeRolePolicy": TRUST}
    asked = {"name": "r", "path": "/ops/", "assumeRolePolicy": TRUST, "tags": {}}

    assert lifecycle.diff(ROLE, deployed, asked).delete_first
    assert not lifecycle.diff(ROLE, deployed, asked | {"__defaults": ["name"]}).delete_first
    assert not lifecycle.diff(ROLE, deployed, asked | {"name": "other"}).delete_first


def test_a_changed_default_tag_is_a_difference_of_all_tags() -> None:
    deployed = {
        "name": "r",
        "assumeRolePolicy": TRUST,
        "tags": {"a": "1"},
        "tagsAll": {"a": "1", "team": "x"},
    }
    asked = {"name": "r", "assumeRolePolicy": TRUST, "tags": {"a": "1"}}

    assert keys(lifecycle.diff(ROLE, deployed, asked, default_tags={"team": "x"})) == []
    assert keys(lifecycle.diff(ROLE, deployed, asked, default_tags={"team": "y"})) == ["tagsAll"]


def test_fresh_inputs_follow_the_cloud_and_keep_the_programs_words() -> None:
    old = {
        "name": "live",
        "functionName": "arn:aws:lambda:r:1:function:f",
        "functionVersion": "1",
        "__defaults": [],
    }
    before = {"name": "live", "functionName": "f", "functionVersion": "1"}
    now = {"name": "live", "functionName": "f", "functionVersion": "2", "description": "back", "region": "r"}

    fresh = schema.fresh_inputs(ALIAS.fields, old=old, before=before, now=now)

    assert fresh == {**old, "functionVersion": "2", "description": "back"}


def test_secrets_and_unknowns_survive_the_wire() -> None:
    sent = encode({"value": "hush", "name": UNKNOWN, "count": 3, "none": None}, secret=["value"])

    received = decode(sent)

    assert received.values == {"value": "hush", "name": UNKNOWN, "count": 3}
    assert received.secret == {"value"}
    assert list(received.secrets()) == ["hush"]


def conflict(retries: int) -> ClientError:
    error = {"Error": {"Code": "ParameterAlreadyExists"}, "ResponseMetadata": {"RetryAttempts": retries}}
    return ClientError(error, "PutParameter")  # type: ignore[arg-type]


class Lossy(Parameter):
    """A parameter whose creation answers that it exists."""

    def __init__(self, *, retries: int, deployed: dict[str, Any], finishes: bool = True) -> None:
        self.retries, self.stands, self.finishes = retries, deployed, finishes

    def create(self, cloud: Cloud, inputs: dict[str, Any]) -> str:
        if self.retries < 0:
            return "/a"
        raise conflict(self.retries)

    def finish(self, cloud: Cloud, id_: str, inputs: dict[str, Any]) -> None:
        if not self.finishes:
            raise TimeoutError("never ready")

    def read(self, cloud: Cloud, id_: str, known: dict[str, Any]) -> Any:
        return lifecycle.ReadResult(id=id_, state={**self.stands, "tagsAll": {}})


CLOUD = Cloud(session=boto3.Session(region_name="eu-west-1"), region="eu-west-1")
INPUTS = {"name": "/a", "type": "String", "value": "x"}


def test_an_object_whose_creation_lost_its_answer_is_ours_if_it_is_what_we_asked_for() -> None:
    assert lifecycle.create(Lossy(retries=1, deployed=INPUTS), CLOUD, INPUTS).id == "/a"
    with pytest.raises(ClientError):
        lifecycle.create(Lossy(retries=1, deployed=INPUTS | {"value": "y"}), CLOUD, INPUTS)
    with pytest.raises(ClientError):
        lifecycle.create(Lossy(retries=0, deployed=INPUTS), CLOUD, INPUTS)


def test_an_object_that_could_not_be_finished_is_remembered() -> None:
    with pytest.raises(Unfinished, match="never ready") as caught:
        lifecycle.create(Lossy(retries=-1, deployed=INPUTS, finishes=False), CLOUD, INPUTS)

    assert caught.value.found.id == "/a"


def test_the_engine_is_notified_of_an_object_that_could_not_be_finished_without_its_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unfinished = Lossy(retries=-1, deployed=INPUTS, finishes=False)
    monkeypatch.setitem(servicer.TYPES, PARAMETER.pulumi_type, unfinished)  # type: ignore[arg-type]
    provider = servicer.Servicer("1.0.0")
    provider._cloud = CLOUD
    server = grpc.server(futures.ThreadPoolExecutor(1))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    request = provider_pb2.CreateRequest(
        type=PARAMETER.pulumi_type, name="p", properties=encode({**INPUTS, "value": "never"}, ["value"])
    )

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as caught:
        provider_pb2_grpc.ResourceProviderStub(channel).Create(request, timeout=10)

    server.stop(None).wait(10)
    packed = dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
    failed = provider_pb2.ErrorResourceInitFailed()
    assert status_pb2.Status.FromString(packed).details[0].Unpack(failed)
    assert failed.id == "/a"
    assert decode(failed.properties).secret == {"value"}
    assert failed.reasons[0] == "creating aws:ssm/parameter:Parameter p: [secret] ready"


def test_configuration_is_opened_and_what_it_does_not_know_is_refused() -> None:
    known = {
        "allowedAccountIds": '["1"]',
        "skipRegionValidation": "true",
        "defaultTags": '{"tags": {"a": "b"}}',
    }

    assert config.failures(known) == []
    assert "did you mean 'region'?" in config.failures({"regions": "x"})[0].reason


@pytest.mark.parametrize("endpoint", ["", "https://lambda.eu-west-1.amazonaws.com"])
def test_the_real_account_is_never_spoken_to(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    with pytest.raises(config.NotLocal, match="local accounts only"):
        config.connect({"region": "eu-west-1"})


def test_an_unknown_function_is_refused_with_the_nearest() -> None:
    failures = invokes.failures("aws:lambda/getFunctions:getFunctions", {})

    assert "did you mean 'aws:lambda/getFunction:getFunction'?" in failures[0].reason
