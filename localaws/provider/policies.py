"""When two JSON policies say the same."""

from __future__ import annotations

import json
import re
from typing import Any


def canonical(text: Any) -> Any:
    """A policy's meaning as text: order of keys, statements and values is nothing, one is a list of one.

    Text that is no JSON object stays as it is: it is equal to itself only.
    """
    try:
        document = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text
    if not isinstance(document, dict):
        return text
    statements = document.get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    parts = sorted(json.dumps(_statement(item), sort_keys=True) for item in listed)
    return json.dumps({**document, "Statement": parts}, sort_keys=True)


def problem(text: str) -> str | None:
    """Why this is no policy, if it is none."""
    try:
        document = json.loads(text)
    except ValueError as error:
        return f"contains an invalid JSON policy: {error}"
    return None if isinstance(document, dict) else "contains an invalid JSON policy: not an object"


def _statement(statement: Any) -> Any:
    if not isinstance(statement, dict):
        return statement
    result = dict(statement)
    for key in ("Action", "NotAction", "Resource", "NotResource"):
        if key in result:
            result[key] = _set(result[key])
    for key in ("Principal", "NotPrincipal"):
        if key in result:
            principal = result[key] if isinstance(result[key], dict) else {"AWS": result[key]}
            result[key] = {
                kind: sorted(_principal(one) for one in _set(ones)) for kind, ones in principal.items()
            }
    if isinstance(result.get("Condition"), dict):
        result["Condition"] = {
            operator: {key: _set(value) for key, value in tests.items()} if isinstance(tests, dict) else tests
            for operator, tests in result["Condition"].items()
        }
    if not result.get("Sid", "x"):
        del result["Sid"]
    return result


def _set(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return sorted({item if isinstance(item, str) else json.dumps(item) for item in items})


def _principal(text: str) -> str:
    return f"arn:aws:iam::{text}:root" if re.fullmatch(r"\d{12}", text) else text
