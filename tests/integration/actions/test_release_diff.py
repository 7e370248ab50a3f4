"""What changed between two releases, or between a release and what the aliases are at."""

from __future__ import annotations

import pytest

from rollback.releases.compare import difference
from rollback.releases.differences import Difference
from rollback.releases.record_release import Commits, record
from rollback.releases.view import document
from rollback.util.errors import Code, Refused, UsageError
from rollback.views.json_output import commands
from tests.coded import coded
from tests.doubles.world import DAN, SHA, Quiet, World


def moved(found: Difference) -> dict[str, tuple[str, str]]:
    return {change.function: (change.before, change.after) for change in found.functions}


def test_the_functions_of_two_releases_that_differ_and_how_many_do_not(world: World) -> None:
    first, *others = world.names
    world.release("v1.0.0")
    world.record("v1.0.0")
    world.release("v1.1.0", only=[first])
    world.record("v1.1.0")

    found = difference(world.session(), "v1.0.0", "v1.1.0")

    assert moved(found) == {first: ("1", "2")}
    (change,) = document(found)["functions"]
    assert change["code_differs"], "another code was published"
    assert None is not change["from_code_sha256"] != change["to_code_sha256"] is not None
    assert found.unchanged == len(others)


def test_without_names_it_is_what_the_newest_release_changed(world: World) -> None:
    world.story()

    found = difference(world.session(), "previous", "deployed")

    assert set(moved(found).values()) == {("2", "3")}
    assert found.before == "previous (v1.1.0)"


def test_what_somebody_moved_beside_the_ledger_is_between_recorded_and_deployed(world: World) -> None:
    world.story()
    first = world.names[0]
    world.functions.point(first, "1")

    assert moved(difference(world.session(), "recorded", "deployed")) == {first: ("3", "1")}
    assert moved(difference(world.session(), "v1.2.0", "recorded")) == {}


def test_after_some_services_went_back_each_is_compared_with_its_own_release(world: World) -> None:
    world.story()
    world.begin(services=("teams",))

    found = difference(world.session(), "v1.2.0", "recorded")

    assert set(moved(found)) == set(world.settings.functions("teams"))


def test_a_dry_run_shows_which_resources_differ_from_those_that_are_deployed(world: World) -> None:
    for number, stack in ((0, "a" * 40), (1, "b" * 40)):
        world.release(f"v1.{number}.0")
        record(world.session(DAN), f"v1.{number}.0", Commits(code=SHA, stack=stack), Quiet())

    shown = [
        difference(world.session(), *sides).resources
        for sides in (("v1.0.0", "v1.1.0"), ("v1.1.0", "v1.0.0"))
    ]

    assert shown == [(f"rollback stack --env dev --to {'a' * 12} --dry-run",), ()]


def test_a_release_that_nobody_recorded_is_named(world: World) -> None:
    world.story()

    with pytest.raises(UsageError, match=r"v9\.9\.9", check=coded(Code.UNKNOWN_RELEASE)):
        difference(world.session(), "v9.9.9", "deployed")


def test_where_there_is_no_previous_one_what_is_offered_is_a_diff(world: World) -> None:
    world.release("v1.0.0")
    world.record("v1.0.0")

    with pytest.raises(Refused, check=coded(Code.NO_PREVIOUS)) as error:
        difference(world.session(), "previous", "deployed")

    assert commands(error.value.next) == [
        "rollback release list --env dev",
        "rollback diff V deployed --env dev",
    ]
