"""`rollback watch`: an alarm that turns red after a release has it rolled back, in the foreground of its job."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from rollback.model.automatic import Nothing, Why
from rollback.model.record import Record, Status
from rollback.queries import automatic
from rollback.queries.watch import watch
from rollback.util.deadline import Deadline
from rollback.util.errors import (
    Code,
    Refused,
    Reverted,
    RollbackError,
    UsageError,
    VerificationFailed,
)
from tests.coded import coded
from tests.doubles.clock import BEGAN
from tests.doubles.functions import client_error
from tests.doubles.world import DAN, Quiet, World, settings

GUARD = "acme-dev-guard-teams"
RELEASED = 7200


@pytest.fixture
def watched(world: World) -> World:
    """v1.2.0 was recorded two hours after the test's beginning and has its standby; two alarms are green since ever."""
    world.settings = settings(
        automatic={"takes": True, "alarms": ["orders-5xx"], "services": ["teams"], "bake": 30}
    )
    world.clock.seconds = RELEASED - 600
    world.story()
    world.clock.seconds = RELEASED
    world.release("v1.3.0")
    world.record("v1.3.0")
    world.flow(DAN).prepare(45)
    for name in (GUARD, "orders-5xx"):
        world.metrics.alarms[name] = [(BEGAN - timedelta(days=1), "OK")]
    return world


def turns(world: World, name: str, state: str) -> None:
    world.metrics.alarms[name].append((world.clock.now(), state))


def after(world: World, seconds: float, happens: Callable[[], object]) -> None:
    """What happens so long after the release, while somebody waits."""

    def meanwhile(_seconds: float) -> None:
        if world.clock.seconds >= RELEASED + seconds:
            world.clock.meanwhile = lambda _: None
            happens()

    world.clock.meanwhile = meanwhile


def test_where_no_alarm_turns_red_it_is_healthy_in_the_end(watched: World) -> None:
    found = watch(watched.flow(DAN), "v1.3.0", 10)

    assert found.finished is None
    assert isinstance(found.decision, Nothing)
    assert found.decision.code is Why.NOT_RED
    assert watched.clock.seconds >= RELEASED + 600
    assert watched.deployed == "v1.3.0"


@pytest.mark.parametrize("name", [GUARD, "orders-5xx"])
def test_where_one_turns_red_what_is_on_standby_is_taken(watched: World, name: str) -> None:
    after(watched, 120, lambda: turns(watched, name, "ALARM"))

    found = watch(watched.flow(DAN), "v1.3.0", 10)

    assert found.finished is not None
    assert isinstance(found.finished.error, Reverted)
    assert found.finished.error.code is Code.ROLLED_BACK
    record = found.finished.record
    assert record is not None
    assert (record.status, record.alarm, record.taken_by) == (Status.COMPLETE, name, DAN)
    assert watched.deployed == "v1.2.0"
    assert watched.clock.seconds < RELEASED + 150


def test_an_alarm_that_was_red_before_says_nothing_of_the_release(watched: World) -> None:
    watched.metrics.alarms[GUARD].append((BEGAN + timedelta(hours=1), "ALARM"))

    found = watch(watched.flow(DAN), "v1.3.0", 10)

    assert isinstance(found.decision, Nothing)
    assert found.decision.code is Why.RED_BEFORE
    assert watched.deployed == "v1.3.0"


def test_red_with_nothing_to_take_is_not_healthy(watched: World) -> None:
    watched.flow().abort(watched.timeline().newest.id)
    after(watched, 120, lambda: turns(watched, GUARD, "ALARM"))

    with pytest.raises(VerificationFailed):
        watch(watched.flow(DAN), "v1.3.0", 10)

    assert watched.deployed == "v1.3.0"


def test_where_a_person_takes_it_meanwhile_it_was_rolled_back(watched: World) -> None:
    after(watched, 120, lambda: watched.flow().take("checkout fails"))

    with pytest.raises(Reverted, check=coded(Code.ROLLED_BACK)):
        watch(watched.flow(DAN), "v1.3.0", 10)


def failed(watched: World) -> Record:
    """Somebody takes the standby, and its smoke command fails."""
    smoke = {"aliases": ("python", "-c", "raise SystemExit(1)")}
    watched.settings = watched.settings.model_copy(update={"smoke": smoke})
    record = watched.flow().take("checkout fails").record
    assert record is not None
    assert record.status is Status.FAILED
    return record


@pytest.mark.finding("B2")
def test_where_the_verification_of_that_rollback_fails_the_next_check_ends_it(watched: World) -> None:
    after(watched, 120, lambda: failed(watched))

    with pytest.raises(VerificationFailed) as raised:
        watch(watched.flow(DAN), "v1.3.0", 10)

    rollback_id = watched.timeline().newest.id
    assert raised.value.next.startswith(f"rollback show {rollback_id} --env dev\n")
    assert "v1.2.0" in raised.value.changed
    assert watched.clock.seconds < RELEASED + 150


@pytest.mark.finding("B2")
def test_where_that_rollback_was_undone_no_alarm_is_made_up(watched: World) -> None:
    after(watched, 120, lambda: watched.flow().abort(failed(watched).rollback_id))

    with pytest.raises(VerificationFailed) as raised:
        watch(watched.flow(DAN), "v1.3.0", 10)

    assert watched.deployed == "v1.3.0"
    assert watched.clock.seconds >= RELEASED + 600
    assert "ALARM" not in raised.value.what


def test_where_a_person_rolls_back_otherwise_it_was_rolled_back(watched: World) -> None:
    after(watched, 120, lambda: watched.begin("v1.1.0"))

    with pytest.raises(Reverted, check=coded(Code.ROLLED_BACK)):
        watch(watched.flow(DAN), "v1.3.0", 10)


