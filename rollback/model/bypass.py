"""What invokes a function past the alias that a rollback moves. Pure.

A rollback moves one alias. What names a function without it (`…:function:NAME`, which is `$LATEST`), or a version by its
number, goes on invoking the same code. An alias of another name is somebody's choice, and is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

LATEST = "$LATEST"
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html, FunctionName; in an API's URI and in JSON, other text follows.
_ARN = re.compile(
    r"arn:[a-z-]+:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):function:(?P<function>[A-Za-z0-9_-]+)"
    r"(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]+))?"
)
_NAME = re.compile(
    r"(?:(?P<account>\d{12}):(?:function:)?)?(?P<function>[A-Za-z0-9_-]+)(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]+))?"
)


class Invoker(StrEnum):
    """What invokes a function, or tells another one to."""

    MAPPING = "event source mapping"
    REST_API = "REST API"
    HTTP_API = "HTTP API"
    WEBSOCKET_API = "WebSocket API"
    URL = "function URL"
    VARIABLE = "environment variable"
    RULE = "EventBridge rule"
    SCHEDULE = "EventBridge schedule"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """Something that names a function: which `kind` of thing, its name in `source`, and the `text` that names it.

    `own` is the function that it is a setting of: that one's own name there says who it is.
    """

    kind: Invoker
    source: str
    text: str
    own: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bypass:
    """Something that invokes `function` past its alias: by `qualifier` (`$LATEST`, `7`), or by none, where that is empty."""

    kind: Invoker
    source: str
    function: str
    qualifier: str

    def __str__(self) -> str:
        at = f"{self.function}:{self.qualifier}" if self.qualifier else f"{self.function}, without an alias"
        return f"{self.kind} {self.source} invokes {at}"


def bypasses(
    references: Iterable[Reference], functions: Collection[str], region: str, account: str
) -> tuple[Bypass, ...]:
    """Those of `references` that name one of `functions` (of one region and account) by no alias, each once, in order."""
    found = {
        Bypass(kind=one.kind, source=one.source, function=function, qualifier=qualifier): None
        for one in references
        for function, qualifier in _named(one, region, account)
        if function in functions and (qualifier in ("", LATEST) or qualifier.isdigit())
    }
    return tuple(sorted(found, key=lambda one: (one.function, one.kind, one.source, one.qualifier)))


def _named(reference: Reference, region: str, account: str) -> Iterator[tuple[str, str]]:
    """The functions that a text names, each with its qualifier."""
    for arn in _ARN.finditer(reference.text):
        if (arn["region"], arn["account"]) == (region, account):
            yield arn["function"], arn["qualifier"] or ""
    # Only a setting may have a bare name; in an ARN it is another service's resource.
    name = _NAME.fullmatch(reference.text.strip()) if reference.kind is Invoker.VARIABLE else None
    if name is not None and name["function"] != reference.own and name["account"] in (None, account):
        yield name["function"], name["qualifier"] or ""
