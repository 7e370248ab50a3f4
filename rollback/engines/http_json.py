"""Reads JSON from an API, with a token that is only sent to the API's host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.request import Request, urlopen

_SECONDS = 10
_LOOPBACK = "http://127.0.0.1:"


def asked(address: str, headers: Mapping[str, str]) -> Any:
    """The JSON at `address`. Raises `ValueError` for an address that must not receive a token, and for invalid JSON.

    Raises `urllib.error.HTTPError` for an error status, `URLError` or `TimeoutError` without a response.
    """
    if not address.startswith(("https://", _LOOPBACK)):
        raise ValueError(f"{address} is not a URL that a token may be sent to")
    wanted = Request(address, headers=dict(headers))  # noqa: S310 - the scheme was looked at
    with urlopen(wanted, timeout=_SECONDS) as answer:  # noqa: S310 - as above
        return json.load(answer)
