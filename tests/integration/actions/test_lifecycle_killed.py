"""Killed at every write, before it and after it: what is in the ledger is enough to go on from."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rollback.ledger.lease import ALIASES
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.run import Finished
from rollback.model.identity import Actor
from rollback.model.record import UNFINISHED, Record, Status, chain_break
from rollback.model.request import AliasesRequest
from rollback.util.errors import RollbackError
from tests.doubles.dying import Killed, Life
from tests.doubles.functions import nothing
from tests.doubles.world import ALICE, BOB, TABLE, World, settings, texts

CAROL = Actor(role=ALICE.role, person="carol")
# A rollback of three functions writes less often; the last tests below say so.
POINTS = [(1, True), *((number, False) for number in range(1, 11))]


@dataclass
class Estate:
    world: World
    start: dict[str, tuple[str, dict[str, float]]]
    goal: dict[str, tuple[str, dict[str, float]]]


@pytest.fixture
def estate(world: World) -> Estate:
    """v1.0.0 and v1.1.0 are recorded; one alias has a canary's leftover weight on the old version."""
    world.release("v1.0.0")
    world.record("v1.0.0")
    world.release("v1.1.0")
    world.functions.point(world.names[0], "2", {"1": 0.25})
    world.record("v1.1.0")
    return Estate(world, world.functions.deployed(), {name: ("1", {}) for name in world.names})


def run(world: World, life: Life, verb: Callable[[Lifecycle], Any], caller: Actor = ALICE) -> bool:
    """Runs `verb` in a process that dies as `life` says; whether it died."""
    try:
        verb(world.flow(caller, life))
    except Killed:
        return True
    return life.dead


def started(flow: Lifecycle) -> Finished:
    return flow.start("aliases", AliasesRequest(), "it went bad")


def only_record(world: World) -> Record | None:
    records = [item for item in world.session().ledger.history(50) if isinstance(item, Record)]
    assert len(records) < 2
    return records[0] if records else None


def owner(world: World) -> str | None:
    held = world.session().leases.holder(ALIASES)
    return None if held is None else str(held["owner"])


def whole(world: World, identifier: str) -> Status:
    opened = world.session().ledger.load(identifier)
    assert chain_break(opened.record, opened.events) is None
    return opened.record.status


def free_for_others(world: World) -> None:
    world.session(CAROL).leases.take(ALIASES, "somebody-else").release()


@pytest.mark.parametrize(("number", "before"), POINTS)
def test_resume_finishes_a_run_killed_at_any_write(estate: Estate, number: int, before: bool) -> None:
    world = estate.world

    died = run(world, Life(at=number, before=before), started)

    record = only_record(world)
    if record is None:
        assert died, "an undisturbed run writes its record"
        _free_orphan(world)
        assert world.functions.deployed() == estate.start
    else:
        if record.status in UNFINISHED or owner(world) is not None:
            finished = world.flow(CAROL).resume(record.rollback_id)
            assert finished.error is None
        assert whole(world, record.rollback_id) is Status.COMPLETE
        assert world.functions.deployed() == estate.goal
        assert world.deployed == "v1.0.0"
        assert dict(world.timeline().all_deployed) == {"teams": "v1.0.0", "roles": "v1.0.0"}
        assert {quarantine.version for quarantine in world.session().ledger.quarantines()} == {"v1.1.0"}
    free_for_others(world)


@pytest.mark.parametrize(("number", "before"), POINTS)
def test_abort_undoes_a_run_killed_at_any_write(estate: Estate, number: int, before: bool) -> None:
    world = estate.world

    run(world, Life(at=number, before=before), started)

    record = only_record(world)
    if record is None:
        _free_orphan(world)
        assert world.functions.deployed() == estate.start
    elif record.status in UNFINISHED:
        finished = world.flow(CAROL).abort(record.rollback_id)
        assert finished.error is None
        assert whole(world, record.rollback_id) is Status.REVERTED
        assert world.functions.deployed() == estate.start
        assert world.deployed == "v1.1.0"
        assert dict(world.timeline().all_deployed) == {"teams": "v1.1.0", "roles": "v1.1.0"}
        assert world.session().ledger.quarantines() == []
    else:
        assert record.status is Status.COMPLETE
        assert world.functions.deployed() == estate.goal
    free_for_others(world)


