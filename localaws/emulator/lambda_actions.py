"""Teaches the emulator which IAM action a Lambda request is, and on which resource.

It takes every request below `…/aliases` for ListAliases, and every PUT on a function for
UpdateFunctionCode: a role that may only read and move aliases would be refused what AWS allows it, and the
other way round. Here each operation is recognised by its route in botocore's own model of Lambda. A request with a qualifier is authorised on the qualified ARN
(`function:NAME:live`), so that a role can be allowed one alias of a function; CreateFunction on the ARN of the function
that its body names.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from typing import Any

# The operation's name is the action's but for these (AWS, "Actions, resources, and condition keys for
# AWS Lambda").
_PLAIN_ARN_COLONS = 6
# The emulator hands over method, path, headers, body, query, region and account.
_QUERY = 4
_ACTIONS = {"Invoke": "InvokeFunction", "InvokeWithResponseStream": "InvokeFunction"}


def install() -> None:
    """Puts the better reading in place, in this process."""
    actions: Any = importlib.import_module("ministack.core.iam_actions")
    known = list(routes())
    fallback = actions._lambda_action  # noqa: SLF001 - the emulator offers no other place

    def action(method: str, path: str) -> str | None:
        for verb, pattern, name in known:
            if verb == method and pattern.fullmatch(path):
                return name
        found: str | None = fallback(method, path)
        return found

    unqualified = actions.extract_resource_arn

    def resource(service: str, *request: Any) -> str:
        arn: str = unqualified(service, *request)
        query = request[_QUERY] or {}
        qualifier = query.get("Qualifier") if service == "lambda" else None
        if isinstance(qualifier, list):
            qualifier = qualifier[0] if qualifier else None
        if service == "lambda" and arn == "*":
            method, path, _, body, _, region, account = request
            return made(method, path, body, region, account)
        plain = arn.count(":") == _PLAIN_ARN_COLONS and ":function:" in arn
        return f"{arn}:{qualifier}" if qualifier and plain else arn

    actions._lambda_action = action  # noqa: SLF001
    actions.extract_resource_arn = resource


def made(method: str, path: str, body: bytes, region: str, account: str) -> str:
    """The ARN of the function that a request makes; `*` where it makes none."""
    if method != "POST" or not path.rstrip("/").endswith("/functions"):
        return "*"
    try:
        name = json.loads(body or b"{}").get("FunctionName")
    except (ValueError, AttributeError):
        return "*"
    return f"arn:aws:lambda:{region}:{account}:function:{name}" if isinstance(name, str) else "*"


def routes() -> Iterator[tuple[str, re.Pattern[str], str]]:
    """HTTP method, path and action of every operation.

    Where two operations share a route but for its query (`?List=ALL`), the plainer one counts.
    """
    loaders: Any = importlib.import_module("botocore.loaders")
    model = loaders.Loader().load_service_model("lambda", "service-2")
    operations = sorted(model["operations"].items(), key=lambda item: "?" in item[1]["http"]["requestUri"])
    for name, operation in operations:
        uri = operation["http"]["requestUri"].partition("?")[0].rstrip("/")
        pattern = re.sub(r"\\\{(\w+)\\\}", r"[^/]+", re.escape(uri)) + "/?"
        yield operation["http"]["method"], re.compile(pattern), _ACTIONS.get(name, name)
