"""What the model of DynamoDB keeps: items as they are sent, never changed in place, with all that they were.

Sources: "DynamoDB item sizes and formats" and "Quotas in Amazon DynamoDB" in the developer guide,
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.aws.answers import Unmodelled
from tests.simulation.aws.expressions import Invalid, Item, Value

# The values of an item's two keys.
Key = tuple[str, str]
TOO_LARGE = "Item size has exceeded the maximum allowed size"
TOO_LARGE_AFTER = "Item size to update has exceeded the maximum allowed size"
_LARGEST = 400 * 1024
_LARGEST_PAGE = 1024 * 1024
_DIGITS = 38


class Mismatch(Invalid):
    """A key of another type than the schema's, which a transaction answers in its own way."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An item as a write left it, and its size in bytes; None where it was deleted."""

    position: int
    item: Item | None
    size: int


@dataclass(kw_only=True)
class Table:
    """Two string keys, and indexes of two string keys that hold whole items.

    `position` counts the writes of single items. `now` is partition → sort key → item, `past` every state
    of an item, the oldest first, `members` who was ever in a partition of an index.
    """

    hash_key: str
    range_key: str
    indexes: Mapping[str, tuple[str, str]]
    position: int = 0
    now: dict[str, dict[str, Stored]] = field(default_factory=dict)
    past: dict[Key, list[Stored]] = field(default_factory=dict)
    members: dict[tuple[str, str], set[Key]] = field(default_factory=dict)

    def key(self, item: Item, *, alone: bool) -> Key:
        """The item's key; `alone`: it must have nothing else. Raises `Invalid` where it is none."""
        if alone and len(item) != len((self.hash_key, self.range_key)):
            raise Invalid("The provided key element does not match the schema")
        values = []
        for name in (self.hash_key, self.range_key):
            value = item.get(name, {}).get("S")
            if not isinstance(value, str):
                raise Mismatch(
                    "The provided key element does not match the schema"
                    if alone
                    else f"One or more parameter values were invalid: Missing the key {name} in the item"
                )
            if not value:
                raise Invalid(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute "
                    f"cannot contain an empty string value. Key: {name}"
                )
            values.append(value)
        return values[0], values[1]

    def checked(self, item: Item, too_large: str) -> int:
        """The size of an item in bytes. Raises `Invalid` where it must not be: too large, or no index's."""
        size = _size(item)
        if size > _LARGEST:
            raise Invalid(too_large)
        for name in {name for keys in self.indexes.values() for name in keys}:
            if name in item and "S" not in item[name]:
                raise Mismatch(
                    f"One or more parameter values were invalid: Type mismatch for Index Key {name}"
                )
            if name in item and not item[name]["S"]:
                raise Invalid(
                    "One or more parameter values are not valid. A value specified for a secondary index key is "
                    f"not supported. The AttributeValue for a key attribute cannot contain an empty string "
                    f"value. IndexKey: {name}"
                )
        return size

    def keys(self, index: str | None, *, consistent: bool) -> tuple[str, str]:
        """The names of the keys by which a query asks. Raises `Invalid` where it may not."""
        if index is None:
            return self.hash_key, self.range_key
        if index not in self.indexes:
            raise Invalid(f"The table does not have the specified index: {index}")
        if consistent:
            raise Invalid("Consistent reads are not supported on global secondary indexes")
        return self.indexes[index]

    def order(self, keys: tuple[str, str], item: Item) -> tuple[str, str, str]:
        """By sort key, in the order of their UTF-8; among equals of an index by the table's own keys."""
        return item[keys[1]]["S"], item[self.hash_key]["S"], item[self.range_key]["S"]

    def start(self, keys: tuple[str, str], start: Item) -> tuple[str, str, str]:
        """Where a page ended. Raises `Invalid` where it is none of that table or index."""
        if start.keys() != {self.hash_key, self.range_key, *keys} or any(
            "S" not in one for one in start.values()
        ):
            raise Invalid("The provided starting key is invalid")
        return self.order(keys, start)

    def item(self, key: Key) -> Item | None:
        found = self.now.get(key[0], {}).get(key[1])
        return None if found is None else found.item

    def write(self, key: Key, item: Item | None, size: int) -> None:
        """Puts an item, or deletes it."""
        self.position += 1
        stored = Stored(self.position, item, size)
        self.past.setdefault(key, []).append(stored)
        partition = self.now.setdefault(key[0], {})
        if item is None:
            partition.pop(key[1], None)
            return
        partition[key[1]] = stored
        for name, (hash_key, _) in self.indexes.items():
            if hash_key in item:
                self.members.setdefault((name, item[hash_key]["S"]), set()).add(key)

    def then(self, key: Key, position: int) -> Stored | None:
        """How an item stood after that write; None where it had not been written yet."""
        for stored in reversed(self.past.get(key, ())):
            if stored.position <= position:
                return stored
        return None

    def partition(self, hash_value: str, lag: int) -> Iterator[tuple[Item, int]]:
        """The items of a partition as they were `lag` writes ago, with their sizes."""
        if lag:
            keys = [key for key in self.past if key[0] == hash_value]
            found = [self.then(key, self.position - lag) for key in keys]
        else:
            found = [*self.now.get(hash_value, {}).values()]
        for stored in found:
            if stored is not None and stored.item is not None:
                yield stored.item, stored.size

    def index(self, name: str, hash_value: str, lag: int) -> Iterator[tuple[Item, int]]:
        """The items of an index's partition, likewise; those without its keys are not in it."""
        hash_key, range_key = self.indexes[name]
        for key in self.members.get((name, hash_value), ()):
            stored = self.then(key, self.position - lag)
            if stored is not None and stored.item is not None:
                item = stored.item
                if range_key in item and item.get(hash_key, {}).get("S") == hash_value:
                    yield item, stored.size


def page(found: Sequence[tuple[Item, int]], limit: int | None) -> tuple[list[dict[str, Value]], bool]:
    """The items of a page, and whether it stopped at its limits."""
    items: list[dict[str, Value]] = []
    total = 0
    for item, size in found:
        if items and total + size > _LARGEST_PAGE:
            return items, True
        items.append(dict(item))
        total += size
        if len(items) == limit:
            return items, True
    return items, False


def _size(item: Item) -> int:
    return sum(_length(name) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    """A value's bytes. Raises `Invalid` for what is no value."""
    if len(value) != 1:
        raise Invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one")
    ((kind, content),) = value.items()
    if kind == "S":
        return _length(content)
    if kind == "N":
        return _number_size(content)
    if kind == "B":
        return len(content)
    if kind in ("BOOL", "NULL"):
        return 1
    if kind == "L":
        return 3 + sum(1 + _value_size(one) for one in content)
    if kind == "M":
        return 3 + sum(1 + _length(name) + _value_size(one) for name, one in content.items())
    raise Unmodelled(f"a value of type {kind}")


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _number_size(text: str) -> int:
    """ "Approximately (length of attribute name) + (1 byte per two significant digits) + (1 byte)"."""
    digits = text.lstrip("-").partition("E")[0].replace(".", "").strip("0")
    if len(digits) > _DIGITS:
        raise Invalid("Attempting to store more than 38 significant digits in a Number")
    return 1 + (len(digits) + 1) // 2 + text.startswith("-")
