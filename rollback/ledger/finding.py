"""A finding of an audit, and the comparison of an item with its expected content. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rollback.ledger.store import Item
from rollback.util.canonical import plain


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One place where the chain breaks: an item's key (or the archive's bucket and key), and why."""

    pk: str
    sk: str
    what: str

    def __str__(self) -> str:
        return f"{self.pk} / {self.sk}: {self.what}"


def differing(item: Item, expected: Mapping[str, Any]) -> str | None:
    """The first attribute in which an item differs from `expected` (attribute name → value); None if it
    does not.
    """
    made = plain(expected)
    for name in sorted({*item, *made}):
        if name not in item or name not in made or not _same(item[name], made[name]):
            return str(name)
    return None


def differs(item: Item, expected: Mapping[str, Any]) -> Iterator[Finding]:
    """A finding if an item differs from `expected`."""
    if (name := differing(item, expected)) is not None:
        yield Finding(pk=str(item["PK"]), sk=str(item["SK"]), what=changed(name))


def _same(one: Any, other: Any) -> bool:
    """Whether values and all nested types are equal: DynamoDB distinguishes true from 1, and a set from a list."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def changed(name: str) -> str:
    """The text for an attribute that was not written by this command."""
    return f"its {name} is not as this command writes it"


def old_schema(schema: int) -> str:
    """The text for an item older than the hashes that cover everything."""
    return f"it has schema {schema}, which hashes do not cover completely: it cannot be verified"
