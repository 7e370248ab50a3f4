"""The canonical form of data, so that a digest or a chain is the same on every machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

# The most frequent types, which need no conversion.
_ATOMS = {str, int, bool, type(None)}
# A dataclass's class variable: the names of fields that earlier versions did not have. They are left out if empty, so that
# stored data and hashes of earlier versions stay valid.
LATER = "LATER"


def canonical(value: Any) -> str:
    """`value` as JSON with sorted keys and no white space.

    Takes dataclasses, mappings, sequences, strings, numbers, booleans and None; anything else raises
    `TypeError`.
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """The SHA-256 of `canonical(value)`, as 64 hexadecimal digits.

    Raises `TypeError` as `canonical` does.
    """
    return hashlib.sha256(canonical(value).encode(errors="surrogatepass")).hexdigest()


def plain(value: Any) -> Any:
    """Converts recursively: dataclasses to dicts, tuples and sets to lists, whole floats to integers.

    DynamoDB has one type of number and returns 1.0 as 1: a value must have the same hash before and after.
    """
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is dict:
        return {str(key): plain(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [plain(item) for item in value]
    if (names := _fields(kind)) is not None:  # type: ignore[arg-type] # every class is hashable
        made = {name: plain(getattr(value, name)) for name in names}
        for name in getattr(kind, LATER, ()):
            if not made[name]:
                del made[name]
        return made
    return _plain(value)


def _plain(value: Any) -> Any:
    """`plain` for rare types."""
    if isinstance(value, str):  # a member of an enum
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


@cache
def _fields(kind: type) -> tuple[str, ...] | None:
    """The fields of a dataclass; None for other types."""
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None
