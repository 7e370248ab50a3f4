"""DynamoDB's expressions, as far as this project writes them: read once, then kept as plain functions.

    condition   attribute_exists(path), attribute_not_exists(path), path = :value, AND, ( )
    update      SET path = operand [+ operand | - operand], … REMOVE path, …
    key         path = :value [AND begins_with(path, :value)]

A path is the name of an attribute of the item, or `#name`; an operand is a path, `:value` or
`if_not_exists(path, operand)`. Whatever else DynamoDB may understand raises `Unmodelled`; what it refuses
raises `Invalid`.

Sources: "Condition and filter expressions", "Update expressions" and "Reserved words" in the developer
guide, https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.simulation.aws.answers import Unmodelled

# As in the client's interface: {"S": "text"}, {"N": "1"}, …
Value = Mapping[str, Any]
Item = Mapping[str, Value]
_Operand = Callable[[Item, "Terms"], Value | None]
_Test = Callable[[Item, "Terms"], bool]

# "The maximum length of any expression string is 4 KB" ("Quotas in Amazon DynamoDB").
_LONGEST = 4096
_TOKEN = re.compile(r"\s*([:#][A-Za-z0-9_]+|[A-Za-z][A-Za-z0-9_]*|[=,()+-])\s*")
# What is no name although it looks like one.
_WORDS = frozenset(("ADD", "AND", "BETWEEN", "DELETE", "IN", "NOT", "OR", "REMOVE", "SET"))
_RESERVED = frozenset((Path(__file__).parent / "reserved_words.txt").read_text(encoding="utf-8").split())
_PARSED = 1024


class Invalid(Exception):
    """What DynamoDB refuses with a ValidationException of that message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a request gives for `#name` and `:value`."""

    names: Mapping[str, str]
    values: Mapping[str, Value]


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """`uses` are the `#name`s and `:value`s in it."""

    uses: frozenset[str]
    holds: _Test


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """`sets` are targets with what they get; all is read from the item as it was."""

    uses: frozenset[str]
    sets: tuple[tuple[str, _Operand], ...]
    removes: tuple[str, ...]

    def targets(self, terms: Terms) -> list[str]:
        """The attributes that it writes. Raises `Invalid` where it writes one twice."""
        targets = [_named(path, terms) for path in (*(path for path, _ in self.sets), *self.removes)]
        if len(set(targets)) < len(targets):
            raise Invalid(
                "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite "
                "one of these paths"
            )
        return targets

    def apply(self, item: Item, terms: Terms) -> dict[str, Value]:
        """The item afterwards; `item` itself is left as it was. Raises `Invalid` for a wrong operand."""
        after = dict(item)
        for path, operand in self.sets:
            value = operand(item, terms)
            if value is None:
                raise Invalid(
                    "The provided expression refers to an attribute that does not exist in the item"
                )
            after[_named(path, terms)] = value
        for path in self.removes:
            after.pop(_named(path, terms), None)
        return after


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyCondition:
    """The partition that is asked for, and what its sort keys begin with. Members are `#name`, `:value`."""

    uses: frozenset[str]
    hash_path: str
    hash_value: str
    range_path: str = ""
    range_prefix: str = ""

    def asked(self, hash_key: str, range_key: str, terms: Terms) -> tuple[str, str]:
        """Partition and prefix. Raises `Invalid` where it is not about these keys."""
        if _named(self.hash_path, terms) != hash_key:
            raise Invalid(f"Query condition missed key schema element: {hash_key}")
        partition, prefix = terms.values[self.hash_value], {"S": ""}
        if self.range_path:
            if _named(self.range_path, terms) != range_key:
                raise Invalid(f"Query condition missed key schema element: {range_key}")
            prefix = dict(terms.values[self.range_prefix])
        if "S" not in partition or "S" not in prefix:
            raise Invalid(
                "One or more parameter values were invalid: Condition parameter type does not match schema type"
            )
        return partition["S"], prefix["S"]


@lru_cache(maxsize=_PARSED)
def condition(text: str) -> Condition:
    """Raises `Invalid`, and `Unmodelled` where it says more than is known here."""
    read = _Reader("ConditionExpression", text)
    holds = _conjunction(read)
    read.end()
    return Condition(uses=frozenset(read.uses), holds=holds)


@lru_cache(maxsize=_PARSED)
def update(text: str) -> Update:
    """Raises as `condition` does."""
    read = _Reader("UpdateExpression", text)
    clauses: dict[str, list[Any]] = {}
    while not read.done():
        token = read.take()
        if token not in ("SET", "REMOVE") or token in clauses:
            raise read.unmodelled()
        clauses[token] = list(_listed(read, _assignment if token == "SET" else _Reader.path))
    return Update(
        uses=frozenset(read.uses),
        sets=tuple(clauses.get("SET", ())),
        removes=tuple(clauses.get("REMOVE", ())),
    )


@lru_cache(maxsize=_PARSED)
def key_condition(text: str) -> KeyCondition:
    """Raises as `condition` does."""
    read = _Reader("KeyConditionExpression", text)
    hash_path = read.path()
    read.must("=")
    parts = {"hash_path": hash_path, "hash_value": read.value()}
    if not read.done():
        read.must("AND")
        read.must("begins_with")
        read.must("(")
        parts["range_path"] = read.path()
        read.must(",")
        parts["range_prefix"] = read.value()
        read.must(")")
        read.end()
    return KeyCondition(uses=frozenset(read.uses), **parts)


def equal(one: Value, other: Value) -> bool:
    """Whether two values are the same: numbers by what they are worth, not by how they are written."""
    if one == other:
        return True
    (kind, left), (other_kind, right) = *one.items(), *other.items()
    if kind != other_kind:
        return False
    if kind == "N":
        return Decimal(left) == Decimal(right)
    if kind == "L":
        return len(left) == len(right) and all(map(equal, left, right))
    return (
        kind == "M" and left.keys() == right.keys() and all(equal(left[name], right[name]) for name in left)
    )


class _Reader:
    """The words of an expression, one after the other; remembers which `#name` and `:value` it met."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind, self.text = kind, text
        if len(text.encode()) > _LONGEST:
            raise Invalid(f"Invalid {kind}: Expression size has exceeded the maximum allowed size;")
        self.uses: set[str] = set()
        self._words = list(self._split(text))
        self._next = 0

    def done(self) -> bool:
        return self._next == len(self._words)

    def peek(self) -> str:
        return "" if self.done() else self._words[self._next]

    def take(self) -> str:
        token = self.peek()
        self._next += 1
        if token[:1] in ("#", ":"):
            self.uses.add(token)
        return token

    def must(self, token: str) -> None:
        if self.take() != token:
            raise self.unmodelled()

    def end(self) -> None:
        if not self.done():
            raise self.unmodelled()

    def value(self) -> str:
        token = self.take()
        if not token.startswith(":"):
            raise self.unmodelled()
        return token

    def path(self) -> str:
        token = self.take()
        if token.startswith("#"):
            return token
        if not token[:1].isalpha() or token in _WORDS or self.peek() == "(":
            raise self.unmodelled()
        if token.upper() in _RESERVED:
            raise Invalid(
                f"Invalid {self.kind}: Attribute name is a reserved keyword; reserved keyword: {token}"
            )
        return token

    def unmodelled(self) -> Unmodelled:
        return Unmodelled(f"{self.kind} {self.text!r}, at word {self._next} of {self._words}")

    def _split(self, text: str) -> Iterator[str]:
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise Unmodelled(f"{self.kind} {text!r}, at {text[at:]!r}")
            yield found[1]
            at = found.end()


