"""One malformed item hides nothing else from who reads, and is acted upon by nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollback.lifecycle.freeze import freeze, unfreeze
from rollback.lifecycle.quarantine import lift, manual_entry, quarantine
from rollback.model.record import Status
from rollback.model.release import Quarantine
from rollback.queries.status import overview
from rollback.util.errors import Code, RollbackError
from tests.doubles.functions import nothing
from tests.doubles.world import ALICE, DAN, TABLE, World

LEASE = {
    "owner": {"S": "01OTHER"},
    "nonce": {"S": "n"},
    "beat": {"N": "1"},
    "fence": {"N": "1"},
    "holder": {"M": {"host": {"S": "h"}, "pid": {"N": "1"}, "person": {"S": "bob"}, "role": {"S": "r"}}},
    "lease_seconds": {"N": "60"},
    "beat_at": {"S": "2026-11-24T12:00:00.000Z"},
}
BAR = {
    "service": {"S": "teams"},
    "version": {"S": "v1.1.0"},
    "reason": {"S": "it leaks"},
    "by": {"M": {"role": {"S": "r"}, "person": {"S": "p"}}},
    "at": {"S": "2026-11-24T12:00:00.000Z"},
    "rollback_id": {"S": ""},
}
# Item → (its key, what it is). Each is whole but for one attribute.
MALFORMED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a quarantine without a reason's type": (
        "RELEASE#dev",
        "QUARANTINE#teams#v1.1.0",
        BAR | {"reason": {"N": "7"}},
    ),
    "a quarantine without who set it": ("RELEASE#dev", "QUARANTINE#teams#v1.1.0", BAR | {"by": {"S": "p"}}),
    "a quarantine under another one's key": ("RELEASE#dev", "QUARANTINE#roles#v1.1.0", BAR),
    "a quarantine whose lift is no time": (
        "RELEASE#dev",
        "QUARANTINE#teams#v1.1.0",
        BAR | {"reason": {"N": "7"}, "lifted_at": {"M": {"x": {"S": "y"}}}},
    ),
    "a freeze": (
        "RELEASE#dev",
        "QUARANTINE#@environment#*",
        BAR | {"service": {"S": "@environment"}, "version": {"S": "*"}, "by": {"S": "p"}},
    ),
    "the newest entry": ("RELEASE#dev", "SEQ#0000000004", {"seq": {"S": "four"}, "kind": {"S": "lift"}}),
    "which client it needs": ("RELEASE#dev", "SEQ#SCHEMA", {"schema": {"S": "two"}}),
    "a lease without a number": ("LOCK#dev", "aliases", LEASE | {"fence": {"S": "one"}}),
    "a lease whose holder is a text": ("LOCK#dev", "aliases", LEASE | {"holder": {"S": "bob"}}),
}


@pytest.fixture
def world(world: World) -> World:
    world.story()
    return world


def put(world: World, pk: str, sk: str, item: dict[str, Any]) -> None:
    world.dynamodb.put_item(TableName=TABLE, Item={"PK": {"S": pk}, "SK": {"S": sk}, **item})


@pytest.mark.finding("G4")
@pytest.mark.parametrize("kind", MALFORMED)
def test_status_names_a_malformed_item_and_shows_the_rest(world: World, kind: str) -> None:
    quarantine(world.session(DAN), "v1.0.0", ["roles"], "known bad")
    put(world, "LOCK#dev", "stack", LEASE)
    pk, sk, item = MALFORMED[kind]
    put(world, pk, sk if sk != "SEQ#0000000004" else "SEQ#0000000005", item)

    session = world.session()
    shown = overview(session)

    assert (shown.stands, list(shown.holders)) == ("v1.2.0", ["stack"])
    assert {service.name: service.quarantined for service in shown.services} == {
        "teams": (),
        "roles": ("v1.0.0",),
    }
    named = [*shown.warnings, *session.ledger.notices]
    assert any(f"{pk} / {sk[:-1]}" in line for line in named), named


@pytest.mark.finding("G4")
@pytest.mark.parametrize("kind", MALFORMED)
def test_nobody_rolls_back_by_a_malformed_item(world: World, kind: str) -> None:
    put(world, *MALFORMED[kind])

    with pytest.raises(RollbackError) as caught:
        world.begin()

    assert caught.value.code is Code.LEDGER_DAMAGED
    assert MALFORMED[kind][1] in caught.value.what
    assert world.functions.writes == []


@pytest.mark.finding("G4")
def test_a_malformed_quarantine_met_on_the_way_keeps_no_rollback_from_its_end(world: World) -> None:
    def planted(operation: str, function: str) -> None:
        if operation == "UpdateAlias":
            world.functions.before = nothing
            put(world, "RELEASE#dev", "QUARANTINE#teams#v1.2.0", BAR | {"by": {"S": "p"}})

    world.functions.before = planted

    assert world.begin().record.status is Status.COMPLETE
    found = {(one.service, one.version) for one in world.session().ledger.quarantines()}
    assert found == {("teams", "v1.2.0"), ("roles", "v1.2.0")}


# -- what was lifted ---------------------------------------------------------------------------------------


def queries(world: World) -> int:
    """How often the table is asked for what is quarantined now, and for the proof of what was lifted."""
    session = world.session()
    asked: list[Any] = []
    table = session.ledger.table
    client = table._client

    class Counting:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return getattr(client, name)

    table._client = Counting()  # type: ignore[assignment] # it counts what goes through
    assert session.ledger.quarantines() == []
    return len(asked)


@pytest.mark.finding("G5")
def test_the_proof_of_a_lift_costs_the_same_however_long_ago_it_was(world: World) -> None:
    quarantine(world.session(DAN), "v1.1.0", (), "it leaks")
    lift(world.session(DAN), "v1.1.0", (), "it was another one")
    soon = queries(world)

    for _ in range(60):
        freeze(world.session(ALICE), "looking into it")
        unfreeze(world.session(ALICE), "done")

    assert queries(world) <= soon + 1, "and one for the last unfreeze"


@pytest.mark.finding("G5")
@pytest.mark.parametrize("seq", ["1", "4", "5", "99"])
def test_a_lift_that_points_to_another_entry_lifts_nothing(world: World, seq: str) -> None:
    quarantine(world.session(DAN), "v1.1.0", ["teams"], "it leaks")
    lift(world.session(DAN), "v1.1.0", ["teams"], "it was another one")
    quarantine(world.session(DAN), "v1.1.0", ["roles"], "it leaks")
    lifted = world.dynamodb.get_item(
        TableName=TABLE, Key={"PK": {"S": "RELEASE#dev"}, "SK": {"S": "QUARANTINE#teams#v1.1.0"}}
    )["Item"]
    own = {name: lifted[name] for name in ("lifted_at", "lifted_by")}
    bar = world.dynamodb.get_item(
        TableName=TABLE, Key={"PK": {"S": "RELEASE#dev"}, "SK": {"S": "QUARANTINE#roles#v1.1.0"}}
    )["Item"]
    put(world, "RELEASE#dev", "QUARANTINE#roles#v1.1.0", bar | own | {"lifted_seq": {"N": seq}})

    assert [one.service for one in world.session().ledger.quarantines()] == ["roles"]


@pytest.mark.finding("G5")
def test_a_lift_as_earlier_versions_wrote_it_is_still_proved(world: World) -> None:
    quarantine(world.session(DAN), "v1.1.0", ["teams"], "it leaks")
    lift(world.session(DAN), "v1.1.0", ["teams"], "it was another one")
    key = {"PK": {"S": "RELEASE#dev"}, "SK": {"S": "QUARANTINE#teams#v1.1.0"}}
    item = dict(world.dynamodb.get_item(TableName=TABLE, Key=key)["Item"])
    assert item.pop("lifted_seq")["N"] == "5"
    world.dynamodb.put_item(TableName=TABLE, Item=item)

    assert world.session().ledger.quarantines() == []


@pytest.mark.finding("G5")
def test_more_lifts_than_a_transaction_takes_are_all_proved(world: World) -> None:
    """Those that go ahead of the entry do not know its number."""
    ledger = world.session(DAN).ledger
    bars = [
        Quarantine(service="teams", version=f"v9.{number}", reason="it leaks", by=DAN, at="")
        for number in range(120)
    ]
    entry = manual_entry(world.session(DAN), "quarantine", "", "it leaks", world.clock.iso())
    ledger.append(entry, quarantines=bars)
    ledger.append(replace(entry, kind="lift"), lifts=bars)

    assert world.session().ledger.quarantines() == []
