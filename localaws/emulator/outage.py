"""Teaches the emulator an outage: DynamoDB of one account, and so its ledger, does not answer. Its data stay.

`POST /_dynamodb/outage` with `{"account": "111111111111", "away": true}` begins it, with `false` ends it; restarts of
an account that keeps its state do not end it. Runs inside the emulator's process; imports nothing of this project.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html, Service Unavailable (HTTP 503)
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PATH = "/_dynamodb/outage"
_away: set[str] = set()


def asked(request: Mapping[str, Any]) -> None:
    """Begins or ends an outage, as the request says."""
    if request["away"]:
        _away.add(request["account"])
    else:
        _away.discard(request["account"])
    file = _kept()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(sorted(_away)), encoding="utf-8")


def install() -> None:
    """Puts the outage before the emulator's DynamoDB, in this process.

    Raises AttributeError where a newer emulator has moved what is replaced.
    """
    tables: Any = importlib.import_module("ministack.services.dynamodb")
    responses: Any = importlib.import_module("ministack.core.responses")
    handle = tables.handle_request
    if _kept().is_file():
        _away.update(json.loads(_kept().read_text(encoding="utf-8")))

    async def handled(*request: Any) -> Any:
        if responses.get_account_id() in _away:
            return responses.error_response_json(
                "ServiceUnavailable", "The service is currently unavailable or busy.", 503
            )
        return await handle(*request)

    tables.handle_request = handled


def _kept() -> Path:
    return Path(os.environ["STATE_DIR"], "outage.json")
