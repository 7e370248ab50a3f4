"""Teaches the emulator to copy an account: what it keeps of one is another's as well, under the other's number.

`POST /_account/copy` with `{"from": "111111111111", "to": "222222222222", "services": ["iam", …]}`; what the other
has under another name stays. Runs inside the emulator's process; imports nothing of this project.
"""

from __future__ import annotations

import importlib
import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any

PATH = "/_account/copy"
_STORES = ("AccountScopedDict", "AccountRegionScopedDict")


def asked(request: Mapping[str, Any]) -> None:
    """Copies, as the request says."""
    copy(request["from"], request["to"], request["services"])


def beside(app: Any, requests: Mapping[str, Callable[[Mapping[str, Any]], None]]) -> Any:
    """The emulator's application, and besides, by their paths, requests of our own with what they do."""

    async def both(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] not in requests:
            await app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        requests[scope["path"]](json.loads(body))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return both


def copy(source: str, target: str, services: list[str]) -> None:
    """Copies what modules of the emulator (`lambda_svc`, say) keep of one account to another.

    Numbers of accounts are alike long, so that one takes the other's place wherever it stands.
    """
    for service in services:
        module = importlib.import_module(f"ministack.services.{service}")
        for store in vars(module).values():
            if type(store).__name__ in _STORES:
                kept = store._data  # noqa: SLF001 - no other way in
                own = pickle.dumps({key: value for key, value in list(kept.items()) if key[0] == source})
                kept.update(pickle.loads(own.replace(source.encode(), target.encode())))  # noqa: S301 - our own