def test_the_points_above_are_all_that_there_are(estate: Estate) -> None:
    life = Life()

    run(estate.world, life, started)

    assert "update_alias" in life.seen
    assert "put_parameter" in life.seen
    assert len(life.seen) < POINTS[-1][0], life.seen


def _free_orphan(world: World) -> None:
    held = owner(world)
    if held is not None:
        assert world.flow(CAROL).abort(held).record is None


# -- with approval -----------------------------------------------------------------------------------


def approved(world: World) -> str:
    world.settings = settings(approval="identity")
    _commit(world.root)
    finished = started(world.flow())
    assert finished.record is not None
    world.flow(BOB).approve(finished.record.rollback_id, finished.record.digest)
    return finished.record.rollback_id


def _commit(root: Path) -> None:
    project, stack = texts(approval="identity")
    (root / "Pulumi.yaml").write_text(project, encoding="utf-8")
    (root / "Pulumi.dev.yaml").write_text(stack, encoding="utf-8")
    for parts in (
        ["init", "-q", "-b", "main"],
        ["add", "Pulumi.yaml", "Pulumi.dev.yaml"],
        ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "settings"],
    ):
        subprocess.run(["git", "-C", str(root), *parts], check=True)


@pytest.mark.parametrize(("number", "before"), POINTS)
def test_an_approved_plan_can_be_applied_or_resumed_after_any_death(
    estate: Estate, number: int, before: bool
) -> None:
    world = estate.world
    identifier = approved(world)

    run(world, Life(at=number, before=before), lambda flow: flow.apply(identifier), CAROL)

    if whole(world, identifier) is Status.AWAITING_APPROVAL:
        assert world.flow(CAROL).apply(identifier).error is None
    elif whole(world, identifier) is not Status.COMPLETE:
        assert world.flow(CAROL).resume(identifier).error is None
    assert whole(world, identifier) is Status.COMPLETE
    assert world.functions.deployed() == estate.goal
    free_for_others(world)


@pytest.mark.parametrize(("number", "before"), POINTS[:6])
def test_abort_frees_everything_that_a_dead_apply_held(estate: Estate, number: int, before: bool) -> None:
    world = estate.world
    identifier = approved(world)

    run(world, Life(at=number, before=before), lambda flow: flow.apply(identifier), CAROL)

    world.flow(ALICE).abort(identifier)
    assert whole(world, identifier) in (Status.ABORTED, Status.REVERTED)
    assert world.functions.deployed() == estate.start
    free_for_others(world)


def test_a_plan_that_was_given_up_while_it_was_applied_moves_nothing_and_holds_nothing(
    estate: Estate,
) -> None:
    world = estate.world
    identifier = approved(world)

    def sign_of_life(seconds: float) -> None:
        world.dynamodb.update_item(
            TableName=TABLE,
            Key={"PK": {"S": "LOCK#dev"}, "SK": {"S": ALIASES}},
            UpdateExpression="SET beat = beat + :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    def given_up(operation: str, function: str) -> None:
        world.functions.before = nothing
        world.clock.meanwhile = sign_of_life
        world.flow(ALICE).abort(identifier)

    world.functions.before = given_up

    with pytest.raises(RollbackError) as raised:
        world.flow(CAROL).apply(identifier)

    assert raised.value.exit_code == 3
    assert whole(world, identifier) is Status.ABORTED
    assert world.functions.deployed() == estate.start
    free_for_others(world)


# -- abort itself, killed ------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "before"), POINTS)
def test_an_abort_killed_at_any_write_is_aborted_again(estate: Estate, number: int, before: bool) -> None:
    world = estate.world
    run(world, Life(at=5, before=True), started)  # in the middle of the moves
    record = only_record(world)
    assert record is not None

    run(world, Life(at=number, before=before), lambda flow: flow.abort(record.rollback_id), CAROL)

    if whole(world, record.rollback_id) is not Status.REVERTED or owner(world) is not None:
        world.flow(ALICE).abort(record.rollback_id)
    assert whole(world, record.rollback_id) is Status.REVERTED
    assert world.functions.deployed() == estate.start
    assert world.deployed == "v1.1.0"
    free_for_others(world)
