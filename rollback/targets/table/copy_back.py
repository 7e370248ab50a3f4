"""Writes a loss report's differences back into the live table, item by item, and never overwrites somebody else's
change.

Each write requires that the item is as in the report. It is read right before, because a condition
can check known attributes, but not whether there are others; then it is written on condition
that all of them are unchanged.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws.account import code, explained
from rollback.aws.rate_limit import Budget
from rollback.model.events import happened
from rollback.model.record import Event
from rollback.targets.table import attribute_json
from rollback.targets.table.attribute_json import Item
from rollback.targets.table.comparison import ONLY_LIVE, ItemDifference
from rollback.targets.table.events import Wrote
from rollback.targets.table.loss_report import parsed
from rollback.util.thread_pool import workers

WRITTEN, ALREADY, LEFT = "written", "already", "left"
WANTED, CHANGED, UNDONE = "wanted", "changed", "undone"
# A condition takes 300 operators
# (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html, "Expression parameters").
_CONDITIONS = 100
BATCH = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemChange:
    """A change of one item: it must be `had` (None: absent), and becomes `wanted` (None: deleted).
    All as in `attribute_json.Item`.
    """

    key: Item
    had: Item | None
    wanted: Item | None

    def reversed(self) -> ItemChange:
        """The opposite change."""
        return ItemChange(key=self.key, had=self.wanted, wanted=self.had)

    def state_of(self, now: Item | None) -> str:
        """The state of the item `now`: WANTED, CHANGED by somebody else, or still UNDONE."""
        if attribute_json.same(now, self.wanted):
            return WANTED
        return UNDONE if attribute_json.same(now, self.had) else CHANGED


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of the report with its number, and its change; None if nothing is to be done."""

    number: int
    change: ItemChange | None


def change(found: ItemDifference, *, delete_new: bool) -> ItemChange | None:
    """The change that removes a difference: the restored item replaces the live one. Pure.

    An item that only the live table has is new, and is kept unless `delete_new`.
    """
    if found.kind == ONLY_LIVE and not delete_new:
        return None
    return ItemChange(key=found.key, had=found.live, wanted=found.restored)


def batches(lines: Iterable[bytes], start: int, *, delete_new: bool) -> Iterator[list[Line]]:
    """The report's lines from number `start`, in batches."""
    numbered = (
        Line(number=number, change=change(parsed(text), delete_new=delete_new))
        for number, text in enumerate(lines)
        if number >= start
    )
    return iter(lambda: list(itertools.islice(numbered, BATCH)), [])


def wrote(events: Sequence[Event]) -> tuple[int, Counter[str]]:
    """How many lines of the report are done according to a journal, and with which results."""
    through, counted = 0, Counter({WRITTEN: 0, ALREADY: 0, LEFT: 0})
    for batch in happened(events, Wrote):
        through = batch.through
        counted[WRITTEN] += batch.written
        counted[LEFT] += len(batch.left)
        counted[ALREADY] += len(batch.already)
    return through, counted


def untouched(events: Sequence[Event]) -> set[int]:
    """The lines whose items were not written, because they had been changed, or were already as wanted."""
    return {number for batch in happened(events, Wrote) for number in (*batch.left, *batch.already)}


def condition(had: Item | None, key: Sequence[str]) -> dict[str, Any]:
    """The condition of a write on the existing item: `{"ConditionExpression", "ExpressionAttributeNames",
    "ExpressionAttributeValues"}`, as PutItem and DeleteItem take it. `key` names the key's attributes. Pure.
    """
    if had is None:
        return {
            "ConditionExpression": "attribute_not_exists(#k)",
            "ExpressionAttributeNames": {"#k": key[0]},
        }
    names = [name for name in sorted(had) if name not in key][:_CONDITIONS]
    if not names:
        return {"ConditionExpression": "attribute_exists(#k)", "ExpressionAttributeNames": {"#k": key[0]}}
    return {
        "ConditionExpression": " AND ".join(f"#{n} = :{n}" for n in range(len(names))),
        "ExpressionAttributeNames": {f"#{n}": name for n, name in enumerate(names)},
        "ExpressionAttributeValues": {f":{n}": had[name] for n, name in enumerate(names)},
    }


@dataclass(kw_only=True)
class Writer:
    """Writes into `table` within its budgets. `wrote` is called with each change that this process made."""

    client: Any
    table: str
    reads: Budget
    writes: Budget
    check: Callable[[], None] = field(default=lambda: None)
    wrote: Callable[[ItemChange], None] = field(default=lambda _: None)

    def all(self, changes: Sequence[ItemChange]) -> list[str]:
        """Calls `write` for each in parallel; the results are in order."""
        with workers() as pool:
            return list(pool.map(self.write, changes))

    def write(self, wish: ItemChange) -> str:
        """Returns WRITTEN, ALREADY if it was as wanted before, or LEFT if somebody has changed the item."""
        self.check()
        now = self._now(wish)
        if attribute_json.same(now, wish.wanted):
            return ALREADY
        if not attribute_json.same(now, wish.had):
            return LEFT
        request = {
            "TableName": self.table,
            "ReturnConsumedCapacity": "TOTAL",
            **condition(wish.had, list(wish.key)),
        }
        # Checked again: the read may have taken long.
        self.check()
        with explained(f"writing an item of {self.table}"):
            try:
                if wish.wanted is None:
                    answer = self.client.delete_item(Key=wish.key, **request)
                else:
                    answer = self.client.put_item(Item=wish.wanted, **request)
            except ClientError as error:
                if code(error) != "ConditionalCheckFailedException":
                    raise
                # Somebody else was faster; or our write succeeded, and only the response was lost.
                return WRITTEN if attribute_json.same(self._now(wish), wish.wanted) else LEFT
        self.wrote(wish)
        self.writes.spend(answer.get("ConsumedCapacity", {}).get("CapacityUnits", 1))
        return WRITTEN

    def _now(self, wish: ItemChange) -> Item | None:
        with explained(f"reading an item of {self.table}"):
            answer = self.client.get_item(
                TableName=self.table, Key=wish.key, ConsistentRead=True, ReturnConsumedCapacity="TOTAL"
            )
        self.reads.spend(answer.get("ConsumedCapacity", {}).get("CapacityUnits", 1))
        found: Item | None = answer.get("Item")
        return found
