"""Reads what invokes an account's functions: mappings, APIs, URLs, environment variables, rules and schedules.

`model.bypass` judges the result. What cannot be read is reported and left out. This takes
seconds, on quotas that others share, so that it is never called before a rollback's relief.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from rollback.aws.account import Clients, code, explained
from rollback.aws.rate_limit import TokenBucket
from rollback.model.bypass import Invoker, Reference
from rollback.util.errors import RollbackError, UsageError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# API Gateway allows ten management calls per second and account, with a burst of 40 ("API Gateway quotas for creating, deploying
# and managing an API", https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html).
_API_PACE, _API_BURST = 8.0, 20
# Variables that only name a service for monitoring, not a function to invoke.
_TELEMETRY = frozenset({"POWERTOOLS_SERVICE_NAME", "OTEL_SERVICE_NAME", "DD_SERVICE"})
_STAGE_VARIABLE = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")
# A schedule's target that is an API call; the function is in its input
# (https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html).
_UNIVERSAL = ":aws-sdk:lambda:invoke"
_OFF = "DISABLED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Invokers:
    """References to functions, and texts about what could not be read."""

    references: tuple[Reference, ...]
    unlooked: tuple[str, ...]


def read(account: Clients, functions: Collection[str]) -> Invokers:
    """Everything that invokes functions of an account and region; function URLs are read for `functions`, one call
    each.

    Raises `UsageError` where the credentials expire; other errors are in `unlooked`.
    """
    looks: list[tuple[str, Callable[[], Iterator[Reference]]]] = [
        ("event source mappings", partial(_mappings, account.lambda_)),
        ("environment variables", partial(_variables, account.lambda_)),
        ("APIs", partial(_apis, account)),
        ("EventBridge rules", lambda: _rules(account.client("events"))),
        ("EventBridge schedules", lambda: _schedules(account.client("scheduler"))),
        *(("function URLs", partial(_urls, account.lambda_, name)) for name in functions),
    ]
    answers = account.each(lambda look: _looked(look[1], look[0]), looks)
    failed: dict[str, list[str]] = {}
    for (what, _), (_, why) in zip(looks, answers, strict=True):
        if why:
            failed.setdefault(what, []).append(why)
    return Invokers(
        references=tuple(one for found, _ in answers for one in found),
        unlooked=tuple(
            f"{what}: {whys[0]}" + (f" And {len(whys) - 1} more." if len(whys) > 1 else "")
            for what, whys in failed.items()
        ),
    )


def _looked(look: Callable[[], Iterator[Reference]], what: str) -> tuple[list[Reference], str]:
    """What was found, and why the rest could not be read; empty if nothing is missing."""
    found: list[Reference] = []
    try:
        with explained(f"reading {what}"):
            found.extend(look())
    except UsageError:
        raise
    except _NotLooked as error:
        return found, str(error)
    except RollbackError as error:
        return found, error.what
    return found, ""


class _NotLooked(Exception):
    """A part cannot be read; the message names it."""


def _mappings(lambda_: LambdaClient) -> Iterator[Reference]:
    for page in lambda_.get_paginator("list_event_source_mappings").paginate():
        for one in page["EventSourceMappings"]:
            if one.get("State") != "Disabled":
                # A mapping of a self-managed broker has no source ARN.
                source = (
                    f"{one['EventSourceArn']} ({one['UUID']})" if "EventSourceArn" in one else one["UUID"]
                )
                yield Reference(kind=Invoker.MAPPING, source=source, text=one.get("FunctionArn", ""))


def _variables(lambda_: LambdaClient) -> Iterator[Reference]:
    """The variables of $LATEST of each function: lists do not have those of the deployed versions."""
    hidden: list[str] = []
    for page in lambda_.get_paginator("list_functions").paginate():
        for one in page["Functions"]:
            name, environment = one["FunctionName"], one.get("Environment", {})
            if "Error" in environment:
                hidden.append(name)
            # A value may be a secret: it is searched, but never shown.
            for variable, value in sorted(environment.get("Variables", {}).items()):
                if variable not in _TELEMETRY:
                    source = f"{variable} of {name}"
                    yield Reference(kind=Invoker.VARIABLE, source=source, text=value, own=name)
    if hidden:
        raise _NotLooked(f"those of {', '.join(hidden[:10])} cannot be decrypted")


def _urls(lambda_: LambdaClient, function: str) -> Iterator[Reference]:
    """The URL of the function itself; that of an alias is another one, read with its qualifier."""
    try:
        url = lambda_.get_function_url_config(FunctionName=function)
    except ClientError as error:
        if code(error) != "ResourceNotFoundException":
            raise
    else:
        yield Reference(kind=Invoker.URL, source=url["FunctionUrl"], text=url["FunctionArn"])


# -- APIs ----------------------------------------------------------------------------------------------------


def _apis(account: Clients) -> Iterator[Reference]:
    """REST APIs in their current definition, not that of a deployed stage; then HTTP and WebSocket APIs; with authorizers."""
    quota = TokenBucket(rate=_API_PACE, burst=_API_BURST)

    def before_send(**_: Any) -> None:
        quota.take()

    def paced(service: str) -> Any:
        client = account.client(service)
        client.meta.events.register("before-send", before_send)
        return client

    yield from _rest(paced("apigateway"))
    yield from _http(paced("apigatewayv2"))


def _rest(client: Any) -> Iterator[Reference]:
    for api in _paged(client, "get_rest_apis", "items"):
        stages = _Stages(partial(_rest_stages, client, api["id"]), "stageName", "variables")
        name = f"{api['name']} ({api['id']})"
        for resource in _paged(client, "get_resources", "items", restApiId=api["id"], embed=["methods"]):
            for method, has in sorted(resource.get("resourceMethods", {}).items()):
                uri = has.get("methodIntegration", {}).get("uri", "")
                yield from stages.references(
                    Invoker.REST_API, f"{name}, {method} {resource.get('path', '')}", uri
                )
        for one in _paged(client, "get_authorizers", "items", restApiId=api["id"]):
            source = f"{name}, authorizer {one['name']}"
            yield from stages.references(Invoker.REST_API, source, one.get("authorizerUri", ""))


def _rest_stages(client: Any, api: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get_stages(restApiId=api)["item"]
    return found


def _http(client: Any) -> Iterator[Reference]:
    for api in _paged(client, "get_apis", "Items"):
        of = {"ApiId": api["ApiId"]}
        stages = _Stages(partial(_paged, client, "get_stages", "Items", **of), "StageName", "StageVariables")
        kind = Invoker.WEBSOCKET_API if api.get("ProtocolType") == "WEBSOCKET" else Invoker.HTTP_API
        name = f"{api['Name']} ({api['ApiId']})"
        for one in _paged(client, "get_integrations", "Items", **of):
            source = f"{name}, integration {one['IntegrationId']}"
            yield from stages.references(kind, source, one.get("IntegrationUri", ""))
        for one in _paged(client, "get_authorizers", "Items", **of):
            yield from stages.references(
                kind, f"{name}, authorizer {one['Name']}", one.get("AuthorizerUri", "")
            )


class _Stages:
    """The stages of an API, read if a URI has a stage variable: then each stage has its own function."""

    def __init__(self, read_: Callable[[], Iterable[Mapping[str, Any]]], name: str, variables: str) -> None:
        self._read, self._name, self._variables = read_, name, variables
        self._stages: Sequence[Mapping[str, Any]] | None = None

    def references(self, kind: Invoker, source: str, uri: str) -> Iterator[Reference]:
        if not _STAGE_VARIABLE.search(uri):
            yield Reference(kind=kind, source=source, text=uri)
            return
        if self._stages is None:
            self._stages = list(self._read())
        for stage in self._stages:
            values = stage.get(self._variables) or {}
            text = _STAGE_VARIABLE.sub(lambda found, values=values: values.get(found[1], ""), uri)  # type: ignore[misc] # a stage's
            yield Reference(kind=kind, source=f"{source}, stage {stage[self._name]}", text=text)


# -- EventBridge ---------------------------------------------------------------------------------------------


def _rules(client: Any) -> Iterator[Reference]:
    for bus in _buses(client):
        for rule in _paged(client, "list_rules", "Rules", EventBusName=bus):
            if rule.get("State") == _OFF:
                continue
            of = {"Rule": rule["Name"], "EventBusName": bus}
            for target in _paged(client, "list_targets_by_rule", "Targets", **of):
                yield Reference(kind=Invoker.RULE, source=f"{rule['Name']} on {bus}", text=target["Arn"])


def _buses(client: Any) -> Iterator[str]:
    """The names of the event buses, for which there is no paginator."""
    more: dict[str, str] = {}
    while True:
        answer = client.list_event_buses(**more)
        yield from (bus["Name"] for bus in answer["EventBuses"])
        if not answer.get("NextToken"):
            return
        more = {"NextToken": answer["NextToken"]}


def _schedules(client: Any) -> Iterator[Reference]:
    hidden: list[str] = []
    for one in _paged(client, "list_schedules", "Schedules"):
        name, target = f"{one['GroupName']}/{one['Name']}", one.get("Target", {}).get("Arn", "")
        if one.get("State") == _OFF:
            continue
        if target.endswith(_UNIVERSAL):
            hidden.append(name)
        yield Reference(kind=Invoker.SCHEDULE, source=name, text=target)
    if hidden:
        raise _NotLooked(f"the function is in the input of {', '.join(hidden[:10])}, which cannot be read")


def _paged(client: Any, operation: str, items: str, **asked: Any) -> Iterator[Mapping[str, Any]]:
    for page in client.get_paginator(operation).paginate(**asked):
        yield from page.get(items, ())
