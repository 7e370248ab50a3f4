"""A record is named by its id, by the beginning of it, or by `last`: the same in every operation that takes one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ulid import ULID

from rollback import Code, Environment, Refused, UsageError
from rollback.api.events import Event, Notice
from rollback.lifecycle.context import Session
from rollback.model.identity import Actor
from rollback.model.request import CutoverRequest, TableRequest
from tests.coded import coded
from tests.doubles.clock import BEGAN
from tests.doubles.world import ALICE, BOB, TABLE, World, approved_by

REASON = "team answers 500"
# One that was planned a day and a half before the others, and two of the same minute.
IDS = [
    f"{str(ULID.from_datetime(BEGAN - timedelta(hours=36)))[:10]}{'7' * 16}",
    *(f"{str(ULID.from_datetime(BEGAN))[:10]}{end}" for end in ("0" * 16, "0" * 15 + "1")),
]


def opened(world: World, caller: Actor = ALICE, ids: Sequence[str] = (), **how: Any) -> Environment:
    """The environment, whose records get these ids."""
    names: Iterator[str] = iter(ids)

    def session(**_: Any) -> Session:
        made = world.session(caller)
        return replace(made, clocks=replace(made.clocks, identifier=lambda: next(names)))

    return Environment(session(), anew=session, **how)


@pytest.fixture
def waiting(world: World) -> Environment:
    """dev with three plans that wait, the last of `IDS` the newest."""
    world.story()
    env = opened(world, ids=IDS)
    for name in IDS:
        held = env.roll_back(env.functions.plan(), reason=REASON, hold=True)
        assert held.rollback_id == name
    return opened(world)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        (IDS[0], IDS[0]),
        (IDS[0].lower(), IDS[0]),
        (IDS[0][:6], IDS[0]),
        (IDS[0][:9].lower(), IDS[0]),
        (IDS[0][:25], IDS[0]),
        (IDS[2], IDS[2]),
        ("last", IDS[2]),
    ],
    ids=["whole", "small letters", "six", "nine small ones", "all but one", "another", "last"],
)
def test_a_record_is_found_by_any_name_of_it(waiting: Environment, name: str, meant: str) -> None:
    assert waiting.identify(name) == meant
    assert waiting.show(name).record.rollback_id == meant


@pytest.mark.parametrize(("kind", "domain"), [("drill", "drill"), ("deployment", "aliases")])
def test_the_lease_of_what_crashed_without_a_record_is_released_by_the_name_that_its_holder_has(
    world: World, kind: str, domain: str
) -> None:
    owner = f"{kind}-{IDS[0]}"
    crashed = world.session(ALICE).leases.take(domain, owner)
    crashed.in_flight = True

    with pytest.raises(UsageError, check=coded(Code.UNKNOWN_ROLLBACK)):
        opened(world).abort(owner[:-1])
    world.clock.sleep(600)
    opened(world).abort(owner)

    assert world.session(ALICE).leases.holders() == {}


@pytest.mark.parametrize("name", [IDS[1][:6], IDS[1][:25]], ids=["six", "all but one"])
def test_the_beginning_of_several_ids_is_answered_with_all_of_them(waiting: Environment, name: str) -> None:
    with pytest.raises(UsageError, match=f"{IDS[2]}, {IDS[1]}", check=coded(Code.AMBIGUOUS_ID)):
        waiting.abort(name)

    assert waiting.record(IDS[1]).status == waiting.record(IDS[2]).status == "AWAITING_APPROVAL"


@pytest.mark.parametrize(
    "name",
    ["", "0", IDS[0][:5], "01ZZZZ", "7ZZZZZZ", "first", "LAST", "01ILOU", "ROLLBACK#1", IDS[0] + "0"],
    ids=[
        "none",
        "a digit",
        "five",
        "of no record",
        "of no time",
        "a word",
        "LAST",
        "no digits",
        "a key",
        "one more",
    ],
)
def test_what_is_no_record_is_named_as_it_was_typed(waiting: Environment, name: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}'", check=coded(Code.UNKNOWN_ROLLBACK)):
        waiting.show(name)


def test_where_nothing_was_rolled_back_there_is_no_last(world: World) -> None:
    world.story()

    with pytest.raises(UsageError, check=coded(Code.UNKNOWN_ROLLBACK)):
        opened(world).show("last")


@pytest.mark.parametrize(
    "operation",
    [
        lambda env: env.apply("last", env.record("last").digest).rollback_id,
        lambda env: env.abort("last").rollback_id,
        lambda env: next(iter(env.report("last").records)),
        lambda env: env.record("last").rollback_id,
        lambda env: env.show("last").record.rollback_id,
    ],
)
def test_every_operation_takes_a_short_name(
    waiting: Environment, operation: Callable[[Environment], str]
) -> None:
    assert operation(waiting) == IDS[2]


@pytest.mark.parametrize(
    "operation",
    [
        lambda env: env.resume("last"),
        lambda env: env.verify_again("last"),
        lambda env: env.standby.take(reason=REASON, rollback_id="last"),
    ],
)
def test_what_an_operation_refuses_it_refuses_by_the_whole_id(
    waiting: Environment, operation: Callable[[Environment], object]
) -> None:
    with pytest.raises(Refused, match=IDS[2], check=coded(Code.WRONG_STATUS)):
        operation(waiting)


def test_what_was_found_by_a_short_name_is_shown_before_anything_is_done(world: World) -> None:
    world.story()
    events: list[Event] = []
    env = opened(world, ids=IDS, on_event=events.append)
    env.roll_back(env.functions.plan(), reason=REASON, hold=True)
    events.clear()

    env.abort("last")

    assert events[0] == Notice(text=f"last is {IDS[0]}.")


def test_what_a_plan_is_made_of_has_whole_ids(waiting: Environment) -> None:
    short = IDS[0][:8]
    before = TableRequest(table="ddb-access-management", at=f"before:{short}")
    cutover = CutoverRequest(table="ddb-access-management", restore="last", cutover="parameter")

    assert waiting._with_whole_ids(before) == replace(before, at=f"before:{IDS[0]}")
    assert waiting._with_whole_ids(cutover) == replace(cutover, restore=IDS[2])
    assert waiting._with_whole_ids(replace(before, at="release:v1.0.0")).at == "release:v1.0.0"


def newest_entry(world: World) -> dict[str, Any]:
    items = [
        item
        for number in range(1, 20)
        if (
            item := world.dynamodb.get_item(
                TableName=TABLE, Key={"PK": {"S": "RELEASE#dev"}, "SK": {"S": f"SEQ#{number:010}"}}
            ).get("Item")
        )
    ]
    return dict(items[-1])


def test_another_environments_records_are_never_meant(waiting: Environment, world: World) -> None:
    other = str(ULID.from_datetime(BEGAN + timedelta(days=1)))
    there = {"PK": {"S": "RELEASE#prod"}, "SK": {"S": "SEQ#0000000099"}, "id": {"S": other}}
    world.dynamodb.put_item(TableName=TABLE, Item=newest_entry(world) | there)

    with pytest.raises(UsageError, check=coded(Code.UNKNOWN_ROLLBACK)):
        waiting.identify(other[:8])
    assert waiting.identify("last") == IDS[2]


def test_an_entry_that_was_changed_decides_nothing(waiting: Environment, world: World) -> None:
    world.dynamodb.put_item(TableName=TABLE, Item=newest_entry(world) | {"id": {"S": IDS[0]}})

    with pytest.raises(Refused, check=coded(Code.LEDGER_DAMAGED)):
        waiting.abort("last")


def test_who_approves_may_look_for_nothing_and_needs_the_whole_id(world: World) -> None:
    world.story()
    name = approved_by(world, None)
    digest = world.session().ledger.load(name).record.digest

    with pytest.raises(UsageError, check=coded(Code.WRONG_ROLE)):
        opened(world, BOB).approve("last", digest)

    assert opened(world, BOB).approve(name, digest[:16]).rollback_id == name
