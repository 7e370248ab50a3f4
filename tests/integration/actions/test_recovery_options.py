"""What `status` says one could go back to, how long it takes, and what to type."""

from __future__ import annotations

import pytest
from rich.console import Console

from rollback.config.sections import Pace
from rollback.lifecycle.quarantine import manual_entry, quarantine
from rollback.model.identity import Actor
from rollback.model.release import STACK, Quarantine
from rollback.queries.recovery_options import moving
from rollback.queries.status import overview
from rollback.releases.record_release import Commits, record
from rollback.views.records import overview_view
from tests.doubles.world import ALICE, DAN, SHA, Quiet, World, settings

OLD, NEW = "a" * 40, "b" * 40


def options(world: World) -> dict[str, tuple[str, str]]:
    """Kind → what it goes back to, and the command."""
    return {option.kind: (option.to, option.command) for option in overview(world.session()).ways}


def deployed(world: World, version: str, stack: str | None, terraform: str | None) -> None:
    world.release(version)
    record(world.session(DAN), version, Commits(code=SHA, stack=stack, terraform=terraform), Quiet())


def test_before_anything_is_recorded_there_is_no_recovery_option(world: World) -> None:
    assert options(world) == {}


def test_all_that_is_deployed_and_has_a_past_has_a_recovery_option(world: World) -> None:
    deployed(world, "v1.0.0", OLD, OLD)
    deployed(world, "v1.1.0", NEW, NEW)

    reason = '--env dev --reason "…"'
    assert options(world) == {
        "aliases": ("v1.0.0", f"rollback lambda {reason}"),
        "stack": ("previous", f"rollback stack {reason}"),
        "terraform": (OLD[:12], f"rollback terraform {reason}"),
        "full": ("v1.0.0", f"rollback full {reason}"),
    }


def test_services_without_a_past_are_left_out_by_name(world: World) -> None:
    world.story()
    world.begin(services=("teams",), to="v1.0.0")

    assert options(world) == {
        "aliases": ("v1.1.0", 'rollback lambda --services roles --env dev --reason "…"')
    }, "teams stand at the oldest that was recorded"


@pytest.mark.finding("B3")
def test_where_the_only_older_release_failed_in_verification_the_line_names_it(world: World) -> None:
    for version in ("v1.0.0", "v1.1.0"):
        deployed(world, version, None, None)
    world.settings = settings(smoke={"aliases": ("python", "-c", "raise SystemExit(1)")})
    failed = world.begin().record
    assert failed is not None
    assert failed.status == "FAILED"
    deployed(world, "v1.2.0", None, None)

    found = overview(world.session())

    assert found.ways == ()
    assert [one.command for one in found.no_way_back] == [
        'rollback lambda --to v1.0.0 --env dev --reason "…"'
    ]


def test_how_long_it_took_last_time_is_reported(world: World) -> None:
    world.story()
    done = world.begin().record
    assert done is not None

    option = overview(world.session()).ways[0]

    assert option.last == done.elapsed_seconds
    assert option.rto_seconds == 5 * 60


@pytest.mark.parametrize(("functions", "seconds"), [(10, 0.7), (42, 3.3), (500, 43.7), (5000, 440)])
def test_how_long_it_will_take_follows_from_the_quota(functions: int, seconds: float) -> None:
    pace = Pace(writes=14.9, burst=13, reads=95)

    assert moving(functions, pace) == pytest.approx(seconds, rel=0.02)


def test_the_commands_of_the_screen_are_there_to_copy(world: World) -> None:
    deployed(world, "v1.0.0", OLD, OLD)
    deployed(world, "v1.1.0", NEW, NEW)
    console = Console(width=60, force_terminal=False)

    with console.capture() as shown:
        console.print(overview_view(overview(world.session())))

    lines = [line.strip() for line in shown.get().splitlines()]
    assert 'rollback terraform --env dev --reason "…"' in lines
    assert 'rollback lambda --env dev --reason "…"' in lines


def by_whom(world: World, caller: Actor) -> dict[str, tuple[str, str]]:
    """Kind → under whose role, and how the caller takes it."""
    return {option.kind: (option.under, option.login) for option in overview(world.session(caller)).ways}


def users(*names: str) -> list[str]:
    return [f"arn:aws:iam::111122223333:user/{name}" for name in names]


DEPLOYER, LOGIN = "acme-dev-github-actions-role", "rollback login --env dev --role deployer"


@pytest.mark.parametrize(
    ("people", "caller", "under", "login"),
    [
        ({"deployers": users("dan", "alice")}, ALICE, DEPLOYER, LOGIN),
        ({"deployers": users("dan", "erin")}, ALICE, f"{DEPLOYER} (dan, erin)", ""),
        ({}, ALICE, f"{DEPLOYER} (jobs of dev-deploy)", ""),
        ({"deployers": users("dan")}, DAN, "", ""),
    ],
)
def test_what_the_caller_s_role_may_not_do_names_the_role_that_may_and_how_it_is_taken(
    world: World, people: dict[str, list[str]], caller: Actor, under: str, login: str
) -> None:
    world.settings = settings(people=people)
    deployed(world, "v1.0.0", OLD, OLD)
    deployed(world, "v1.1.0", NEW, NEW)

    assert by_whom(world, caller) == {
        "aliases": ("", ""),
        "stack": (under, login),
        "terraform": (under, login),
        "full": (under, login),
    }
    console = Console(width=60, force_terminal=False)
    with console.capture() as shown:
        console.print(overview_view(overview(world.session(caller))), crop=False)
    lines = [line.strip() for line in shown.get().splitlines()]
    assert (LOGIN in lines) is bool(login)


def test_where_one_commit_alone_was_deployed_nothing_goes_back_to_another(world: World) -> None:
    deployed(world, "v1.0.0", OLD, OLD)
    deployed(world, "v1.1.0", OLD, OLD)

    assert set(options(world)) == {"aliases"}


def test_a_release_whose_commit_is_quarantined_is_not_gone_back_to_as_a_whole(world: World) -> None:
    deployed(world, "v1.0.0", OLD, OLD)
    deployed(world, "v1.1.0", NEW, OLD)
    deployed(world, "v1.2.0", OLD, NEW)
    session = world.session(DAN)
    at = session.clocks.now()
    bar = Quarantine(service=STACK, version=NEW, reason="so", by=DAN, at=at)
    session.ledger.append(manual_entry(session, "quarantine", NEW, "so", at), quarantines=[bar])

    assert set(options(world)) == {"aliases", "terraform"}


def test_why_there_is_no_way_back_is_said_with_what_would_change_it(world: World) -> None:
    world.release("v1.0.0")
    world.record("v1.0.0")
    (first,) = overview(world.session()).no_way_back
    for version in ("v1.1.0", "v1.2.0"):
        world.release(version)
        world.record(version)
    none = overview(world.session()).no_way_back
    for version in ("v1.0.0", "v1.1.0"):
        quarantine(world.session(DAN), version, ["teams"], "so")

    (some,) = overview(world.session()).no_way_back

    assert (first.services, first.command) == (tuple(world.settings.services), "")
    assert none == ()
    assert some.services == ("teams",)
    assert "v1.1.0, v1.0.0" in some.why
    assert some.command == 'rollback release lift v1.1.0 --services teams --env dev --reason "…"'
    assert some.under == f"{DEPLOYER} (jobs of dev-deploy)"
