"""Schedules around a way back that is on standby: what must be so after every call and in the end."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import Mutant
from tests.simulation.play import Play
from tests.simulation.running import caught_after, run
from tests.simulation.standby_machine import Standbys
from tests.simulation.standby_mutants import MUTANTS, TWICE
from tests.simulation.truth import Violation
from tests.simulation.world import World

# What a mutant gets before it has survived.
_BOUND = 600


@pytest.mark.parametrize("seed", range(3))
def test_whoever_takes_it_and_whatever_goes_wrong_all_invariants_hold(seed: int) -> None:
    assert run(60, seed, kind=Standbys).schedules >= 60


@pytest.mark.soak
def test_so_they_do_in_five_thousand_others() -> None:
    assert run(5000, 11, kind=Standbys).schedules >= 5000


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_simulation_catches(mutant: Mutant) -> None:
    with mutant.at_large():
        after = caught_after(_BOUND, 1, kind=Standbys)

    assert after is not None, "the guard is not needed, or what it guards is not looked at"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_guard_of_a_mutant_is_there(mutant: Mutant) -> None:
    with mutant.at_large():
        pass


def ready(**world: bool) -> Play:
    """Something is on standby, and the alarm is red since a minute after its release."""
    play = Play(World(automatic=True, **world), "none")
    play.finish(play.prepare("dan", 45))
    play.world.alarm_turns("ALARM", 1, named=True)
    return play


def test_of_a_guard_and_a_person_at_once_one_takes_it() -> None:
    play = ready()
    guard, person = play.guard(), play.take("carol")
    assert play.to(guard, "execute", 2)

    play.finish(person)
    play.finish(guard)

    assert [status for _, status in play.world.truth.records()] == ["COMPLETE"]
    (record,) = play.world.truth.stories
    assert play.world.truth._metadata(record)["taken_by"]["person"] == "guard"
    assert person.error is not None
    play.settle(abort=False)


def test_a_guard_that_is_killed_half_way_is_gone_on_with() -> None:
    play = ready()
    guard = play.guard()
    assert play.to(guard, "execute", 2)
    play.kill(guard)

    (record,) = play.records("IN_PROGRESS")
    play.finish(play.act("carol", "resume", record))

    assert play.records("COMPLETE") == [record]
    play.settle(abort=False)


def test_a_guard_that_stood_still_until_its_time_was_over_takes_nothing() -> None:
    play = ready()
    guard = play.guard()
    assert play.to(guard, "apply")
    play.pass_time(46 * 60)

    play.finish(guard)

    assert play.records("STANDBY")
    assert guard.error is not None
    play.settle(abort=True)


def taken_and_reverted_and_prepared_again() -> Play:
    """The guard takes it, meets drift and reverts it; then the way back from the same release is on standby again."""
    play = ready()
    world = play.world
    guard = play.guard()
    assert play.to(guard, "execute", 3)
    name = world.names[-1]
    world.functions.point(name, "live", "3", {"2": 0.5}, "theirs")
    world.truth.outside_write(name)
    play.finish(guard)
    assert len(play.records("REVERTED")) == 1
    world.functions.point(name, "live", "3")
    world.truth.outside_write(name)
    play.finish(play.prepare("dan", 45))
    assert play.records("STANDBY")
    return play


def test_what_was_taken_for_a_release_and_reverted_is_not_taken_for_it_again() -> None:
    play = taken_and_reverted_and_prepared_again()

    play.finish(play.guard())

    assert not play.records("COMPLETE")
    assert play.records("STANDBY")
    play.settle(abort=True)


def test_the_simulation_catches_that_it_is_taken_twice_for_one_release() -> None:
    play = taken_and_reverted_and_prepared_again()

    with TWICE.at_large(), pytest.raises(Violation):
        play.finish(play.guard())
