"""Logs each AWS call with Python's logging: service, operation, result, duration and request id.

Parameters, bodies, headers and credentials are never logged. botocore's own
logging includes them (https://docs.aws.amazon.com/boto3/latest/reference/core/boto3.html#boto3.set_stream_logger), and is not
enabled here.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.hooks import BaseEventHooks

_LOG = logging.getLogger("rollback.aws")
_BEGAN = "rollback_began"


def logged(events: BaseEventHooks) -> None:
    """Logs all calls of a session's clients at the level DEBUG, except of clients made before."""
    events.register("before-call", _begun)
    events.register("after-call", _answered)
    events.register("after-call-error", _failed)


def _begun(context: dict[str, Any], **_: Any) -> None:
    context[_BEGAN] = time.monotonic()


def _answered(model: Any, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    if not _LOG.isEnabledFor(logging.DEBUG):
        return
    about = parsed.get("ResponseMetadata", {})
    error = parsed.get("Error", {}).get("Code", "") if about.get("HTTPStatusCode", 0) >= 300 else ""  # noqa: PLR2004 - HTTP
    retries = about.get("RetryAttempts", 0)
    _LOG.debug(
        "%s %s %s in %d ms, request %s%s",
        model.service_model.service_name,
        model.name,
        " ".join(map(str, filter(None, (about.get("HTTPStatusCode", ""), error)))),
        _milliseconds(context),
        about.get("RequestId", "unknown"),
        f", after {retries} retries" if retries else "",
    )


def _failed(exception: Exception, context: dict[str, Any], event_name: str = "", **_: Any) -> None:
    """Logs a call without a response. The error's text, which may contain addresses, is left out."""
    called = event_name.partition(".")[2].replace(".", " ")
    _LOG.debug("%s %s in %d ms", called, type(exception).__name__, _milliseconds(context))


def _milliseconds(context: dict[str, Any]) -> int:
    now = time.monotonic()
    return int(1000 * (now - float(context.get(_BEGAN, now))))
