"""Detects answers that are cut off, empty or malformed, and treats them as lost answers.

botocore reads a body that is not JSON as an empty answer, and one that ends early as far as it goes. Here
such an answer counts as none: the request is sent again, as after a lost connection, and its effect then
decides (a conditional write that was already done fails its condition). Where no better answer comes, it is
an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError
from botocore.hooks import BaseEventHooks

# Attempts for an answer; seconds before the next one are the number of those before it, in tenths.
_ATTEMPTS = 5
_JSON = frozenset({"lambda", "dynamodb", "ssm"})
# Members that each answer always has. Every UpdateItem here asks for the item's new attributes.
_WANTED: Mapping[str, tuple[str, ...]] = {
    "AssumeRole": ("Credentials",),
    "BatchGetItem": ("Responses",),
    "GetAlias": ("FunctionVersion", "RevisionId"),
    "GetCallerIdentity": ("Account", "Arn"),
    "GetFunction": ("Configuration",),
    "GetParameter": ("Parameter",),
    "GetProvisionedConcurrencyConfig": ("Status",),
    "ListAliases": ("Aliases",),
    "ListFunctions": ("Functions",),
    "ListVersionsByFunction": ("Versions",),
    "Query": ("Items",),
    "Scan": ("Count",),
    "UpdateAlias": ("FunctionVersion", "RevisionId"),
    "UpdateItem": ("Attributes",),
}


class MalformedAnswer(BotoCoreError):
    """AWS, or something between, answered with success and no answer."""

    fmt = "the answer to {operation} was cut off, or is none"


def trust_nothing(events: BaseEventHooks) -> None:
    """Asks again for malformed answers, of all clients that share `events`; the last one raises `MalformedAnswer`."""
    events.register_first("needs-retry", _needs_retry, unique_id="malformed-retry")  # type: ignore[arg-type] # an answer counts
    events.register("after-call", _after_call, unique_id="malformed-answer")


def malformed(service: str, operation: str, http: Any, parsed: Mapping[str, Any]) -> bool:
    """Whether a successful answer is malformed. `http` has `status_code`, `headers` and `content`; `parsed`
    is botocore's response by member name, e.g. `{"FunctionVersion": "7", "RevisionId": …}`.
    """
    if http.status_code >= 300:  # noqa: PLR2004 - HTTP, RFC 9110
        return False
    if any(name not in parsed for name in _WANTED.get(operation, ())):
        return True
    content, declared = http.content, http.headers.get("content-length")
    # A HEAD has the length of what a GET would bring, and no body (RFC 9110, 9.3.2).
    is_head = operation.startswith("Head")
    if not is_head and declared is not None and declared.isdigit() and int(declared) != len(content):
        return True
    return service in _JSON and bool(content.strip()) and content.strip()[:1] + content.strip()[-1:] != b"{}"


def _needs_retry(
    response: tuple[Any, Any] | None = None, attempts: int = 1, operation: Any = None, **_: Any
) -> float | None:
    """As botocore has it: seconds to wait before the next attempt, or None to leave it to others."""
    if response is None or attempts >= _ATTEMPTS or operation.has_streaming_output:
        return None
    service = operation.service_model.service_name
    return attempts / 10 if malformed(service, operation.name, *response) else None


def _after_call(http_response: Any, parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
    if not model.has_streaming_output and malformed(
        model.service_model.service_name, model.name, http_response, parsed
    ):
        raise MalformedAnswer(operation=model.name)