def _conjunction(read: _Reader) -> _Test:
    tests = [_test(read)]
    while read.peek() == "AND":
        read.take()
        tests.append(_test(read))
    if len(tests) == 1:
        return tests[0]
    return lambda item, terms: all(test(item, terms) for test in tests)


def _test(read: _Reader) -> _Test:
    token = read.peek()
    if token == "(":
        read.take()
        if read.peek() == "(":
            raise Invalid(f"The {read.kind} has redundant parentheses")
        inner = _conjunction(read)
        read.must(")")
        return inner
    if token in ("attribute_exists", "attribute_not_exists"):
        read.take()
        read.must("(")
        path = read.path()
        read.must(")")
        wanted = token == "attribute_exists"
        return lambda item, terms: (_named(path, terms) in item) is wanted
    path = read.path()
    read.must("=")
    value = read.value()

    def same(item: Item, terms: Terms) -> bool:
        found = item.get(_named(path, terms))
        return found is not None and equal(found, terms.values[value])

    return same


def _listed(read: _Reader, one: Callable[[_Reader], Any]) -> Iterator[Any]:
    yield one(read)
    while read.peek() == ",":
        read.take()
        yield one(read)


def _assignment(read: _Reader) -> tuple[str, _Operand]:
    target = read.path()
    read.must("=")
    left = _operand(read)
    sign = read.peek()
    if sign not in ("+", "-"):
        return target, left
    read.take()
    right = _operand(read)

    def summed(item: Item, terms: Terms) -> Value | None:
        one, other = left(item, terms), right(item, terms)
        if one is None or other is None:
            return None
        if "N" not in one or "N" not in other:
            raise Invalid("An operand in the update expression has an incorrect data type")
        more = Decimal(other["N"])
        return {"N": number(Decimal(one["N"]) + (more if sign == "+" else -more))}

    return target, summed


def _operand(read: _Reader) -> _Operand:
    if read.peek().startswith(":"):
        value = read.value()
        return lambda _, terms: terms.values[value]
    if read.peek() == "if_not_exists":
        read.take()
        read.must("(")
        path = read.path()
        read.must(",")
        otherwise = _operand(read)
        read.must(")")

        def kept(item: Item, terms: Terms) -> Value | None:
            found = item.get(_named(path, terms))
            return otherwise(item, terms) if found is None else found

        return kept
    name = read.path()
    return lambda item, terms: item.get(_named(name, terms))


def number(value: Decimal) -> str:
    """A number as DynamoDB writes it: without exponent and without zeros that say nothing."""
    if value == value.to_integral_value():
        return str(int(value))
    return format(value.normalize(), "f")


def _named(path: str, terms: Terms) -> str:
    return terms.names[path] if path.startswith("#") else path
