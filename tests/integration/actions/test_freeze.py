"""A freeze: its holder goes on, everybody else is refused, and what is in flight may end."""

from __future__ import annotations

import pytest

from rollback.actions.freeze import freeze, frozen, respected, unfreeze
from rollback.actions.quarantine import lift
from rollback.actions.status import overview
from rollback.core.errors import Code, Refused
from rollback.model.identity import Actor
from rollback.model.record import Status
from rollback.model.release import Freeze
from rollback.model.request import AliasesRequest
from tests.coded import coded
from tests.doubles.world import ALICE, DAN, TABLE, World

CAROL = Actor(role=ALICE.role, person="carol")


@pytest.fixture
def cold(world: World) -> World:
    """Three releases, and alice has frozen the environment."""
    world.story()
    freeze(world.session(ALICE), "looking into it")
    return world


def test_others_neither_deploy_nor_roll_back(cold: World) -> None:
    before = cold.versions()

    with pytest.raises(Refused, match=r"frozen: alice .*looking into it", check=coded(Code.FROZEN)):
        cold.flow(CAROL).start("aliases", AliasesRequest(), "it went bad")
    with pytest.raises(Refused, check=coded(Code.FROZEN)):
        cold.record("v1.3.0")
    with pytest.raises(Refused, check=coded(Code.FROZEN)):
        respected(cold.session(DAN))

    assert cold.versions() == before


def test_its_holder_goes_on(cold: World) -> None:
    assert cold.begin().record is not None

    assert cold.deployed == "v1.1.0"


def test_who_unfreezes_is_recorded_and_everybody_goes_on(cold: World) -> None:
    unfreeze(cold.session(CAROL), "alice is asleep")

    assert frozen(cold.session().ledger) is None
    cold.flow(CAROL).start("aliases", AliasesRequest(), "it went bad")
    entry = next(entry for entry in cold.timeline() if entry.kind == "unfreeze")
    assert (entry.by.person, entry.status) == ("carol", "alice is asleep")


def test_what_is_in_flight_can_be_given_up_by_anybody(world: World) -> None:
    world.story()
    waiting = world.flow(CAROL).start("aliases", AliasesRequest(), "it went bad", hold=True).record
    assert waiting is not None
    freeze(world.session(ALICE), "looking into it")

    with pytest.raises(Refused, check=coded(Code.FROZEN)):
        world.flow(CAROL).apply(waiting.rollback_id, waiting.digest)
    ended = world.flow(CAROL).abort(waiting.rollback_id, "frozen").record

    assert ended is not None
    assert ended.status is Status.ABORTED


def test_it_is_frozen_once_and_let_go_once(cold: World) -> None:
    with pytest.raises(Refused, match="frozen already: alice", check=coded(Code.FROZEN)):
        freeze(cold.session(CAROL), "me too")
    unfreeze(cold.session(ALICE), "done")

    with pytest.raises(Refused, check=coded(Code.NOTHING_TO_LIFT)):
        unfreeze(cold.session(ALICE), "done")
    assert freeze(cold.session(CAROL), "again").by == CAROL


def test_status_reports_it_first(cold: World) -> None:
    assert "alice" in overview(cold.session()).frozen


def test_a_held_plan_of_a_kind_that_needs_no_approval_is_applied_by_its_digest(world: World) -> None:
    world.story()
    waiting = world.flow().start("aliases", AliasesRequest(), "it went bad", hold=True)
    assert waiting.record is not None
    assert waiting.record.status is Status.AWAITING_APPROVAL

    ended = world.flow().apply(waiting.record.rollback_id, waiting.record.digest).record

    assert ended is not None
    assert ended.status is Status.COMPLETE
    assert world.deployed == "v1.1.0"


def test_it_is_no_quarantine_and_is_stored_as_that_of_everything(cold: World) -> None:
    (item,) = cold.dynamodb.query(
        TableName=TABLE,
        KeyConditionExpression="PK = :pk AND begins_with(SK, :sk)",
        ExpressionAttributeValues={":pk": {"S": "RELEASE#dev"}, ":sk": {"S": "QUARANTINE#"}},
    )["Items"]
    assert item == {
        "PK": {"S": "RELEASE#dev"},
        "SK": {"S": "QUARANTINE#@environment#*"},
        "service": {"S": "@environment"},
        "version": {"S": "*"},
        "reason": {"S": "looking into it"},
        "by": {"M": {"role": {"S": ALICE.role}, "person": {"S": "alice"}}},
        "at": {"S": "2026-11-24T12:00:00.000Z"},
        "rollback_id": {"S": ""},
    }
    assert cold.timeline().newest.bars == ("@environment#*",)
    assert frozen(cold.session().ledger) == Freeze(reason="looking into it", by=ALICE, at=item["at"]["S"])
    assert cold.session().ledger.quarantines() == []


def test_lifting_a_quarantine_lets_no_freeze_go(cold: World) -> None:
    with pytest.raises(Refused, check=coded(Code.NOTHING_TO_LIFT)):
        lift(cold.session(CAROL), "*", (), "whatever it is")

    assert frozen(cold.session().ledger) is not None
