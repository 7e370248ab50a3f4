"""DynamoDB items of the low-level client: written as JSON, read back, and compared. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

# Attribute name → typed value, as in {"id": {"S": "a"}, "count": {"N": "1"}, "data": {"B": b"…"}}.
Item = Mapping[str, Any]
_SETS = ("SS", "NS")


def text(item: Item) -> str:
    """The item as one line of JSON, the same for equal items: sets are sorted."""
    return json.dumps(
        {name: _written(value) for name, value in item.items()},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )


def written(item: Item | None) -> dict[str, Any] | None:
    """The item as JSON values, in the same shape: binaries as base64 text, sets sorted."""
    return None if item is None else {name: _written(value) for name, value in item.items()}


def read(item: Item | None) -> dict[str, Any] | None:
    """The item from the JSON of `written`, as the client takes it."""
    return None if item is None else {name: _read(value) for name, value in item.items()}


def fingerprint(item: Item) -> str:
    """32 hexadecimal digits that differ where items do."""
    return hashlib.blake2b(text(item).encode(), digest_size=16).hexdigest()


def same(one: Item | None, other: Item | None) -> bool:
    """Whether both are the same item, or both None."""
    if one is None or other is None:
        return one is other
    return text(one) == text(other)


def key_of(item: Item, keys: Sequence[str]) -> dict[str, Any]:
    """An item's primary key, `{"id": {"S": "a"}}`; `keys` are the names of its attributes."""
    return {name: item[name] for name in keys}


def expired(item: Item, ttl: str, now: float) -> bool:
    """Whether an item's time to live has passed: the attribute `ttl` holds seconds since 1970, as `now` does.

    A time more than five years ago is ignored ("Using time to live",
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html).
    """
    value = item.get(ttl, {}).get("N") if ttl else None
    return value is not None and now - 5 * 365 * 86_400 < float(value) <= now


def _written(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "M":
        return {kind: {name: _written(inner) for name, inner in content.items()}}
    if kind == "L":
        return {kind: [_written(inner) for inner in content]}
    if kind in _SETS:
        return {kind: sorted(content)}
    if kind == "B":
        return {kind: base64.b64encode(content).decode()}
    if kind == "BS":
        return {kind: [base64.b64encode(one).decode() for one in sorted(content)]}
    return value


def _read(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "M":
        return {kind: {name: _read(inner) for name, inner in content.items()}}
    if kind == "L":
        return {kind: [_read(inner) for inner in content]}
    if kind == "B":
        return {kind: base64.b64decode(content)}
    if kind == "BS":
        return {kind: [base64.b64decode(one) for one in content]}
    return value
