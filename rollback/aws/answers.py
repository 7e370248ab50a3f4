"""Detects truncated, empty or malformed responses, and treats them as lost responses.

botocore reads a body that is not JSON as an empty response, and a truncated one as far as it goes. Here
such a response is ignored: the request is sent again, as after a lost connection, and its effect then
decides (a conditional write that was already done fails its condition). Without a valid response, it is
an error. So are pages that do not end: a next page that repeats the last one, or more of them than anything has.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError
from botocore.hooks import BaseEventHooks

# The number of attempts; the wait before each is a tenth of a second for every attempt before it.
_ATTEMPTS = 5
# The parameters that ask for a next page, and how many pages are read: a million functions, or a gigabyte of a ledger.
_NEXT = (
    "ExclusiveStartKey",
    "Marker",
    "NextToken",
    "nextToken",
    "position",
    "KeyMarker",
    "ContinuationToken",
)
_PAGES = 1000
_JSON = frozenset({"lambda", "dynamodb", "ssm"})
# Members that each response always has. Every UpdateItem here requests the item's new attributes.
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
    """The response, from AWS or a proxy, had a success status but no valid content."""

    fmt = "the response to {operation} was truncated or invalid"


class EndlessPages(BotoCoreError):
    """Each page names a next one, and they are none that a service has."""

    fmt = "the pages of {operation} do not end"


class _Pages:
    """Counts the pages of each request in each thread."""

    def __init__(self) -> None:
        self._asked: dict[tuple[int, str, str], tuple[str, int]] = {}

    def count(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        """Called by botocore before each request. Raises `EndlessPages`."""
        following = {name: params[name] for name in _NEXT if params.get(name)}
        same = repr(sorted((name, repr(value)) for name, value in params.items() if name not in following))
        request = (threading.get_ident(), model.name, same)
        if not following:
            self._asked.pop(request, None)
            return
        before, number = self._asked.get(request, ("", 0))
        if repr(following) == before or number == _PAGES:
            raise EndlessPages(operation=model.name)
        self._asked[request] = (repr(following), number + 1)


def trust_nothing(events: BaseEventHooks) -> None:
    """Retries malformed responses of all clients that share `events`; the last attempt raises `MalformedAnswer`, and
    pages without an end raise `EndlessPages`.
    """
    events.register("before-parameter-build", _Pages().count, unique_id="endless-pages")
    events.register_first("needs-retry", _needs_retry, unique_id="malformed-retry")  # type: ignore[arg-type] # an answer counts
    events.register("after-call", _after_call, unique_id="malformed-answer")


def malformed(service: str, operation: str, http: Any, parsed: Mapping[str, Any]) -> bool:
    """Whether a successful response is malformed. `http` has `status_code`, `headers` and `content`; `parsed`
    is botocore's response by member name, e.g. `{"FunctionVersion": "7", "RevisionId": …}`.
    """
    if http.status_code >= 300:  # noqa: PLR2004 - HTTP, RFC 9110
        return False
    if any(name not in parsed for name in _WANTED.get(operation, ())):
        return True
    content, declared = http.content, http.headers.get("content-length")
    # A response to HEAD has the length of a GET's body, and no body (RFC 9110, 9.3.2).
    is_head = operation.startswith("Head")
    if not is_head and declared is not None and declared.isdigit() and int(declared) != len(content):
        return True
    return service in _JSON and bool(content.strip()) and content.strip()[:1] + content.strip()[-1:] != b"{}"


def _needs_retry(
    response: tuple[Any, Any] | None = None, attempts: int = 1, operation: Any = None, **_: Any
) -> float | None:
    """Called by botocore: returns seconds to wait before the next attempt, or None to leave the decision to others."""
    if response is None or attempts >= _ATTEMPTS or operation.has_streaming_output:
        return None
    service = operation.service_model.service_name
    return attempts / 10 if malformed(service, operation.name, *response) else None


def _after_call(http_response: Any, parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
    if not model.has_streaming_output and malformed(
        model.service_model.service_name, model.name, http_response, parsed
    ):
        raise MalformedAnswer(operation=model.name)
