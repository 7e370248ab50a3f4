"""The fields of a type as data; what is wrong with an input; what differs. No AWS, no gRPC."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from localaws.provider.values import Unknown, Values

Kind = Literal["string", "bool", "number", "map", "numbers", "list", "set", "object"]
DEFAULTS: Final = "__defaults"  # where the bridged provider, too, keeps which inputs it filled in


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One input.

    `computed`: where the program is silent, whatever the cloud has is right. Otherwise silence means
    `default`, or nothing. `unread`: the cloud does not keep it. `canon`: two values with equal canon
    are the same. `fields`: of an object, or of the objects in a set.
    """

    kind: Kind = "string"
    fields: Mapping[str, Field] = field(default_factory=dict)
    required: bool = False
    replaces: bool = False
    computed: bool = False
    secret: bool = False
    autoname: bool = False
    unread: bool = False
    default: str | bool | int | None = None
    choices: tuple[str, ...] = ()
    canon: Callable[[Any], Any] | None = None


Fields = Mapping[str, Field]
TAGS: Final = Field(kind="map")
REGION: Final = Field(computed=True, replaces=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckFailure:
    """An input that cannot be, and why."""

    key: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PropertyChange:
    """One difference between what stands and what is asked for; `path` begins with the input's key."""

    path: str
    key: str
    kind: Literal["ADD", "DELETE", "UPDATE"]
    replaces: bool


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or what there is."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; it knows {', '.join(options)}"


def failures(token: str, fields: Fields, inputs: Values) -> Iterator[CheckFailure]:
    """What is wrong with the inputs: unknown keys, wrong kinds and choices, missing ones."""
    for key, value in inputs.items():
        if key == DEFAULTS:
            continue
        if key not in fields:
            yield CheckFailure(key=key, reason=f"{key!r} is no input of {token} here{nearest(key, fields)}")
        else:
            yield from _wrong(token, key, fields[key], value)
    for key, spec in fields.items():
        if spec.required and inputs.get(key) is None:
            yield CheckFailure(key=key, reason=f"Missing required property {key!r}")


def _wrong(token: str, path: str, spec: Field, value: Any) -> Iterator[CheckFailure]:
    if isinstance(value, Unknown):
        return
    fits: Mapping[str, Callable[[Any], bool]] = {
        "string": lambda v: isinstance(v, str),
        "bool": lambda v: isinstance(v, bool),
        "number": _is_number,
        "map": lambda v: isinstance(v, dict) and all(isinstance(i, (str, Unknown)) for i in v.values()),
        "numbers": lambda v: isinstance(v, dict) and all(map(_is_number, v.values())),
        "list": lambda v: isinstance(v, list),
        "set": lambda v: isinstance(v, list),
        "object": lambda v: isinstance(v, dict),
    }
    if not fits[spec.kind](value):
        shown_value = "a value of another kind" if spec.secret else f"{value!r}"
        yield CheckFailure(key=path, reason=f"expected a {spec.kind}, got {shown_value}")
    elif spec.choices and value not in spec.choices:
        yield CheckFailure(key=path, reason=f"expected one of {', '.join(spec.choices)}, got {value!r}")
    elif spec.kind == "object":
        yield from _nested(token, path, spec, value)
    elif spec.kind in ("list", "set"):
        for index, item in enumerate(value):
            where = f"{path}[{index}]"
            if isinstance(item, Unknown):
                continue
            if spec.fields and isinstance(item, dict):
                yield from _nested(token, where, spec, item)
            elif spec.fields or not isinstance(item, str):
                expected = "object" if spec.fields else "string"
                yield CheckFailure(key=where, reason=f"expected a {expected}, got {item!r}")


def _nested(token: str, path: str, spec: Field, value: Values) -> Iterator[CheckFailure]:
    for failure in failures(f"{path} of {token}", spec.fields, value):
        yield CheckFailure(key=f"{path}.{failure.key}", reason=failure.reason)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, Unknown)) and not isinstance(value, bool)


def filled(fields: Fields, inputs: Values, *, old: Values, name: str, seed: bytes) -> Values:
    """The inputs with the defaults of the type, and a generated name where none is given.

    A generated name stays what it was in the `old` inputs; the engine leaves these out when it wants
    a second object beside the first.
    """
    result = {key: value for key, value in inputs.items() if key != DEFAULTS}
    defaults = []
    for key, spec in fields.items():
        if key in result:
            continue
        if spec.autoname:
            kept = old.get(key) if key in old.get(DEFAULTS, []) else None
            result[key] = kept or f"{name}-{hashlib.sha256(seed or name.encode()).hexdigest()[:7]}"
        elif spec.default is not None:
            result[key] = spec.default
        else:
            continue
        defaults.append(key)
    result[DEFAULTS] = sorted(defaults)
    return result


