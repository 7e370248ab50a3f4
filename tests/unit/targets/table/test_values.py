"""Times, windows, items, differences and writes back: what is decided without a service."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollback.aws.point_in_time import Window
from rollback.aws.rate_limit import Budget
from rollback.targets.table import attribute_json, loss_report, restore_time, steps
from rollback.targets.table.comparison import (
    DIFFERENT,
    EXPIRED,
    ONLY_LIVE,
    ONLY_RESTORED,
    Comparison,
    ItemDifference,
)
from rollback.targets.table.copy_back import (
    ALREADY,
    LEFT,
    WRITTEN,
    ItemChange,
    Writer,
    batches,
    change,
    condition,
)
from rollback.targets.table.steps import within
from rollback.targets.table.table_settings import TableSettings, missing, named
from rollback.util.errors import Code, UsageError
from rollback.util.times import shown_time
from tests.coded import coded
from tests.doubles.world import settings as of_dev

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WINDOW = Window(earliest=NOW - timedelta(days=35), latest=NOW - timedelta(minutes=5))
FREE = Budget(rate=float("inf"))


# -- time ----------------------------------------------------------------------------------------------------


def test_a_table_is_named_by_its_entry_in_the_settings_or_in_full() -> None:
    full = "acme-dev-ddb-access-management"

    assert [steps.known(of_dev(), name) for name in ("ddb-access-management", full)] == [full] * 2
    with pytest.raises(UsageError, check=coded(Code.UNKNOWN_TABLE)):
        steps.known(of_dev(), "access-management")


@pytest.mark.parametrize(
    ("text", "utc", "noticed"),
    [
        ("2026-11-24T09:30:00Z", "2026-11-24T09:30:00Z", False),
        ("2026-11-24T09:30:00+02:00", "2026-11-24T07:30:00Z", False),
        ("2026-11-24 09:30", "2026-11-24T09:30:00Z", True),
        ("2026-11-24T09:30:59.999Z", "2026-11-24T09:30:59Z", False),
    ],
)
def test_a_time_is_read_in_its_zone_and_never_rounded_up(text: str, utc: str, noticed: bool) -> None:
    at, notice = restore_time.parsed(text)

    assert shown_time(at) == utc
    assert bool(notice) is noticed


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-24", "12:00", "2026-13-01T00:00:00Z", "previous"])
def test_what_is_no_time_is_answered_with_what_there_is(text: str) -> None:
    with pytest.raises(UsageError, check=coded(Code.OPTION_INVALID)) as raised:
        restore_time.parsed(text)

    assert "before:ROLLBACK_ID" in raised.value.next


@given(seconds=st.integers(-40 * 86_400, 86_400))
def test_a_second_is_restored_exactly_where_the_window_has_it(seconds: int) -> None:
    at = NOW + timedelta(seconds=seconds)

    refused = restore_time.refusal("t", at, WINDOW, NOW)

    assert (refused is None) == (-35 * 86_400 <= seconds <= -300)


def test_a_copy_is_named_by_its_second_and_the_name_is_one_that_dynamodb_takes() -> None:
    assert restore_time.copy_name("acme-ddb", NOW) == "acme-ddb-restore-20261124t120000"


def test_the_estimate_is_what_reading_both_tables_costs() -> None:
    assert restore_time.compare_seconds(1 << 30, 2000) == pytest.approx(2 * 262_144 / 2000)
    assert restore_time.compare_seconds(1, 2) == 1.0


def test_a_provisioned_table_keeps_half_of_its_capacity() -> None:
    provisioned = {"ProvisionedThroughput": {"ReadCapacityUnits": 100}}

    assert within(2000, provisioned, "ReadCapacityUnits") == 50
    assert within(20, provisioned, "ReadCapacityUnits") == 20
    assert within(2000, {"ProvisionedThroughput": {"ReadCapacityUnits": 0}}, "ReadCapacityUnits") == 2000


# -- items ---------------------------------------------------------------------------------------------------

_leaves = st.one_of(
    st.builds(lambda value: {"S": value}, st.text(max_size=8)),
    st.builds(lambda value: {"N": str(value)}, st.integers(-99, 99)),
    st.builds(lambda value: {"B": value}, st.binary(max_size=8)),
    st.builds(lambda value: {"BOOL": value}, st.booleans()),
    st.just({"NULL": True}),
    st.builds(lambda value: {"SS": sorted(value)}, st.sets(st.text(max_size=4), min_size=1, max_size=4)),
    st.builds(lambda value: {"BS": sorted(value)}, st.sets(st.binary(max_size=4), min_size=1, max_size=4)),
)
attributes: Any = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.builds(lambda value: {"L": value}, st.lists(inner, max_size=3)),
        st.builds(lambda value: {"M": value}, st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    ),
    max_leaves=6,
)
bodies: Any = st.dictionaries(st.sampled_from(["a", "b", "c"]), attributes, max_size=3)
tables: Any = st.dictionaries(st.text(min_size=1, max_size=3), bodies, max_size=12)


def item(key: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": {"S": key}, **body}


@given(body=bodies)
def test_an_item_comes_back_from_its_line_as_it_was(body: Any) -> None:
    found = ItemDifference(kind=DIFFERENT, key={"id": {"S": "k"}}, live=item("k", body), restored=None)

    assert loss_report.parsed(loss_report.line(found).encode()) == found


@given(body=bodies, other=bodies)
def test_fingerprints_differ_exactly_where_items_do(body: Any, other: Any) -> None:
    assert (attribute_json.fingerprint(body) == attribute_json.fingerprint(other)) == (
        attribute_json.text(body) == attribute_json.text(other)
    )


def test_a_set_has_no_order() -> None:
    one, other = (
        {"s": {"SS": ["a", "b"]}, "b": {"BS": [b"1", b"2"]}},
        {"b": {"BS": [b"2", b"1"]}, "s": {"SS": ["b", "a"]}},
    )

    assert attribute_json.same(one, other)
    assert attribute_json.fingerprint(one) == attribute_json.fingerprint(other)


@pytest.mark.parametrize(
    ("value", "passed"),
    [({"N": "100"}, True), ({"N": "101"}, False), ({"S": "1"}, False), ({"N": "-200000000"}, False)],
)
def test_a_time_to_live_is_a_number_of_seconds_that_has_passed_lately(value: Any, passed: bool) -> None:
    assert attribute_json.expired({"ttl": value}, "ttl", 100.0) is passed
    assert not attribute_json.expired({"ttl": value}, "", 100.0)


# -- comparing -----------------------------------------------------------------------------------------------


class Memory:
    """DynamoDB as far as it is asked here; pages have two items, and a batch leaves one key for later."""

    def __init__(self, **held: dict[str, Any]) -> None:
        self.tables = {
            name: {key: item(key, body) for key, body in table.items()} for name, table in held.items()
        }
        self.lock = threading.Lock()

    def scan(self, **request: Any) -> dict[str, Any]:
        start = request.get("ExclusiveStartKey", 0)
        every = [
            one
            for number, one in enumerate(self.tables[request["TableName"]].values())
            if number % request["TotalSegments"] == request["Segment"]
        ]
        more = {"LastEvaluatedKey": start + 2} if start + 2 < len(every) else {}
        return {"Items": every[start : start + 2], **more}

    def batch_get_item(self, *, RequestItems: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        ((table, asked),) = RequestItems.items()
        now, later = asked["Keys"][:3], asked["Keys"][3:]
        found = [self.tables[table][key["id"]["S"]] for key in now if key["id"]["S"] in self.tables[table]]
        return {
            "Responses": {table: found},
            "UnprocessedKeys": {table: {"Keys": later, "ConsistentRead": True}} if later else {},
        }

    def get_item(self, *, TableName: str, Key: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        found = self.tables[TableName].get(Key["id"]["S"])
        return {"Item": found} if found is not None else {}

    def put_item(self, *, TableName: str, Item: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        self.tables[TableName][Item["id"]["S"]] = Item
        return {}

    def delete_item(self, *, TableName: str, Key: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        del self.tables[TableName][Key["id"]["S"]]
        return {}


def comparison(client: Memory, ttl: str = "") -> Comparison:
    free = Budget(rate=float("inf"), sleep=lambda _: None)
    return Comparison(
        client=client, live="live", restored="restored", keys=["id"], ttl=ttl, budget=free,
        pause=lambda: None, now=lambda: 100.0,
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(live=tables, restored=tables)
def test_a_comparison_finds_every_difference_once_and_nothing_else(live: Any, restored: Any) -> None:
    compared = comparison(Memory(live=live, restored=restored))

    found = {one.key["id"]["S"]: one for one in compared.differences()}

    wanted = {
        key: DIFFERENT if key in live and key in restored else ONLY_LIVE if key in live else ONLY_RESTORED
        for key in live.keys() | restored.keys()
        if key not in live or key not in restored or not attribute_json.same(live[key], restored[key])
    }
    assert {key: one.kind for key, one in found.items()} == wanted
    counts = Counter(wanted.values())
    assert {kind: compared.counts[kind] for kind in (DIFFERENT, ONLY_LIVE, ONLY_RESTORED)} == {
        kind: counts[kind] for kind in (DIFFERENT, ONLY_LIVE, ONLY_RESTORED)
    }
    assert (compared.counts["live_items"], compared.counts["restored_items"]) == (len(live), len(restored))


def test_what_has_expired_is_counted_and_not_given() -> None:
    client = Memory(live={}, restored={"old": {"ttl": {"N": "99"}}, "new": {"ttl": {"N": "101"}}})
    compared = comparison(client, ttl="ttl")

    assert [one.key["id"]["S"] for one in compared.differences()] == ["new"]
    assert (compared.counts[EXPIRED], compared.counts[ONLY_RESTORED]) == (1, 1)


@pytest.mark.finding("copy-back")
def test_a_renewed_item_is_never_replaced_by_what_it_was_before_it_would_have_expired() -> None:
    renewed = {"id": {"S": "a"}, "ttl": {"N": "500"}}
    client = Memory(live={"a": renewed}, restored={"a": {"id": {"S": "a"}, "ttl": {"N": "99"}}})
    compared = comparison(client, ttl="ttl")

    assert list(compared.differences()) == []
    assert (compared.counts[EXPIRED], compared.counts[DIFFERENT]) == (1, 0)


# -- writing back --------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(live=tables, restored=tables, delete_new=st.booleans())
def test_what_is_written_back_makes_both_alike_and_the_undo_undoes_it(
    live: Any, restored: Any, delete_new: bool
) -> None:
    client = Memory(live=live, restored=restored)
    before = dict(client.tables["live"])
    lines = [loss_report.line(one).encode() for one in comparison(client).differences()]
    todo = [
        line.change for batch in batches(lines, 0, delete_new=delete_new) for line in batch if line.change
    ]
    writer = Writer(client=client, table="live", reads=FREE, writes=FREE)

    assert {writer.write(wish) for wish in todo} <= {WRITTEN}
    after = dict(client.tables["live"])
    assert {writer.write(wish) for wish in todo} <= {ALREADY}, "again, it is so already"
    assert {writer.write(wish.reversed()) for wish in todo} <= {WRITTEN}

    wanted = restored if delete_new else {**live, **restored}
    assert {key: attribute_json.text(one) for key, one in after.items()} == {
        key: attribute_json.text(item(key, body)) for key, body in wanted.items()
    }
    assert client.tables["live"] == before


def test_an_item_that_somebody_has_changed_is_left() -> None:
    client = Memory(live={"k": {"a": {"S": "theirs"}}})
    writer = Writer(client=client, table="live", reads=FREE, writes=FREE)
    key = {"id": {"S": "k"}}

    done = writer.write(ItemChange(key=key, had=item("k", {"a": {"S": "old"}}), wanted=item("k", {})))

    assert done == LEFT
    assert client.tables["live"]["k"] == item("k", {"a": {"S": "theirs"}})


def test_a_condition_asks_for_every_attribute_or_for_the_items_absence() -> None:
    had = {"id": {"S": "k"}, "b": {"N": "1"}, "a": {"S": "x"}}

    assert condition(None, ["id"])["ConditionExpression"] == "attribute_not_exists(#k)"
    assert condition({"id": {"S": "k"}}, ["id"])["ConditionExpression"] == "attribute_exists(#k)"
    assert condition(had, ["id"]) == {
        "ConditionExpression": "#0 = :0 AND #1 = :1",
        "ExpressionAttributeNames": {"#0": "a", "#1": "b"},
        "ExpressionAttributeValues": {":0": {"S": "x"}, ":1": {"N": "1"}},
    }


def test_a_condition_stays_within_the_operators_that_dynamodb_takes() -> None:
    wide = {"id": {"S": "k"}, **{f"a{n:03d}": {"N": "1"} for n in range(300)}}

    assert condition(wide, ["id"])["ConditionExpression"].count("=") == 100


def test_a_new_item_is_kept_unless_it_is_to_be_deleted() -> None:
    new = ItemDifference(kind=ONLY_LIVE, key={"id": {"S": "k"}}, live=item("k", {}), restored=None)

    assert change(new, delete_new=False) is None
    assert change(new, delete_new=True) == ItemChange(key=new.key, had=new.live, wanted=None)


# -- settings and pace ---------------------------------------------------------------------------------------


def test_what_a_copy_lacks_is_what_the_live_table_has() -> None:
    live = TableSettings(tags={"a": "1", "b": "2"}, time_to_live="ttl", recovery=7, stream="NEW_IMAGE")

    assert missing(live, live) == TableSettings()
    lacking = missing(live, TableSettings(tags={"a": "1", "mine": "x"}, stream="NEW_IMAGE"))
    assert lacking == TableSettings(tags={"b": "2"}, time_to_live="ttl", recovery=7)
    assert named(lacking) == ["tags", "time to live (ttl)", "recovery (7)"]


@given(units=st.lists(st.floats(0, 500), min_size=1, max_size=20))
def test_a_budget_is_never_exceeded_however_unevenly_it_is_spent(units: list[float]) -> None:
    clock = [0.0]
    budget = Budget(rate=100.0, clock=lambda: clock[0], sleep=lambda s: clock.__setitem__(0, clock[0] + s))

    for used in units:
        budget.spend(used)

    assert clock[0] == pytest.approx(sum(units) / 100.0)


def test_a_report_is_read_in_parts_of_any_size_and_hashed_on_the_way() -> None:
    text = loss_report._Text(iter([json.dumps({"n": n}) for n in range(50)]))
    parts = list(iter(lambda: text.read(7), b""))

    assert b"".join(parts).count(b"\n") == text.count == 50
    assert all(len(part) == 7 for part in parts[:-1])
