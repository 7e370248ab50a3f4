"""Another company's functions: twelve in three CloudFormation stacks, named and tagged as by AWS SAM.

A deployment publishes a version of each function that changed and moves the alias `prod` to it; versions before are
kept, as with `AutoPublishAlias`
(https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/automating-updates-to-serverless-apps.html).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from localaws.errors import LocalError

ALIAS = "prod"
SERVICES: Mapping[str, tuple[str, ...]] = {
    "orders": ("GetOrder", "ListOrders", "CreateOrder", "CancelOrder", "RefundOrder"),
    "payments": ("Charge", "Capture", "Webhook"),
    "catalogue": ("GetProduct", "ListProducts", "Search", "Import"),
}
_POLL = 0.1
_PATIENCE = 60.0
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def template(
    service: str, version: str, *, broken: Collection[str] = (), keeps: bool = True
) -> dict[str, Any]:
    """The template of a service at a version; `broken` are functions (`GetOrder`) that raise in it.

    Without `keeps` a deployment deletes earlier versions, as by CDK's defaults.
    """
    resources: dict[str, Any] = {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": _TRUST}}
    }
    for name in SERVICES[service]:
        code = _code(version, raises=name in broken)
        function, published = (
            f"{name}Function",
            f"{name}Version{hashlib.sha256(code.encode()).hexdigest()[:10]}",
        )
        resources[function] = {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.12",
                "Handler": "index.handler",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Code": {"ZipFile": code},
                "Description": version,
                "Tags": [{"Key": "lambda:createdBy", "Value": "SAM"}],
            },
        }
        resources[published] = {
            "Type": "AWS::Lambda::Version",
            **({"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"} if keeps else {}),
            "Properties": {"FunctionName": {"Ref": function}, "Description": version},
        }
        resources[f"{function}Alias{ALIAS}"] = {
            "Type": "AWS::Lambda::Alias",
            "Properties": {
                "Name": ALIAS,
                "FunctionName": {"Ref": function},
                "FunctionVersion": {"Fn::GetAtt": [published, "Version"]},
            },
        }
    return {"Resources": resources}


def deploy(
    client: Any,
    environment: str,
    version: str,
    *,
    services: Iterable[str] = SERVICES,
    broken: Collection[str] = (),
    keeps: bool = True,
) -> None:
    """Creates or updates the stacks `<service>-<environment>`; `client` is CloudFormation's. Raises `LocalError`."""
    wanted = {
        f"{service}-{environment}": template(service, version, broken=broken, keeps=keeps)
        for service in services
    }
    known = {one["StackName"] for one in client.describe_stacks()["Stacks"]}
    for stack, made in wanted.items():
        act = client.update_stack if stack in known else client.create_stack
        act(StackName=stack, TemplateBody=json.dumps(made), Capabilities=["CAPABILITY_IAM"])
    until = time.monotonic() + _PATIENCE
    for stack in wanted:
        while (status := client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]).endswith(
            "_PROGRESS"
        ):
            if time.monotonic() > until:
                raise LocalError(f"Stack {stack} was not deployed in time: {status}.")
            time.sleep(_POLL)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise LocalError(f"Stack {stack} could not be deployed: {status}.")


def _code(version: str, *, raises: bool) -> str:
    body = f"raise RuntimeError('{version} is bad')" if raises else f"return {{'version': '{version}'}}"
    return f"def handler(event, context):\n    {body}\n"
