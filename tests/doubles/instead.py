"""A client some of whose calls are answered by a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Instead:
    """`client`, whose calls that are named here are `calls` instead."""

    def __init__(self, client: Any, **calls: Callable[..., Any]) -> None:
        self._client, self._calls = client, calls

    def __getattr__(self, name: str) -> Any:
        return self._calls.get(name) or getattr(self._client, name)
