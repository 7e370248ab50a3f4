"""Schedules: what must be so after every call and in the end, whatever goes wrong where."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation import aftermath
from tests.simulation.faults import CELLS
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.play import Play
from tests.simulation.running import caught_after, missing, run, table
from tests.simulation.world import World

# Each of the cells begins three: more than 500 in all, always the same ones.
_EACH = 3
# What a mutant gets before it has survived; the slowest needs a quarter of it.
_BOUND = 1200


def test_every_fault_in_every_phase_leaves_all_invariants_whole() -> None:
    struck, schedules = Counter[tuple[str, str]](), 0
    for number, cell in enumerate(CELLS):
        machine = run(_EACH, number, first=cell)
        struck.update(machine.struck)
        schedules += machine.schedules

    print(table(struck))  # noqa: T201 - what the run is evidence of
    assert schedules >= 500
    assert missing(struck) == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_simulation_catches(mutant: Mutant, capsys: pytest.CaptureFixture[str]) -> None:
    with mutant.at_large():
        after = caught_after(_BOUND, 1, mutant.where)

    capsys.readouterr()
    print(f"{mutant.name}: noticed after {after} schedules")  # noqa: T201 - as above
    assert after is not None, "the guard is not needed, or what it guards is not looked at"


def test_a_mutant_whose_text_is_gone_is_an_error() -> None:
    gone = Mutant("gone", ("crash", "execute"), "rollback.actions.lifecycle", (("no such text", ""),))

    with pytest.raises(LookupError, match="0 times in"), gone.at_large():
        raise AssertionError("never reached")


def test_the_same_schedule_runs_the_same_way_twice() -> None:
    told = []
    for _ in range(2):
        play = Play(World(keeps=True, canary=True), "none")
        process = play.rollback()
        assert play.to(process, "execute", 2)
        play.strike(process, "lost answer", 1)
        play.settle(abort=True)
        told.append(play.world.told)

    assert told[0] == told[1]


# -- what schedules have shown, kept ------------------------------------------------------------------


def test_what_could_not_be_put_back_is_not_said_to_stand_there() -> None:
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
    assert "to go back to, no longer exists" in aftermath.said(undo)
    assert world.truth.timeline[-1]["stands"] == {"roles": "v1.2.0"}
    assert world.parameters.snapshot()[world.settings.names.deployed_version] == "v1.2.0"


def test_an_undisturbed_rollback_makes_one_write_a_function() -> None:
    play = Play(World(canary=True), "none")
    play.finish(play.rollback())

    written = [past[-1] for past in play.world.truth.history.values()]
    assert [stood.at for stood in written] == [("2", ())] * 3
    play.settle(abort=False)


def test_a_foreign_canary_survives_the_undo_of_a_write_without_an_answer() -> None:
    """Somebody gives the version that stands a new weight; our write is throttled to its end, and undone."""
    play = Play(World(), "none")
    world = play.world
    process = play.rollback()
    play.to(process, "execute")
    name = world.names[0]
    world.functions.point(name, "live", "3", {"2": 0.25}, "theirs")
    world.truth.foreign(name)

    play.strike(process, "throttle", 1)
    play.finish(process)

    assert [status for _, status in world.truth.records()] == ["REVERTED"]
    alias = world.alias(name)
    assert alias is not None
    assert (alias.version, alias.weights) == ("3", (("2", 0.25),))
