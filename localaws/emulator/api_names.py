"""Teaches the emulator's policy evaluation the name of a REST API: the one asked for, and the one touched.

A REST API's ARN holds an id that nobody chooses, so that a role is allowed an API by its name, with
`apigateway:Request/ApiName` (CreateRestApi) and `apigateway:Resource/ApiName` (UpdateRestApi and
DeleteRestApi). The evaluator is never told either. Runs inside the emulator's process; imports nothing of
this project.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagement.html
"""

from __future__ import annotations

import importlib
import json
import re
from typing import Any

REQUEST, RESOURCE = "apigateway:Request/ApiName", "apigateway:Resource/ApiName"
_API = re.compile(r"arn:[a-z-]+:apigateway:([a-z0-9-]+)::/restapis/([^/]+)")
_NAMED_BY_API = ("apigateway:PATCH", "apigateway:DELETE")


def install() -> None:
    """Puts the better reading in place, in this process.

    Raises AttributeError where a newer emulator has moved what is replaced.
    """
    actions: Any = importlib.import_module("ministack.core.iam_actions")
    evaluator: Any = importlib.import_module("ministack.core.iam_evaluator")
    tags, resolve = actions.request_tag_context, evaluator._resolve_condition_key  # noqa: SLF001 - no other place

    def with_name(service: str, action: str, body: bytes, params: Any) -> dict[str, Any]:
        name = asked(body) if (service, action) == ("apigateway", "apigateway:POST") else None
        return {**tags(service, action, body, params), **({REQUEST: name} if name else {})}

    def condition_key(key: str, context: Any) -> Any:
        if key.lower() != RESOURCE.lower():
            return resolve(key, context)
        touched = _API.fullmatch(context.resource_arn)
        if touched is None or context.action not in _NAMED_BY_API:
            return None
        return named(context.principal_account, *touched.groups())

    actions.request_tag_context = with_name
    evaluator._resolve_condition_key = condition_key  # noqa: SLF001


def asked(body: bytes) -> str | None:
    """The name in the body of a CreateRestApi."""
    try:
        name = json.loads(body or b"{}").get("name")
    except (ValueError, AttributeError):
        return None
    return name if isinstance(name, str) else None


def named(account: str, region: str, api: str) -> str | None:
    """The name of the REST API with that id; None if there is none."""
    apis: Any = importlib.import_module("ministack.services.apigateway_v1")._rest_apis  # noqa: SLF001 - no other way in
    known = apis.get_scoped(account, region, api)
    return str(known["name"]) if known else None
