"""Schedules around a way back that is on standby: what must be so after every call and in the end."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import Mutant
from tests.simulation.running import run
from tests.simulation.standby_machine import Standbys
from tests.simulation.standby_mutants import MUTANTS, Scene, ready
from tests.simulation.truth import Violation
from tests.simulation.world import OTHER


def test_whoever_takes_it_and_whatever_goes_wrong_all_invariants_hold() -> None:
    assert run(60, 0, kind=Standbys).schedules >= 60


@pytest.mark.soak  # test_whoever_takes_it_and_whatever_goes_wrong_all_invariants_hold; test_the_simulation_catches
def test_so_they_do_in_five_thousand_others() -> None:
    assert run(5000, 11, kind=Standbys).schedules >= 5000


each_mutant = pytest.mark.parametrize(
    ("mutant", "scene"), MUTANTS, ids=[mutant.name for mutant, _ in MUTANTS]
)


@each_mutant
def test_the_simulation_catches(mutant: Mutant, scene: Scene) -> None:
    with mutant.at_large(), pytest.raises(Violation):
        scene()


@each_mutant
def test_in_the_scene_of_a_mutant_the_sound_code_takes_nothing(mutant: Mutant, scene: Scene) -> None:
    play = scene()

    assert not play.records("COMPLETE", "IN_PROGRESS", "FAILED"), mutant.name
    play.settle(abort=True)


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


def test_a_guard_takes_nothing_once_somebody_has_moved_an_alias() -> None:
    play = ready()
    name = play.world.names[-1]
    play.world.functions.point(name, "live", "2")
    play.world.truth.outside_write(name)
    guard = play.guard()

    play.finish(guard)

    assert guard.error is not None
    assert play.records("STANDBY")
    play.settle(abort=True)


def test_of_two_alarms_the_one_that_is_red_for_the_release_takes_it() -> None:
    play = ready()
    play.world.alarm_turns("ALARM", -20)
    play.world.alarm_turns("ALARM", 2, name=OTHER)

    play.finish(play.guard())

    (record,) = play.records("COMPLETE")
    assert play.world.truth._metadata(record)["alarm"] == OTHER
    play.settle(abort=False)


def test_two_alarms_at_once_take_it_once() -> None:
    play = ready()
    play.world.alarm_turns("ALARM", 2, name=OTHER)
    one, other = play.guard(), play.guard()
    assert play.to(one, "execute", 2)

    play.finish(other)
    play.finish(one)

    assert len(play.records("COMPLETE")) == 1
    play.settle(abort=False)
