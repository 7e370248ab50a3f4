"""One way to write data as bytes, so that a digest or a chain means the same on every machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical(value: Any) -> str:
    """`value` as JSON with sorted keys and no white space.

    Takes dataclasses, mappings, sequences, strings, numbers, booleans and None; anything else raises
    `TypeError`.
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """The SHA-256 of `canonical(value)`, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def plain(value: Any) -> Any:
    """Dataclasses as dicts, tuples and sets as lists, whole floats as integers, all the way down.

    DynamoDB has one kind of number and gives 1.0 back as 1: a value must hash alike before and after.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
