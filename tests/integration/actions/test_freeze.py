"""A freeze: its holder goes on, everybody else is refused, and what is in flight may end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rollback.ledger.store import Write
from rollback.lifecycle.freeze import (
    freeze,
    frozen,
    respected,
    unfreeze,
)
from rollback.lifecycle.quarantine import lift
from rollback.lifecycle.run import Finished
from rollback.model.identity import Actor
from rollback.model.record import Status
from rollback.model.release import Freeze
from rollback.model.request import AliasesRequest
from rollback.queries.status import overview
from rollback.util.errors import Code, Refused
from tests.coded import coded
from tests.doubles.functions import nothing
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
    with pytest.raises(Refused, match="alice", check=coded(Code.FROZEN)):
        freeze(cold.session(CAROL), "me too")
    unfreeze(cold.session(ALICE), "done")

    with pytest.raises(Refused, check=coded(Code.NOTHING_TO_LIFT)):
        unfreeze(cold.session(ALICE), "done")
    assert freeze(cold.session(CAROL), "again").by == CAROL


def test_status_reports_it_first(cold: World) -> None:
    assert "alice" in str(overview(cold.session()).frozen)


def test_only_who_froze_it_is_shown_the_ways_back_that_they_may_go(cold: World) -> None:
    assert [way.kind for way in overview(cold.session(ALICE)).ways][:1] == ["aliases"]
    assert not overview(cold.session(CAROL)).ways


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


def meanwhile(world: World, *calls: str) -> None:
    """Alice freezes the environment once somebody has made one of these calls to Lambda."""

    def before(operation: str, function: str) -> None:
        if operation in calls:
            world.functions.before = nothing
            freeze(world.session(ALICE), "looking into it")

    world.functions.before = before


@pytest.mark.finding("freeze race")
@pytest.mark.parametrize("hold", [False, True])
def test_a_freeze_that_is_set_while_somebody_plans_stops_the_opening(world: World, hold: bool) -> None:
    world.story()
    before = world.versions()
    meanwhile(world, "GetFunction")

    with pytest.raises(Refused, match="alice", check=coded(Code.FROZEN)):
        world.flow(CAROL).start("aliases", AliasesRequest(), "it went bad", hold=hold)

    assert world.versions() == before
    assert next(entry.kind for entry in world.timeline()) == "freeze", "nothing was opened"
    assert world.session().leases.holders() == {}


@pytest.mark.finding("freeze race")
def test_a_freeze_that_is_set_while_a_plan_is_made_again_stops_its_application(world: World) -> None:
    world.story()
    before = world.versions()
    waiting = world.flow(CAROL).start("aliases", AliasesRequest(), "it went bad", hold=True).record
    assert waiting is not None
    meanwhile(world, "GetFunction")

    with pytest.raises(Refused, match="alice", check=coded(Code.FROZEN)):
        world.flow(CAROL).apply(waiting.rollback_id, waiting.digest)

    assert world.versions() == before
    assert world.session().ledger.load(waiting.rollback_id).record.status is Status.AWAITING_APPROVAL
    assert world.session().leases.holders() == {}


@pytest.mark.finding("freeze race")
@pytest.mark.parametrize("verb", ["record", "adopt"])
def test_a_freeze_that_is_set_while_a_release_is_read_stops_its_recording(world: World, verb: str) -> None:
    world.story()
    world.release("v1.3.0")
    meanwhile(world, "GetFunction")

    with pytest.raises(Refused, match="alice", check=coded(Code.FROZEN)):
        getattr(world, verb)("v1.3.0")

    assert world.timeline().release_of("v1.3.0") is None


@pytest.mark.finding("freeze race")
def test_who_freezes_while_planning_goes_on(world: World) -> None:
    world.story()
    meanwhile(world, "GetFunction")

    assert world.flow(ALICE).start("aliases", AliasesRequest(), "it went bad").error is None


@pytest.mark.finding("freeze race")
@pytest.mark.parametrize("applying", [False, True])
def test_a_freeze_that_is_set_right_before_the_transaction_stops_it(world: World, applying: bool) -> None:
    world.story()
    before = world.versions()
    request = AliasesRequest()
    waiting = world.flow(CAROL).start("aliases", request, "it went bad", hold=True).record
    assert waiting is not None
    flow = world.flow(CAROL)
    table = flow.session.ledger.table
    transact = table.transact

    def late(writes: Sequence[Write]) -> None:
        if any(write.name == "freeze" for write in writes):
            table.transact = transact  # type: ignore[method-assign] # once
            freeze(world.session(ALICE), "looking into it")
        transact(writes)

    table.transact = late  # type: ignore[method-assign] # the moment that no call to Lambda marks

    def act() -> Finished:
        if applying:
            return flow.apply(waiting.rollback_id, waiting.digest)
        return flow.start("aliases", request, "it went bad")

    with pytest.raises(Refused, match="alice", check=coded(Code.FROZEN)):
        act()

    assert world.versions() == before
    assert world.session().leases.holders() == {}
