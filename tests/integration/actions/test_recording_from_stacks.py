"""A release that a CloudFormation stack has deployed, and versions that a deployment has deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from rollback.releases.record_release import Commits, Recorded, record
from rollback.util.errors import Code, Refused, RollbackError
from tests.coded import coded
from tests.doubles.functions import client_error
from tests.doubles.world import DAN, SHA, Quiet, World, create_table, settings

GET, LIST, ASSIGN = (f"acme-dev-lambda-{tail}" for tail in ("teams-get", "teams-list", "roles-get"))
DELETES = {"Resources": {"V": {"Type": "AWS::Lambda::Version"}}}


class Stacks:
    """CloudFormation: stack → function → version; all with one template."""

    def __init__(self, **deployed: dict[str, str]) -> None:
        self.deployed = deployed
        self.template: dict[str, Any] = {"Resources": {}}

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        return {"Stacks": [{"StackStatus": "UPDATE_COMPLETE"}]}

    def get_template(self, **_: Any) -> dict[str, Any]:
        return {"TemplateBody": self.template}

    def get_paginator(self, _: str) -> Stacks:
        return self

    def paginate(self, *, StackName: str) -> list[dict[str, Any]]:  # noqa: N803 - boto3's
        arn = "arn:aws:lambda:eu-west-1:111122223333:function"
        return [
            {
                "StackResourceSummaries": [
                    {
                        "ResourceType": "AWS::Lambda::Version",
                        "ResourceStatus": "CREATE_COMPLETE",
                        "PhysicalResourceId": f"{arn}:{name}:{version}",
                    }
                    for name, version in self.deployed[StackName].items()
                ]
            }
        ]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with mock_aws():
        dynamodb = boto3.client("dynamodb", region_name="eu-west-1")
        create_table(dynamodb)
        made = World(dynamodb=dynamodb, root=tmp_path, settings=settings())
        made.release("v1.0.0")
        made.record("v1.0.0")
        yield made


def recorded(world: World, version: str, stacks: Stacks, *names: str) -> Recorded:
    world.invokers["cloudformation"] = stacks  # type: ignore[assignment]
    return record(world.session(DAN), version, Commits(code=SHA), Quiet(), from_stacks=names)


def test_a_stack_releases_its_services_alone(world: World) -> None:
    world.release("new", only=[GET, LIST])

    found = recorded(world, "teams-2", Stacks(teams={GET: "2", LIST: "2", "another": "7"}), "teams")

    assert found.release.services == ("teams",)
    assert set(found.release.manifest) == {GET, LIST}
    deployed = world.session(DAN).ledger.timeline().all_deployed
    assert (deployed["teams"], deployed["roles"]) == ("teams-2", "v1.0.0")
    done = world.begin(services=("teams",))
    assert done.record is not None
    assert done.record.to_version == "v1.0.0"
    assert {name: version for name, (version, _) in world.functions.deployed().items()} == dict.fromkeys(
        (GET, LIST, ASSIGN), "1"
    )


def test_an_alias_that_a_rollback_left_behind_is_not_recorded_as_the_stacks_release(world: World) -> None:
    world.release("new", only=[GET, LIST])
    stacks = Stacks(teams={GET: "2", LIST: "2"})
    recorded(world, "teams-2", stacks, "teams")
    world.begin(services=("teams",))

    with pytest.raises(
        Refused, match="version 1, but the stack deployed 2", check=coded(Code.CHANGED_BY_OTHERS)
    ):
        recorded(world, "teams-3", stacks, "teams")


@pytest.mark.parametrize(
    "deployed", [{}, {"another": "1"}, {GET: "1"}], ids=["nothing", "others", "a service in part"]
)
def test_what_is_no_whole_service_is_refused(world: World, deployed: dict[str, str]) -> None:
    with pytest.raises(Refused, check=coded(Code.RELEASE_INCOMPLETE)):
        recorded(world, "teams-2", Stacks(teams=deployed), "teams")


def test_several_stacks_are_one_release(world: World) -> None:
    stacks = Stacks(a={GET: "1"}, b={LIST: "1", ASSIGN: "1"})

    assert recorded(world, "all-2", stacks, "a", "b").release.services == ("teams", "roles")


def test_recording_names_the_versions_before_that_a_deployment_has_deleted(world: World) -> None:
    world.release("new", only=[GET, LIST])
    del world.functions.versions[GET]["1"]

    found = record(world.session(DAN), "v1.1.0", Commits(code=SHA), Quiet())

    (notice,) = found.notices
    assert f"{GET}:1" in notice
    assert LIST not in notice
    assert "removal_policy=RemovalPolicy.RETAIN" in notice


def test_recording_names_the_stack_that_will_delete_them(world: World) -> None:
    stacks = Stacks(teams={GET: "1", LIST: "1"})
    stacks.template = DELETES

    found = recorded(world, "teams-2", stacks, "teams")

    assert found.new
    assert any("stack teams" in notice.lower() for notice in found.notices)


def test_what_cannot_be_looked_at_keeps_no_release_from_being_recorded(world: World) -> None:
    stacks = Stacks(teams={GET: "1", LIST: "1"})
    stacks.get_template = _denied  # type: ignore[method-assign]

    found = recorded(world, "teams-2", stacks, "teams")

    assert found.new
    assert not any("deletes" in notice for notice in found.notices)


def _denied(**_: Any) -> Any:
    raise client_error("GetTemplate", "AccessDenied")


def test_where_stacks_may_not_be_read_the_next_lines_name_who_grants_that(world: World) -> None:
    class Denied(Stacks):
        def describe_stacks(self, **_: Any) -> dict[str, Any]:
            raise client_error("DescribeStacks", "AccessDenied")

    with pytest.raises(RollbackError, check=coded(Code.ACCESS_DENIED)) as refused:
        recorded(world, "v1.1.0", Denied(), "orders")

    assert "pulumi up --stack dev-foundation" in refused.value.next.splitlines()
    assert "`cloudformationStacks`" in refused.value.next
