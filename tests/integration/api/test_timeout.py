"""`--timeout` bounds what comes before anything is changed, and cuts nothing short that has begun."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from rollback import Code, Environment, RollbackError
from rollback.model.record import Status
from rollback.model.request import AliasesRequest
from rollback.util.deadline import Deadline
from rollback.util.errors import AwaitingApproval
from tests.coded import coded
from tests.doubles.instead import Instead
from tests.doubles.world import BOB, World, approved_by, settings
from tests.integration.api.test_environment import opened

REASON = "team answers 500"


class Time:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def bounded(world: World, time: Time, **how: Any) -> Environment:
    return opened(world, stop=Deadline(60, clock=time), **how)


def after(time: Time, call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, during which the time passes."""

    def late(**asked: Any) -> Any:
        time.now = 61
        return call(**asked)

    return late


def test_where_planning_takes_longer_nothing_is_begun_and_nothing_is_left(world: World, time: Time) -> None:
    world.story()
    world.functions = Instead(world.functions, get_function=after(time, world.functions.get_function))

    with pytest.raises(RollbackError, check=coded(Code.TIMED_OUT)) as raised:
        bounded(world, time).roll_back(AliasesRequest(), reason=REASON)

    assert (raised.value.exit_code, raised.value.changed) == (1, "Nothing was changed.")
    assert world.session().leases.holders() == {}
    assert opened(world).history(1, "aliases").moments == ()


def test_what_has_begun_to_move_is_not_cut_short(world: World, time: Time) -> None:
    world.story()
    world.functions = Instead(world.functions, update_alias=after(time, world.functions.update_alias))

    result = bounded(world, time).roll_back(AliasesRequest(), reason=REASON)

    assert time.now > 60
    assert result.status is Status.COMPLETE


def test_where_nobody_approves_in_time_the_record_waits_on_and_is_named(world: World, time: Time) -> None:
    world.story()
    name, env = approved_by(world, None), bounded(world, time)
    time.now = 61

    with pytest.raises(AwaitingApproval) as raised:
        env.apply(name, wait_minutes=30)

    assert f"rollback apply {name} --env dev" in raised.value.next
    assert opened(world).record(name).status is Status.AWAITING_APPROVAL


def test_an_approved_plan_that_is_not_begun_in_time_can_be_applied_later(world: World, time: Time) -> None:
    world.story()
    name, env = approved_by(world, BOB), bounded(world, time)
    time.now = 61

    with pytest.raises(RollbackError, check=coded(Code.TIMED_OUT)) as raised:
        env.apply(name)

    assert name in raised.value.changed
    assert raised.value.next.splitlines()[0] == f"rollback apply {name} --env dev"
    assert world.functions.writes == []
    assert opened(world).apply(name).status is Status.COMPLETE


def test_a_smoke_command_that_goes_on_too_long_leaves_open_whether_it_is_healthy(world: World) -> None:
    world.story()
    world.settings = settings(smoke=[sys.executable, "-c", "import time; time.sleep(600)"])

    with pytest.raises(RollbackError, check=coded(Code.TIMED_OUT)):
        opened(world, stop=Deadline(0.2)).verify()