def normal(spec: Field, value: Any) -> Any:
    """The value in a form in which equal means the same. Zero, empty and absent are one."""
    if isinstance(value, Unknown):
        return value
    if value is None:
        value = spec.default
    if spec.canon is not None and value is not None:
        value = spec.canon(value)
    if spec.kind == "object" and isinstance(value, dict):
        items = {key: normal(inner, value.get(key)) for key, inner in spec.fields.items()}
        value = {key: item for key, item in items.items() if item is not None}
    elif spec.kind in ("list", "set") and isinstance(value, list):
        if spec.fields:
            element = Field(kind="object", fields=spec.fields)
            value = [normal(element, item) for item in value]
        if spec.kind == "set":
            value = sorted(value, key=_sortable)
    return value if value or isinstance(value, Unknown) else None


def _sortable(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def same(spec: Field, old: Any, new: Any) -> bool:
    """Whether the cloud's `old` is what `new` asks for."""
    if new is None and spec.computed:
        return True
    if spec.kind == "object" and not isinstance(new, Unknown):
        was, asked = (item if isinstance(item, dict) else {} for item in (old, new))
        return all(same(inner, was.get(key), asked.get(key)) for key, inner in spec.fields.items())
    return bool(normal(spec, old) == normal(spec, new))


def changes(
    fields: Fields, state: Values, inputs: Values, ignore: Collection[str] = ()
) -> list[PropertyChange]:
    """What an update would have to do, from the state as last read to the inputs as asked for."""
    found: list[PropertyChange] = []
    for key, spec in fields.items():
        old, new = state.get(key), inputs.get(key)
        if key in ignore or same(spec, old, new):
            continue
        parts = list(_parts(spec, old, new)) or [("", old, new)]
        found.extend(
            PropertyChange(path=key + tail, key=key, kind=_kind(was, now), replaces=spec.replaces)
            for tail, was, now in parts
        )
    return found


def _parts(spec: Field, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """The entries of a map or an object that differ, where both sides have one."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return
    for key in sorted(old.keys() | new.keys()):
        inner = spec.fields.get(key, Field())
        if not same(inner, old.get(key), new.get(key)):
            yield (f".{key}" if key.isidentifier() else f"[{json.dumps(key)}]"), old.get(key), new.get(key)


def _kind(old: Any, new: Any) -> Literal["ADD", "DELETE", "UPDATE"]:
    if old is None:
        return "ADD"
    return "DELETE" if new is None else "UPDATE"


def spelled_as(fields: Fields, inputs: Values, state: Values) -> Values:
    """The state with the program's own spelling and order wherever both mean the same."""
    kept = {
        key: inputs[key]
        for key, spec in fields.items()
        if key in inputs
        and (spec.canon or spec.kind in ("list", "set"))
        and not isinstance(inputs[key], Unknown)
        and normal(spec, inputs[key]) == normal(spec, state.get(key))
    }
    return {**state, **kept}


def fresh_inputs(fields: Fields, *, old: Values, before: Values, now: Values) -> Values:
    """The inputs that would have made what the cloud has now.

    Those the program gave are brought up to date; one it did not give appears if the cloud's value
    moved since the state `before`. As the bridged provider does, and what keeps `ignore_changes`
    from sending an old value along.
    """
    result: Values = {}
    for key, spec in fields.items():
        value = now.get(key)
        if spec.unread:
            value = old.get(key)
        elif key in old:
            value = old[key] if same(spec, value, old[key]) else value
        elif spec.computed or normal(spec, before.get(key)) == normal(spec, value):
            continue
        if value is not None:
            result[key] = value
    result[DEFAULTS] = [key for key in old.get(DEFAULTS, []) if key in result]
    return result


def imported_inputs(fields: Fields, now: Values) -> Values:
    """The inputs of an object that was never declared: whatever it has that is not nothing."""
    values = {key: now.get(key, spec.default) for key, spec in fields.items() if spec is not REGION}
    return {DEFAULTS: []} | {
        key: value
        for key, value in values.items()
        if value is not None and normal(fields[key], value) is not None
    }
