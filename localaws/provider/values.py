"""The engine's wire values as plain Python: secrets unwrapped and remembered, unknowns marked."""

# grpc and protobuf come without types.
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import json_format, struct_pb2

Values = dict[str, Any]

# https://github.com/pulumi/pulumi/blob/master/sdk/go/common/resource/properties.go
_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 (a signature on the wire)
_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS: Final = frozenset(
    {
        _UNKNOWN,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)


class Unknown:
    """A value that only the deployment will tell."""

    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, kw_only=True, slots=True)
class Properties:
    """A property map: its values, and the top-level keys under which something is secret."""

    values: Values
    secret: frozenset[str] = frozenset()

    def secrets(self) -> Iterator[str]:
        """Every text that must not be shown."""
        for key in self.secret:
            yield from _texts(self.values.get(key))


def decode(struct: struct_pb2.Struct) -> Properties:
    """What the engine sent; nulls are left out, whole numbers are int."""
    secret: set[str] = set()
    values: Values = {}
    for key, raw in json_format.MessageToDict(struct).items():
        hidden: list[bool] = []
        value = _plain(raw, hidden)
        if value is not None:
            values[key] = value
        if hidden:
            secret.add(key)
    return Properties(values=values, secret=frozenset(secret))


def encode(values: Mapping[str, Any], secret: Iterable[str] = ()) -> struct_pb2.Struct:
    """What the engine is to read; the values under the keys of `secret` are marked so."""
    hidden = frozenset(secret)
    struct = struct_pb2.Struct()
    struct.update(
        {
            key: {_SIGNATURE: _SECRET, "value": _wire(value)} if key in hidden else _wire(value)
            for key, value in values.items()
            if value is not None
        }
    )
    return struct


def has_unknown(value: object) -> bool:
    """Whether anything in it is unknown."""
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return isinstance(value, Unknown)


def _plain(raw: Any, hidden: list[bool]) -> Any:
    if isinstance(raw, dict):
        if raw.get(_SIGNATURE) == _SECRET:
            hidden.append(True)
            return _plain(raw.get("value"), hidden)
        return {k: v for k, v in ((k, _plain(v, hidden)) for k, v in raw.items()) if v is not None}
    if isinstance(raw, list):
        return [_plain(item, hidden) for item in raw]
    if isinstance(raw, float) and raw.is_integer():
        return int(raw)
    if isinstance(raw, str) and raw in _UNKNOWNS:
        return UNKNOWN
    return raw


def _wire(value: Any) -> Any:
    if isinstance(value, Unknown):
        return _UNKNOWN
    if isinstance(value, Mapping):
        return {k: _wire(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [_wire(item) for item in value]
    return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str) and value:
        yield value
