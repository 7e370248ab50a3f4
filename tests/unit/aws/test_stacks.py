"""CloudFormation stacks: what they have deployed, and whether the next deployment leaves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rollback.aws import stacks
from rollback.aws.stacks import Deletes
from rollback.util.errors import Code, Refused
from tests.coded import coded

VERSION = "AWS::Lambda::Version"
KEPT = {"Type": VERSION, "DeletionPolicy": "Retain"}
CDK = {"Type": VERSION, "Metadata": {"aws:cdk:path": "orders/Get/CurrentVersion/Resource"}}
YAML = """
Resources:
  Get: {Type: AWS::Lambda::Function, Properties: {Role: !GetAtt Role.Arn, Code: !Sub "${Bucket}"}}
  First: {Type: AWS::Lambda::Version, DeletionPolicy: Retain, Properties: {FunctionName: !Ref Get}}
  Second:
    Type: AWS::Lambda::Version
    Properties: {FunctionName: !Ref Get}
"""


class CloudFormation:
    """Stacks by their names: a template, or a status with resources; an error code to answer with."""

    def __init__(self, **stacks: Any) -> None:
        self.stacks = stacks

    def get_template(self, *, StackName: str, TemplateStage: str) -> dict[str, Any]:  # noqa: N803 - boto3's
        assert TemplateStage == "Processed", "SAM's macro makes the versions"
        found = self.stacks[StackName]
        if found == "denied":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetTemplate")
        return {"TemplateBody": found}

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's
        if StackName not in self.stacks:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "no"}}, "DescribeStacks")
        return {"Stacks": [{"StackStatus": self.stacks[StackName][0]}]}

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_stack_resources"
        return SimpleNamespace(
            paginate=lambda StackName: [{"StackResourceSummaries": self.stacks[StackName][1]}]  # noqa: N803
        )


def account(**found: Any) -> Any:
    def each(function: Any, items: Iterable[Any]) -> list[Any]:
        return list(map(function, items))

    return SimpleNamespace(client=lambda _: CloudFormation(**found), each=each)


def template(**resources: Any) -> Mapping[str, Any]:
    return {"Resources": {"Role": {"Type": "AWS::IAM::Role"}, **resources}}


def test_a_stack_that_deletes_versions_is_named_with_the_line_to_add() -> None:
    looked = stacks.look(
        account(sam=template(V1=KEPT), cdk=template(V2=CDK), plain=YAML), ["sam", "cdk", "plain"]
    )

    assert looked.deletes == (
        Deletes(stack="cdk", version="V2", by_cdk=True),
        Deletes(stack="plain", version="Second"),
    )
    cdk, plain = (one.remedy for one in looked.deletes)
    assert cdk == "current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.RETAIN)"
    assert "DeletionPolicy: Retain" in plain
    assert not looked.unlooked


@pytest.mark.parametrize("body", ["denied", "Resources: {a: 1, a: 2}", "- a list"])
def test_what_cannot_be_read_is_named_and_is_no_finding(body: str) -> None:
    looked = stacks.look(account(orders=body, cdk=template(V2=CDK)), ["orders", "cdk"])

    assert [one.stack for one in looked.deletes] == ["cdk"]
    (why,) = looked.unlooked
    assert why.startswith("stack orders")


def resource(physical: str, status: str = "UPDATE_COMPLETE", kind: str = VERSION) -> dict[str, str]:
    return {"ResourceType": kind, "PhysicalResourceId": physical, "ResourceStatus": status}


def test_a_stack_has_deployed_the_newest_version_of_each_function() -> None:
    arn = "arn:aws:lambda:eu-west-1:111122223333:function:"
    resources = [
        resource(f"{arn}orders-get:9"),
        resource(f"{arn}orders-get:10"),
        resource(f"{arn}orders-get:11", "DELETE_FAILED"),
        resource(f"{arn}orders-list:3"),
        resource(f"{arn}orders-list:prod", kind="AWS::Lambda::Alias"),
        {"ResourceType": VERSION, "ResourceStatus": "CREATE_FAILED"},
    ]

    found = stacks.deployed(account(orders=("UPDATE_COMPLETE", resources)), "orders")

    assert found == {"orders-get": "10", "orders-list": "3"}


@pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_COMPLETE", "UPDATE_IN_PROGRESS", "ROLLBACK_COMPLETE"])
def test_a_deployment_that_failed_or_goes_on_is_no_release(status: str) -> None:
    with pytest.raises(Refused, match=status, check=coded(Code.RELEASE_INCOMPLETE)):
        stacks.deployed(account(orders=(status, [])), "orders")


def test_a_stack_that_is_not_there_is_named() -> None:
    with pytest.raises(Refused, match="orders", check=coded(Code.NOT_DECLARED)):
        stacks.deployed(account(), "orders")
