"""Asks an API for JSON, with a token that goes to its own host only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.request import Request, urlopen

_SECONDS = 10
_LOOPBACK = "http://127.0.0.1:"


def asked(address: str, headers: Mapping[str, str]) -> Any:
    """What `address` answers. Raises `ValueError` for one that a token is not sent to, and for what is not JSON.

    Raises `urllib.error.HTTPError` for what is refused, `URLError` or `TimeoutError` without an answer.
    """
    if not address.startswith(("https://", _LOOPBACK)):
        raise ValueError(f"{address} is not a URL that a token may be sent to")
    wanted = Request(address, headers=dict(headers))  # noqa: S310 - the scheme was looked at
    with urlopen(wanted, timeout=_SECONDS) as answer:  # noqa: S310 - as above
        return json.load(answer)
