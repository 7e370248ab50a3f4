"""Compares two tables of any size: both are scanned once, in parallel, with little memory.

Each item's key and fingerprint go to one of many files, selected by the key's hash, so that both sides of an item
are in one small pair of files. Only items whose fingerprints differ are then read in full. The files contain
keys, which may be personal data: they are unnamed, and deleted when the process ends.
"""

from __future__ import annotations

import itertools
import json
import tempfile
import threading
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, Any

from rollback.aws.account import explained
from rollback.aws.rate_limit import Budget
from rollback.targets.table import attribute_json
from rollback.targets.table.attribute_json import Item
from rollback.util.errors import Code, RollbackError

ONLY_LIVE, ONLY_RESTORED, DIFFERENT, EXPIRED = "only_live", "only_restored", "different", "expired"
# Twice this many files stay below the limit of 256 open files that some systems have.
_FILES = 64
_SEGMENTS = 4
# BatchGetItem takes 100 keys
# (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html).
_BATCH = 50
_UNIT = 4096
_TRIES = 10


class Stopped(Exception):
    """Raised after Ctrl-C."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemDifference:
    """One key whose item differs between the tables; `live` or `restored` is None if that table does not
    have the item.

    Key and items as in `attribute_json.Item`; `kind` is ONLY_LIVE, ONLY_RESTORED, DIFFERENT or EXPIRED.
    """

    kind: str
    key: Item
    live: Item | None
    restored: Item | None


@dataclass(kw_only=True)
class Comparison:
    """Compares `live` with `restored`; `keys` names the attributes of their primary key.

    `ttl` is the live table's time-to-live attribute, or empty. `pause` is called for each page; it
    raises to stop the work. `counts` is complete when `differences` is exhausted: items of
    either side, and differences by kind.
    """

    client: Any
    live: str
    restored: str
    keys: Sequence[str]
    ttl: str
    budget: Budget
    pause: Callable[[], None]
    now: Callable[[], float] = time.time
    counts: Counter[str] = field(default_factory=Counter)

    def differences(self) -> Iterator[ItemDifference]:
        """Yields every difference, in no particular order. Expired items are only counted."""
        with ExitStack() as stack:
            live, restored = _Side(stack), _Side(stack)
            self._scan({self.live: live, self.restored: restored})
            self.counts = Counter(live_items=live.count, restored_items=restored.count)
            self.counts.update(dict.fromkeys((ONLY_LIVE, ONLY_RESTORED, DIFFERENT, EXPIRED), 0))
            keys = (
                key for number in range(_FILES) for key in _meeting(live.read(number), restored.read(number))
            )
            for batch in iter(lambda: list(itertools.islice(keys, _BATCH)), []):
                self.pause()
                for found in self._looked_at([attribute_json.read(json.loads(key)) or {} for key in batch]):
                    self.counts[found.kind] += 1
                    if found.kind != EXPIRED:
                        yield found

    def counted(self) -> dict[str, int]:
        """The counts so far."""
        return dict(self.counts)

    def count(self, table: str) -> int:
        """The table's current number of items."""
        counter: Counter[str] = Counter()
        for answer in self._pages({"TableName": table, "Select": "COUNT"}):
            counter["items"] += answer["Count"]
        return counter["items"]

    def fetch(self, table: str, keys: Sequence[Item]) -> dict[str, Item]:
        """Key as text (`attribute_json.text`) → item, for those of `keys` (at most 100) that the table has, read
        consistently.

        Raises `RollbackError` where DynamoDB keeps returning unprocessed keys.
        """
        found: dict[str, Item] = {}
        asked: Any = {table: {"Keys": list(keys), "ConsistentRead": True}}
        for attempt in range(_TRIES):
            with explained(f"reading items of {table}"):
                answer = self.client.batch_get_item(RequestItems=asked, ReturnConsumedCapacity="TOTAL")
            got = answer["Responses"].get(table, [])
            found.update((attribute_json.text(attribute_json.key_of(item, self.keys)), item) for item in got)
            self._spend(sum(one.get("CapacityUnits", 0) for one in answer.get("ConsumedCapacity", [])), got)
            asked = answer.get("UnprocessedKeys")
            if not asked:
                return found
            self.budget.sleep(min(2.0, 0.05 * 2**attempt))
        raise RollbackError(
            f"DynamoDB keeps returning unprocessed keys for {table}.",
            code=Code.THROTTLED,
            next="Lower the setting pace.readUnits.",
        )

    def _looked_at(self, keys: Sequence[Item]) -> Iterator[ItemDifference]:
        """The current differences of `keys`, without those that have become equal."""
        live, restored = self.fetch(self.live, keys), self.fetch(self.restored, keys)
        for key in keys:
            name = attribute_json.text(key)
            here, there = live.get(name), restored.get(name)
            if attribute_json.same(here, there):
                continue
            kind = DIFFERENT if here and there else ONLY_LIVE if here else ONLY_RESTORED
            # Expired items are not written back, not even over a renewed item: DynamoDB would delete it.
            if there and attribute_json.expired(there, self.ttl, self.now()):
                kind = EXPIRED
            yield ItemDifference(kind=kind, key=key, live=here, restored=there)

    def _scan(self, sides: Mapping[str, _Side]) -> None:
        """Reads both tables to their ends, several segments in parallel; the first error stops all."""
        over = threading.Event()

        def one(table: str, segment: int) -> None:
            try:
                through(table, segment)
            except BaseException:
                over.set()
                raise

        def through(table: str, segment: int) -> None:
            request = {
                "TableName": table,
                "Segment": segment,
                "TotalSegments": _SEGMENTS,
                "ConsistentRead": True,
            }
            for answer in self._pages(request):
                sides[table].add(
                    (
                        attribute_json.text(attribute_json.key_of(item, self.keys)),
                        attribute_json.fingerprint(item),
                    )
                    for item in answer["Items"]
                )
                if over.is_set():
                    return

        with ThreadPoolExecutor(_SEGMENTS * len(sides)) as pool:
            parts = [(table, segment) for table in sides for segment in range(_SEGMENTS)]
            list(pool.map(one, *zip(*parts, strict=True)))

    def _pages(self, request: Mapping[str, Any]) -> Iterator[Any]:
        asked = {**request, "ReturnConsumedCapacity": "TOTAL"}
        while True:
            self.pause()
            with explained(f"scanning {request['TableName']}"):
                answer = self.client.scan(**asked)
            yield answer
            self._spend(answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0), answer.get("Items", ()))
            if "LastEvaluatedKey" not in answer:
                return
            asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _spend(self, units: float, read: Iterable[Item]) -> None:
        """Accounts for a read; without reported units, by the size of the items."""
        self.budget.spend(units or sum(len(attribute_json.text(item)) for item in read) / _UNIT)


class _Side:
    """One table's keys and fingerprints in files. Thread-safe."""

    def __init__(self, stack: ExitStack) -> None:
        self._files: list[IO[bytes]] = [
            stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
            for _ in range(_FILES)
        ]
        self._lock = threading.Lock()
        self.count = 0

    def add(self, rows: Iterable[tuple[str, str]]) -> None:
        lines: dict[int, list[bytes]] = defaultdict(list)
        for key, mark in rows:
            name = key.encode()
            lines[zlib.crc32(name) % _FILES].append(b"%s %s\n" % (mark.encode(), name))
        with self._lock:
            for number, part in lines.items():
                self._files[number].writelines(part)
                self.count += len(part)

    def read(self, number: int) -> Iterator[tuple[str, str]]:
        """Yields key and fingerprint of each item in one file."""
        file = self._files[number]
        file.seek(0)
        for line in file:
            mark, _, key = line[:-1].partition(b" ")
            yield key.decode(), mark.decode()


def _meeting(live: Iterable[tuple[str, str]], restored: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yields the keys whose fingerprints differ, or that only one side has."""
    left = dict(live)
    for key, mark in restored:
        if left.pop(key, None) != mark:
            yield key
    yield from left
