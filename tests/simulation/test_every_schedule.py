"""Schedules: what must be so after every call and in the end, whatever goes wrong where."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from tests.simulation import aftermath
from tests.simulation.faults import CELLS, FAULTS
from tests.simulation.mutants import (
    MUTANTS,
    Guard,
    Mutant,
    argument,
    condition,
    gone,
    mutated,
    never,
    operand,
)
from tests.simulation.play import Play
from tests.simulation.running import caught_after, missing, run
from tests.simulation.world import World

# What a mutant gets before it has survived: with its own seed each needs ten at most, as long as the code is as it was.
_BOUND = 1200


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_every_phase_leaves_all_invariants_whole(fault: str) -> None:
    """One schedule begins with each, always the same one; `make soak` plays 10,000 others."""
    struck, schedules = Counter[tuple[str, str]](), 0
    cells = [cell for cell in CELLS if cell[0] == fault]
    for cell in cells:
        machine = run(1, CELLS.index(cell), first=cell)
        struck.update(machine.struck)
        schedules += machine.schedules

    assert schedules >= len(cells) > 0
    assert [cell for cell in missing(struck) if cell in cells] == []


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_simulation_catches(mutant: Mutant) -> None:
    with mutant.at_large():
        after = caught_after(_BOUND, mutant.seed, mutant.where)

    assert after is not None, "the guard is not needed, or what it guards is not looked at"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_guard_of_a_mutant_is_there(mutant: Mutant) -> None:
    with mutant.at_large():
        pass


GUARDED = """
class Store:
    def write(self, item, hold):
        if hold.lost or self.closed:
            raise Refused("not any more")
        return self.client.put(Item=item, Condition=hold.proof())
"""


def test_a_guard_is_found_whatever_its_locals_and_messages_are_called() -> None:
    renamed = GUARDED.replace("hold", "lease").replace("item", "row").replace("not any more", "lost")

    for source, hold in ((GUARDED, "hold"), (renamed, "lease")):
        changed = ast.unparse(
            mutated(source, "Store.write", ((argument("put", "Condition"), gone), (operand("closed"), gone)))
        )
        assert "Condition" not in changed
        assert f"if {hold}.lost or False:" in changed
        assert "if False:" in ast.unparse(mutated(source, "Store.write", ((condition("Refused"), never),)))


@pytest.mark.parametrize(
    ("name", "guard", "message"),
    [
        ("Store.read", condition("Refused"), "read is there 0 times"),
        ("Store.write", argument("put", "RevisionId"), "RevisionId of put is there 0 times"),
        ("Store.write", condition("Held"), "condition of Held is there 0 times"),
        ("Store.write", condition("Refused", only=0, of=2), "of 2, is there 0 times"),
    ],
)
def test_a_mutant_whose_function_or_guard_is_gone_is_an_error(name: str, guard: Guard, message: str) -> None:
    with pytest.raises(LookupError, match=message):
        mutated(GUARDED, name, ((guard, never),))


def test_a_guard_that_is_there_twice_is_an_error() -> None:
    twice = GUARDED + GUARDED.partition("hold):\n")[2].partition("        return")[0]

    with pytest.raises(LookupError, match="condition of Refused is there 2 times"):
        mutated(twice, "Store.write", ((condition("Refused"), never),))


def test_the_same_schedule_runs_the_same_way_twice() -> None:
    stories = []
    for _ in range(2):
        play = Play(World(keeps=True, canary=True), "none")
        process = play.rollback()
        assert play.to(process, "execute", 2)
        play.strike(process, "lost answer", 1)
        play.settle(abort=True)
        stories.append(play.world.notes)

    assert stories[0] == stories[1]


# -- what schedules have shown, kept ------------------------------------------------------------------


def test_what_could_not_be_rolled_back_is_not_called_deployed() -> None:
    """The version to go back to is deleted: the undo fails, and the ledger claims nothing for that service."""
    play = Play(World(), "none")
    world = play.world
    process = play.rollback()
    play.to(process, "verify")
    play.kill(process)
    record = play.records("IN_PROGRESS")[0]
    name = world.names[0]
    world.functions.delete_function(FunctionName=name, Qualifier="3")

    undo = play.act("carol", "abort", record)
    play.finish(undo)

    assert play.records("FAILED") == [record]
    assert "the target, no longer exists" in aftermath.ending(undo)
    assert world.truth.timeline[-1]["stands"] == {"roles": "v1.2.0"}
    assert world.parameters.snapshot()[world.settings.names.deployed_version] == "v1.2.0"


def test_an_undisturbed_rollback_makes_one_write_a_function() -> None:
    play = Play(World(canary=True), "none")
    play.finish(play.rollback())

    written = [past[-1] for past in play.world.truth.history.values()]
    assert [state.at for state in written] == [("2", ())] * 3
    play.settle(abort=False)


def test_an_outside_canary_survives_the_undo_of_a_write_without_an_answer() -> None:
    """Somebody gives the version that stands a new weight; our write is throttled to its end, and undone."""
    play = Play(World(), "none")
    world = play.world
    process = play.rollback()
    play.to(process, "execute")
    name = world.names[0]
    world.functions.point(name, "live", "3", {"2": 0.25}, "theirs")
    world.truth.outside_write(name)

    play.strike(process, "throttle", 1)
    play.finish(process)

    assert [status for _, status in world.truth.records()] == ["REVERTED"]
    alias = world.alias(name)
    assert alias is not None
    assert (alias.version, alias.weights) == ("3", (("2", 0.25),))