def test_while_somebody_else_holds_the_lease_it_looks_again(watched: World) -> None:
    held: list[Any] = []

    def busy() -> None:
        held.append(watched.session().leases.hold(("aliases",), "R-other"))
        turns(watched, GUARD, "ALARM")
        after(watched, 180, held[0].release)

    after(watched, 120, busy)

    found = watch(watched.flow(DAN), "v1.3.0", 10)

    assert found.finished is not None
    assert watched.deployed == "v1.2.0"


def test_another_release_ends_it(watched: World) -> None:
    def deploy() -> None:
        watched.release("v1.4.0")
        watched.record("v1.4.0")

    after(watched, 120, deploy)

    with pytest.raises(Refused, check=coded(Code.CHANGED_BY_OTHERS)):
        watch(watched.flow(DAN), "v1.3.0", 10)
    with pytest.raises(Refused, check=coded(Code.CHANGED_BY_OTHERS)):
        watch(watched.flow(DAN), "v1.3.0", 10)


def test_a_look_that_is_not_possible_is_made_again(watched: World) -> None:
    def away() -> None:
        watched.metrics.fail = client_error("DescribeAlarms", "InternalServiceFault")
        after(watched, 150, back)

    def back() -> None:
        watched.metrics.fail = None
        turns(watched, GUARD, "ALARM")

    after(watched, 120, away)

    assert watch(watched.flow(DAN), "v1.3.0", 10).finished is not None


def test_where_the_last_look_was_not_possible_nobody_says_that_it_is_healthy(watched: World) -> None:
    def away() -> None:
        watched.metrics.fail = client_error("DescribeAlarms", "InternalServiceFault")

    after(watched, 120, away)

    with pytest.raises(RollbackError) as raised:
        watch(watched.flow(DAN), "v1.3.0", 10)
    assert raised.value.exit_code == 1


def test_a_timeout_ends_the_watching_and_changes_nothing(watched: World) -> None:
    stop = Deadline(120, clock=watched.clock.monotonic)

    with pytest.raises(RollbackError, check=coded(Code.TIMED_OUT)):
        watch(watched.flow(DAN, stop=stop), "v1.3.0", 10)

    assert watched.clock.seconds < RELEASED + 180
    assert watched.deployed == "v1.3.0"


def test_to_stop_watching_changes_nothing(watched: World) -> None:
    stop = threading.Event()
    after(watched, 120, stop.set)

    with pytest.raises(RollbackError, check=coded(Code.INTERRUPTED)):
        watch(watched.flow(DAN, stop=stop), "v1.3.0", 10)

    assert watched.deployed == "v1.3.0"


def test_without_a_policy_without_an_alarm_or_for_too_long_it_is_wrong_usage(watched: World) -> None:
    with pytest.raises(UsageError, check=coded(Code.OPTION_INVALID)):
        watch(watched.flow(DAN), "v1.3.0", 31)
    del watched.metrics.alarms["orders-5xx"]
    with pytest.raises(UsageError, check=coded(Code.NOT_CONFIGURED)):
        watch(watched.flow(DAN), "v1.3.0", 10)
    watched.settings = settings()
    with pytest.raises(UsageError, check=coded(Code.NOT_CONFIGURED)):
        watch(watched.flow(DAN), "v1.3.0", 10)


def test_where_alarms_may_not_be_read_the_next_lines_name_who_grants_that(watched: World) -> None:
    watched.metrics.fail = client_error("DescribeAlarms", "AccessDenied")

    with pytest.raises(RollbackError, check=coded(Code.ACCESS_DENIED)) as refused:
        watch(watched.flow(DAN), "v1.3.0", 10)

    assert "pulumi up --stack dev-foundation" in refused.value.next.splitlines()
    assert "`automatic`" in refused.value.next


@pytest.mark.finding("B5")
def test_an_alarm_of_the_guard_that_is_gone_is_named_and_the_others_are_watched(watched: World) -> None:
    watched.settings = settings(
        automatic={"takes": True, "alarms": ["orders-5xx"], "bake": 30}, guard={"errors": 5}
    )
    flow = watched.flow(DAN)

    found = watch(flow, "v1.3.0", 10)

    assert isinstance(found.decision, Nothing)
    assert found.decision.code is Why.NOT_RED
    assert isinstance(flow.ui, Quiet)
    (gone,) = [text for text in flow.ui.notices if "acme-dev-guard-roles" in text]
    assert GUARD not in gone


def test_where_no_alarm_is_named_and_no_guard_is_configured_the_settings_are_named(watched: World) -> None:
    watched.metrics.alarms.clear()
    watched.settings = settings(automatic={"takes": True, "bake": 5})

    with pytest.raises(UsageError, check=coded(Code.NOT_CONFIGURED)) as wrong:
        watch(watched.flow(DAN), "v1.3.0", 5)

    assert "`automatic.alarms`" in wrong.value.what
    assert "`guard`" in wrong.value.what
    assert "-guard-" not in wrong.value.what

    watched.settings = settings(automatic={"takes": True, "bake": 5}, guard={"errors": 5})
    with pytest.raises(UsageError, match=GUARD, check=coded(Code.NOT_CONFIGURED)):
        watch(watched.flow(DAN), "v1.3.0", 5)


def test_in_production_and_wherever_it_is_asked_for_somebody_has_approved_it(watched: World) -> None:
    turns(watched, GUARD, "OK")
    watched.clock.seconds += 60
    turns(watched, GUARD, "ALARM")
    watched.settings = watched.settings.model_copy(update={"production": True})

    found = automatic.decision(watched.session(DAN))

    assert isinstance(found, Nothing)
    assert found.code is Why.NOT_APPROVED
