"""What invokes a function without the alias that a rollback updates. Pure.

A rollback updates one alias. Callers of a function without it (`…:function:NAME`, which is `$LATEST`), or of a version by
number, keep invoking the same code. Other aliases are deliberate, and are not reported.
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
    """The kinds of callers, and of settings with a function's name."""

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
    """A reference to a function: its `kind`, the referrer's name in `source`, and the `text` with the function's name.

    `own` is the function that the setting belongs to: its own name in it is not a call.
    """

    kind: Invoker
    source: str
    text: str
    own: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bypass:
    """Something that invokes `function` without its alias: with `qualifier` (`$LATEST`, `7`), or unqualified, if that is empty."""

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
    """Those of `references` that refer to one of `functions` (of one region and account) without an alias; unique and sorted."""
    found = {
        Bypass(kind=one.kind, source=one.source, function=function, qualifier=qualifier): None
        for one in references
        for function, qualifier in _named(one, region, account)
        if function in functions and (qualifier in ("", LATEST) or qualifier.isdigit())
    }
    return tuple(sorted(found, key=lambda one: (one.function, one.kind, one.source, one.qualifier)))


def _named(reference: Reference, region: str, account: str) -> Iterator[tuple[str, str]]:
    """The functions in a text, each with its qualifier."""
    for arn in _ARN.finditer(reference.text):
        if (arn["region"], arn["account"]) == (region, account):
            yield arn["function"], arn["qualifier"] or ""
    # Only settings have bare names; in an ARN a bare name is another service's resource.
    name = _NAME.fullmatch(reference.text.strip()) if reference.kind is Invoker.VARIABLE else None
    if name is not None and name["function"] != reference.own and name["account"] in (None, account):
        yield name["function"], name["qualifier"] or ""
