"""The services beside Lambda that invoke functions, with nothing in them; the emulator has them with everything."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

INVOKERS = ("apigateway", "apigatewayv2", "events", "scheduler")


class Idle:
    """A client of any of `INVOKERS`: every list is empty, or `fail` is raised."""

    def __init__(self) -> None:
        self.fail: Exception | None = None
        self.meta = SimpleNamespace(events=SimpleNamespace(register=lambda *_: None))

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=self._pages)

    def list_event_buses(self) -> dict[str, Any]:
        return next(self._pages()) | {"EventBuses": []}

    def _pages(self, **_: Any) -> Iterator[dict[str, Any]]:
        if self.fail is not None:
            raise self.fail
        yield {}
