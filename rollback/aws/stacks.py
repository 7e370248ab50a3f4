"""CloudFormation stacks that deploy functions: which exist, which versions they published, and whether they keep old versions.

AWS SAM, CDK, the Serverless Framework and plain templates all deploy a stack.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws.account import Clients, code, denied, explained
from rollback.model.found import STACK, Deletes
from rollback.util import safe_yaml
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)

_VERSION = "AWS::Lambda::Version"
_KEEPS = {"Retain", "RetainExceptOnCreate"}
_CDK_PATH = "aws:cdk:path"
# …:function:NAME:VERSION
_OF_VERSION = re.compile(r"arn:[^:]+:lambda:[^:]+:[^:]+:function:([^:]+):([0-9]+)")
# The statuses of a finished deployment, in which the template is what is deployed
# (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html).
_DEPLOYED = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}
_GONE = "ValidationError"


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """The result of checking stacks: those that delete versions, and texts about what could not be checked."""

    stacks: tuple[str, ...] = ()
    deletes: tuple[Deletes, ...] = ()
    unlooked: tuple[str, ...] = field(default=())


def of_functions(account: Clients, functions: Collection[str]) -> tuple[str, ...]:
    """The stacks in functions' tags, if the caller may read them (`lambda:ListTags`): one call
    each. Missing functions are skipped.
    """

    def one(name: str) -> str:
        with explained(f"reading {name}"):
            try:
                # The response has the tags if the caller may read them, and no error otherwise
                # (https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html).
                answer = account.lambda_.get_function(FunctionName=name, Qualifier="$LATEST")
                return str(answer.get("Tags", {}).get(STACK, ""))
            except ClientError as error:
                if code(error) == "ResourceNotFoundException" or denied(error):
                    return ""
                raise

    return tuple(sorted({stack for stack in account.each(one, functions) if stack}))


def look(account: Clients, stacks: Collection[str]) -> Looked:
    """Whether deployments of these stacks keep the previous version. What cannot be read is reported, not a finding.

    Raises `UsageError` where the credentials expire.
    """
    if not stacks:
        return Looked()
    client = account.client("cloudformation")

    def one(stack: str) -> Deletes | str | None:
        found = template(client, stack)
        return found if isinstance(found, str) else deletes(stack, found)

    read = account.each(one, stacks)
    return Looked(
        stacks=tuple(stacks),
        deletes=tuple(one for one in read if isinstance(one, Deletes)),
        unlooked=tuple(one for one in read if isinstance(one, str)),
    )


def deployed(account: Clients, stack: str) -> dict[str, str]:
    """Function → the version deployed by a stack; the newest if its template has several.

    Raises `Refused` where there is no such stack, or its last deployment did not finish.
    """
    client = account.client("cloudformation")
    with explained(f"reading stack {stack}"):
        try:
            status = client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        except ClientError as error:
            if code(error) != _GONE:
                raise
            raise Refused(
                f"There is no stack {stack[:128]!a} in this account and region.",
                code=Code.NOT_DECLARED,
                next="aws cloudformation list-stacks  # lists the stacks",
            ) from None
    if status not in _DEPLOYED:
        raise Refused(
            f"Stack {stack} is {status}: its template is not what is deployed.",
            code=Code.RELEASE_INCOMPLETE,
            next="Record the release after a deployment has finished.",
        )
    with explained(f"listing the resources of stack {stack}"):
        pages = client.get_paginator("list_stack_resources").paginate(StackName=stack)
        return _newest(one for page in pages for one in page["StackResourceSummaries"])


def _newest(resources: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, int] = {}
    for name, number in _versions(resources):
        found[name] = max(number, found.get(name, 0))
    return {name: str(number) for name, number in found.items()}


def _versions(resources: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    for one in resources:
        arn = _OF_VERSION.fullmatch(one.get("PhysicalResourceId", ""))
        if one["ResourceType"] == _VERSION and arn and one.get("ResourceStatus") in _DEPLOYED:
            yield arn[1], int(arn[2])


def template(client: Any, stack: str) -> Mapping[str, Any] | str:
    """A stack's deployed template, with processed macros (SAM); or a text with the reason why it cannot be read.

    `client` is CloudFormation's. Raises `UsageError` where the credentials expire.
    """
    try:
        with explained(f"reading the template of stack {stack}"):
            body = client.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
        # boto3 only parses JSON.
        return body if isinstance(body, Mapping) else safe_yaml.mapping("its template", str(body), tags=True)
    except UsageError as error:
        if error.code is not Code.SETTINGS_INVALID:
            raise
        return f"stack {stack}: {error.what}"
    except RollbackError as error:
        return f"stack {stack}: {error.what}"


def deletes(stack: str, template: Mapping[str, Any]) -> Deletes | None:
    """Whether the next deployment of a template deletes versions; None if it keeps them all. Pure."""
    found = deleted_version(template)
    return Deletes(stack=stack, version=found, by_cdk=bool(cdk_path(template, found))) if found else None


def cdk_path(template: Mapping[str, Any], logical: str) -> str:
    """The path of a resource's CDK construct; empty if CDK did not make it. Pure."""
    resource = _mapping(_mapping(template.get("Resources")).get(logical))
    return str(_mapping(resource.get("Metadata")).get(_CDK_PATH, ""))


def deleted_version(template: Mapping[str, Any]) -> str:
    """The logical id of a version that the next deployment deletes; empty if versions are kept. Pure.

    A version is a resource that is replaced, and the deletion policy decides about the old one: by default it is
    deleted (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html). CDK's
    `current_version` has none unless `removal_policy=RETAIN`.
    """
    return next(
        (
            logical
            for logical, resource in _mapping(template.get("Resources")).items()
            if _mapping(resource).get("Type") == _VERSION
            and _mapping(resource).get("DeletionPolicy") not in _KEEPS
        ),
        "",
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
