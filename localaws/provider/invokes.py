"""The functions that the local provider knows, by their token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from localaws.provider import schema
from localaws.provider.cloud import Cloud, unless_missing
from localaws.provider.schema import REGION, TAGS, CheckFailure, Field, Fields
from localaws.provider.types.lambda_ import invoke_arn
from localaws.provider.values import Values

GET_FUNCTION: Final = "aws:lambda/getFunction:getFunction"
GET_CALLER: Final = "aws:index/getCallerIdentity:getCallerIdentity"
ARGUMENTS: Final[Mapping[str, Fields]] = {
    GET_FUNCTION: {
        "functionName": Field(required=True),
        "qualifier": Field(),
        "region": REGION,
        "tags": TAGS,
    },
    GET_CALLER: {"id": Field()},
}


def failures(token: str, arguments: Values) -> list[CheckFailure]:
    """What is wrong with a call."""
    if token not in ARGUMENTS:
        known = schema.nearest(token, ARGUMENTS)
        return [CheckFailure(key="", reason=f"the local provider has no function {token}{known}")]
    return list(schema.failures(token, ARGUMENTS[token], arguments))


def invoke(cloud: Cloud, token: str, arguments: Values) -> Values:
    """Call it. A function that does not exist raises `LookupError`, naming it."""
    functions: Mapping[str, Callable[[Cloud, Values], Values]] = {
        GET_FUNCTION: get_function,
        GET_CALLER: get_caller_identity,
    }
    return functions[token](cloud, arguments)


def get_caller_identity(cloud: Cloud, arguments: Values) -> Values:  # noqa: ARG001
    """Who the provider is to AWS."""
    identity = cloud.identity
    return {
        "id": identity["Account"],
        "accountId": identity["Account"],
        "arn": identity["Arn"],
        "userId": identity["UserId"],
    }


def get_function(cloud: Cloud, arguments: Values) -> Values:
    """A function. Without a qualifier its `version` is the most recently published one.

    https://registry.terraform.io/providers/hashicorp/aws/latest/docs/data-sources/lambda_function
    """
    name, qualifier = arguments["functionName"], arguments.get("qualifier")
    client = cloud.functions(arguments)
    qualified = {"Qualifier": qualifier} if qualifier else {}
    answer: Any = unless_missing(lambda: client.get_function(FunctionName=name, **qualified))
    if answer is None:
        whole = f"{name}:{qualifier}" if qualifier else name
        raise LookupError(
            f"reading Lambda Function ({whole}): couldn't find resource: account {cloud.account} "
            f"has no such function in {cloud.region_of(arguments)}"
        )
    about = answer["Configuration"]
    arn = ":".join(about["FunctionArn"].split(":")[:7])
    version, qualified_arn = about["Version"], about["FunctionArn"]
    if version == "$LATEST" and not qualifier:
        pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=name)
        listed = [one for page in pages for one in page["Versions"]]
        version, qualified_arn = listed[-1]["Version"], listed[-1]["FunctionArn"]
    return {
        "id": name,
        "functionName": name,
        "qualifier": qualifier,
        "arn": arn,
        "qualifiedArn": qualified_arn,
        "invokeArn": invoke_arn(arn),
        "qualifiedInvokeArn": invoke_arn(qualified_arn),
        "version": version,
        "codeSha256": about["CodeSha256"],
        "sourceCodeHash": about["CodeSha256"],
        "sourceCodeSize": about["CodeSize"],
        "description": about.get("Description", ""),
        "handler": about.get("Handler", ""),
        "runtime": about.get("Runtime", ""),
        "role": about["Role"],
        "memorySize": about.get("MemorySize", 128),
        "timeout": about.get("Timeout", 3),
        "lastModified": about.get("LastModified", ""),
        "architectures": about.get("Architectures", ["x86_64"]),
        "environment": {"variables": about.get("Environment", {}).get("Variables", {})},
        "reservedConcurrentExecutions": answer.get("Concurrency", {}).get("ReservedConcurrentExecutions", -1),
        "region": cloud.region_of(arguments),
        "tags": answer.get("Tags", {}),
    }
