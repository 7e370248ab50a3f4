"""The flow over doubles: how each run ends, and what is true afterwards."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rollback.config.naming import SESSION_HOURS
from rollback.ledger.lease import ALIASES, LeaseLost
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.quarantine import covering, lift, quarantine
from rollback.lifecycle.run import new_record
from rollback.model.record import Status, chain_break, plain_record, seconds_between
from rollback.model.release import Release
from rollback.model.request import AliasesRequest
from rollback.queries.as_recorded import check
from rollback.releases.record_release import Commits, record
from rollback.targets.aliases.recorded import recorded
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)
from tests.coded import coded
from tests.doubles.dying import Killed, Life
from tests.doubles.functions import no_answer, nothing
from tests.doubles.instead import Instead
from tests.doubles.world import (
    ALICE,
    BOB,
    DAN,
    SHA,
    TABLE,
    Quiet,
    World,
    approved_by,
    previewed,
    settings,
    texts,
)

GET, LIST, ROLES = (
    "acme-dev-lambda-teams-get",
    "acme-dev-lambda-teams-list",
    "acme-dev-lambda-roles-get",
)
BAD_SMOKE = ["python", "-c", "raise SystemExit(1)"]


def ended(world: World, finished: Any, status: Status, code: int) -> None:
    """A run ended like this; the record, its chain, the lease and the parameter agree."""
    assert (finished.error.exit_code if finished.error else 0) == code, finished.error
    assert finished.record.status is status
    opened = world.session().ledger.load(finished.record.rollback_id)
    assert opened.record == finished.record
    assert chain_break(opened.record, opened.events) is None
    assert world.session().leases.holder(ALIASES) is None
    assert world.deployed == world.to_publish


def quarantined(world: World) -> set[tuple[str, str]]:
    return {(entry.service, entry.version) for entry in world.session().ledger.quarantines()}


def with_smoke(world: World, *command: str) -> None:
    world.settings = settings(smoke=list(command))


def test_a_rollback_ends_complete_and_the_next_one_goes_further_back(world: World) -> None:
    world.story()

    first, second = world.begin(), world.begin()

    assert first.plan is not None
    assert first.plan.notices == ("Will be quarantined: v1.2.0.",)
    ended(world, first, Status.COMPLETE, 0)
    ended(world, second, Status.COMPLETE, 0)
    assert (second.record and second.record.to_version) == "v1.0.0"
    assert quarantined(world) == {(s, v) for s in ("teams", "roles") for v in ("v1.2.0", "v1.1.0")}
    with pytest.raises(Refused, check=coded(Code.NO_PREVIOUS)):
        world.begin()


def test_failed_smoke_ends_failed_with_what_was_left_quarantined_and_can_be_verified_or_aborted(
    world: World,
) -> None:
    world.story()
    start = world.functions.deployed()
    with_smoke(world, *BAD_SMOKE)

    finished = world.begin()

    ended(world, finished, Status.FAILED, 5)
    assert quarantined(world) == {("teams", "v1.2.0"), ("roles", "v1.2.0")}
    assert "rollback verify" in finished.error.next
    identifier = finished.record.rollback_id
    ended(world, world.flow().verify(identifier), Status.FAILED, 5)
    aborted = world.flow().abort(identifier)
    ended(world, aborted, Status.REVERTED, 0)
    assert world.functions.deployed() == start
    assert quarantined(world) == set(), "what was left is what stands again"


def test_a_verification_that_passes_later_completes_the_record(world: World) -> None:
    world.story()
    with_smoke(world, *BAD_SMOKE)
    identifier = world.begin().record.rollback_id
    with_smoke(world)

    finished = world.flow().verify(identifier)

    ended(world, finished, Status.COMPLETE, 0)
    with pytest.raises(Refused):
        world.flow().verify(identifier)


@pytest.mark.finding("B12")
@pytest.mark.parametrize("smoke", [(), BAD_SMOKE])
def test_a_verification_later_leaves_the_time_that_the_rollback_took(
    world: World, smoke: Sequence[str]
) -> None:
    world.story()
    with_smoke(world, *BAD_SMOKE)
    failed = world.begin().record
    world.clock.sleep(660)
    with_smoke(world, *smoke)

    again = world.flow().verify(failed.rollback_id).record

    assert again.elapsed_seconds == failed.elapsed_seconds < 60
    assert again.relieved_seconds == failed.relieved_seconds
    assert seconds_between(failed.completed_at, again.completed_at) >= 660


def overtaken_one(world: World) -> str:
    """The id of a rollback that failed in verification, and whose services another one has changed since."""
    world.story()
    with_smoke(world, *BAD_SMOKE)
    identifier = world.begin().record.rollback_id
    with_smoke(world)
    ended(world, world.begin(to="v1.0.0"), Status.COMPLETE, 0)
    return str(identifier)


def test_a_failed_record_that_was_overtaken_can_change_nothing_any_more(world: World) -> None:
    identifier = overtaken_one(world)
    before = world.functions.deployed()

    for verb in (world.flow().verify, world.flow().resume, world.flow().abort):
        with pytest.raises(Refused, match="has since changed the same services"):
            verb(identifier)

    assert world.functions.deployed() == before
    assert world.session().leases.holder(ALIASES) is None
    assert world.session().ledger.load(identifier).record.status is Status.FAILED


def test_a_failed_record_that_others_services_passed_by_can_still_be_aborted(world: World) -> None:
    world.story()
    with_smoke(world, *BAD_SMOKE)
    identifier = world.begin(services=("teams",)).record.rollback_id
    with_smoke(world)
    ended(world, world.begin(services=("roles",)), Status.COMPLETE, 0)

    ended(world, world.flow().abort(identifier), Status.REVERTED, 0)

    assert dict(world.timeline().all_deployed) == {"teams": "v1.2.0", "roles": "v1.1.0"}
    assert quarantined(world) == {("roles", "v1.2.0")}


def test_a_persons_own_quarantine_outlives_the_abort_of_a_rollback(world: World) -> None:
    world.story()
    quarantine(world.session(DAN), "v1.2.0", ["teams"], "known bad")
    with_smoke(world, *BAD_SMOKE)
    identifier = world.begin().record.rollback_id

    world.flow().abort(identifier)

    assert quarantined(world) == {("teams", "v1.2.0")}
    assert [entry.reason for entry in world.session().ledger.quarantines()] == ["known bad"]


def test_somebody_elses_release_met_on_the_way_reverts_everything(world: World) -> None:
    world.story()

    def stranger(operation: str, function: str) -> None:
        if operation == "UpdateAlias":
            world.functions.before = nothing
            world.functions.point(ROLES, world.functions.publish(ROLES, "theirs"))

    world.functions.before = stranger
    finished = world.begin()

    ended(world, finished, Status.REVERTED, 4)
    assert world.versions() == {GET: "3", LIST: "3", ROLES: "4"}
    assert quarantined(world) == set()
    assert dict(world.timeline().all_deployed) == {"teams": "v1.2.0", "roles": "v1.2.0"}


def test_an_undo_that_fails_is_failed_and_can_be_tried_again(world: World) -> None:
    world.story()
    start = world.functions.deployed()

    def trouble(operation: str, function: str) -> None:
        if operation == "UpdateAlias" and function == ROLES:
            raise no_answer()

    world.functions.after = trouble
    finished = world.begin()

    ended(world, finished, Status.FAILED, 1)
    assert "rollback abort" in finished.error.next
    with pytest.raises(Refused, match="is being reverted") as raised:
        world.flow().verify(finished.record.rollback_id)
    assert "rollback abort" in raised.value.next
    assert "rollback verify" not in raised.value.next
    world.functions.after = nothing
    ended(world, world.flow().abort(finished.record.rollback_id), Status.REVERTED, 0)
    assert world.functions.deployed() == start


def test_a_parameter_that_cannot_be_written_fails_the_verification_and_holds_nobody_up(world: World) -> None:
    world.story()
    world.parameters.fail = no_answer()

    finished = world.begin()

    assert finished.error.exit_code == 5
    assert finished.record.status is Status.FAILED
    assert [check.check for check in finished.record.verification if not check.ok] == ["parameter"]
    assert world.session().leases.holder(ALIASES) is None
    world.parameters.fail = None
    ended(world, world.flow().verify(finished.record.rollback_id), Status.COMPLETE, 0)


def test_an_alias_that_moved_before_the_verification_is_named(world: World) -> None:
    world.story()

    def stranger(operation: str, function: str) -> None:
        if len(world.functions.called("UpdateAlias")) == 3 and operation == "GetFunction":
            world.functions.before = nothing
            world.functions.point(ROLES, "1")

    world.functions.before = stranger
    finished = world.begin()

    ended(world, finished, Status.FAILED, 5)
    assert f"{ROLES}: is at version 1, not 2" in finished.record.verification[0].detail


@pytest.mark.finding("F2")
def test_a_weight_that_comes_between_the_last_move_and_the_verification_ends_it_failed(world: World) -> None:
    world.story()

    def stranger(operation: str, function: str) -> None:
        if len(world.functions.called("UpdateAlias")) == 3 and operation == "GetFunction":
            world.functions.before = nothing
            world.functions.point(ROLES, "2", {"3": 0.5})

    world.functions.before = stranger
    finished = world.begin()

    ended(world, finished, Status.FAILED, 5)
    assert ROLES in finished.record.verification[0].detail


@pytest.mark.finding("F2")
def test_verify_sees_a_weight_that_nobody_recorded(world: World) -> None:
    world.story()
    sound = check(world.session())
    world.functions.point(ROLES, "3", {"2": 0.1})

    unhealthy = check(world.session())

    assert all(one.ok for one in sound)
    assert [(one.check, one.ok) for one in unhealthy if not one.ok] == [("aliases", False)]
    assert ROLES in unhealthy[0].detail


@pytest.mark.finding("F2")
def test_relief_and_verification_are_two_times(world: World) -> None:
    world.story()
    one_at_a_time = threading.Lock()

    def later(operation: str, function: str) -> None:
        with one_at_a_time:
            world.clock.sleep({"UpdateAlias": 1.0, "GetAlias": 10.0}.get(operation, 0.0))

    world.functions.before = later
    finished = world.begin()

    ended(world, finished, Status.COMPLETE, 0)
    record = finished.record
    assert record.relieved_seconds is not None
    assert 3 <= record.relieved_seconds < 10
    assert record.elapsed_seconds >= record.relieved_seconds + 30
    assert world.session().ledger.load(record.rollback_id).record == record
    assert plain_record(record)["relieved_seconds"] == record.relieved_seconds


def test_asked_to_stop_before_the_first_move_nothing_is_left_in_flight(world: World) -> None:
    world.story()
    stop = threading.Event()
    stop.set()

    with pytest.raises(RollbackError) as interrupted:
        world.flow(stop=stop).start("aliases", AliasesRequest(), "bad")

    assert (interrupted.value.code, interrupted.value.changed) == (Code.INTERRUPTED, "Nothing was changed.")
    assert world.session().leases.holder(ALIASES) is None
    assert all(isinstance(item, Release) for item in world.session().ledger.history(10))


def test_asked_to_stop_in_the_middle_it_is_in_flight_and_goes_on_from_another_machine(world: World) -> None:
    world.story()
    stop = threading.Event()
    world.functions.before = lambda operation, _: stop.set() if operation == "UpdateAlias" else None

    finished = world.flow(stop=stop).start("aliases", AliasesRequest(), "bad")

    assert finished.error is not None
    if finished.record and finished.record.status is Status.IN_PROGRESS:
        with pytest.raises(Refused, match="interrupted", check=coded(Code.LEASE_HELD)):
            world.begin()
        assert world.clock.seconds == 0
        finished = world.flow(DAN).resume(finished.record.rollback_id)
        assert world.clock.seconds == 0, "a parked lease is not watched"
    ended(world, finished, Status.COMPLETE, 0)


def test_an_answer_that_the_ledger_lost_is_looked_up_before_the_next_write(world: World) -> None:
    world.story()
    client = world.dynamodb
    lost: list[str] = []

    def transact(**request: Any) -> Any:
        answer = client.transact_write_items(**request)
        kinds = [str(item.get("Put", {}).get("Item", {}).get("kind")) for item in request["TransactItems"]]
        if any("failed" in kind for kind in kinds) and not lost:
            lost.append("failed")
            raise no_answer()
        return answer

    def trouble(operation: str, function: str) -> None:
        if operation == "UpdateAlias" and function == ROLES:
            world.functions.before = nothing
            raise no_answer()

    world.dynamodb, world.functions.before = Instead(client, transact_write_items=transact), trouble

    with pytest.raises(RollbackError) as raised:
        world.begin()

    assert lost
    assert raised.value.exit_code == 1
    owner = world.session().leases.holder(ALIASES)["owner"]  # type: ignore[index]
    assert f"rollback abort {owner}" in raised.value.next
    ended(world, world.flow().abort(owner), Status.REVERTED, 0)


def test_a_step_that_could_not_be_journalled_is_found_again_and_the_run_is_reverted(world: World) -> None:
    """A worker's 'found' was committed, its answer was not heard: the next event must not collide."""
    world.story()
    world.functions.point(ROLES, "3", description="by hand")
    start = world.functions.deployed()
    client = world.dynamodb
    lost: list[str] = []

    def transact(**request: Any) -> Any:
        answer = client.transact_write_items(**request)
        if "'found'" in str(request) and not lost:
            lost.append("found")
            raise no_answer()
        return answer

    world.dynamodb = Instead(client, transact_write_items=transact)
    finished = world.begin()

    assert lost
    ended(world, finished, Status.REVERTED, 4)
    assert world.functions.deployed() == start


def test_a_lease_is_parked_where_a_takeover_cannot_read_the_record(world: World) -> None:
    world.story()
    stop = threading.Event()
    world.functions.before = lambda operation, _: stop.set() if operation == "UpdateAlias" else None
    finished = world.flow(stop=stop).start("aliases", AliasesRequest(), "bad")
    world.functions.before = nothing
    if finished.record.status is not Status.IN_PROGRESS:
        pytest.skip("all three moves had begun")
    client = world.dynamodb
    taken: list[bool] = []

    def update(**request: Any) -> Any:
        answer = client.update_item(**request)
        taken.append(True)
        return answer

    def query(**request: Any) -> Any:
        if len(taken) == 1:
            raise no_answer()
        return client.query(**request)

    world.dynamodb = Instead(client, update_item=update, query=query)
    with pytest.raises(RollbackError, match="No response"):
        world.flow(DAN).resume(finished.record.rollback_id)
    world.dynamodb = client

    held = world.session().leases.holder(ALIASES)
    assert held is not None
    assert held["owner"] == finished.record.rollback_id
    ended(world, world.flow(DAN).resume(finished.record.rollback_id), Status.COMPLETE, 0)


def test_a_lease_that_died_before_its_record_is_freed_by_abort(world: World) -> None:
    world.session(ALICE).leases.take(ALIASES, "01M8ORPHAN")

    finished = world.flow(DAN).abort("01M8ORPHAN")

    assert finished.record is None
    assert world.session().leases.holder(ALIASES) is None
    with pytest.raises(UsageError):
        world.flow(DAN).abort("01M8ORPHAN")


def test_a_lease_of_a_failed_record_that_was_overtaken_is_freed_by_abort(world: World) -> None:
    identifier = overtaken_one(world)
    overtaken = world.session().ledger.load(identifier)
    # A process that resumes it dies before it sees that it has been overtaken.
    world.session(ALICE).leases.take(ALIASES, identifier)
    live = world.versions()

    finished = world.flow(DAN).abort(identifier)

    assert finished.error is None
    assert world.session().leases.holder(ALIASES) is None
    assert world.session().ledger.load(identifier).record == overtaken.record
    assert world.versions() == live
    with pytest.raises(Refused) as refused:
        world.flow(DAN).abort(identifier)
    assert refused.value.code == Code.CHANGED_BY_OTHERS


@pytest.mark.parametrize("reason", ["", " ", "a\nb", "a\x1b[31m", "x" * 10_000, "a\u202eb"])
def test_a_reason_is_one_line_of_printable_text(world: World, reason: str) -> None:
    world.story()

    with pytest.raises(UsageError):
        world.flow().start("aliases", AliasesRequest(), reason)
    if reason:
        with pytest.raises(UsageError):
            world.flow().abort("any", reason)


# -- plans over the ledger ----------------------------------------------------------------------------


def test_except_leaves_a_function_where_it_is_and_the_next_rollback_takes_it_along(world: World) -> None:
    world.story()

    ended(world, world.begin(without=(ROLES,)), Status.COMPLETE, 0)
    assert world.versions() == {GET: "2", LIST: "2", ROLES: "3"}
    ended(world, world.begin(), Status.COMPLETE, 0)

    assert world.versions() == {GET: "1", LIST: "1", ROLES: "1"}


def test_the_recorded_revision_is_that_of_the_last_record_that_wrote_the_alias(world: World) -> None:
    world.story()
    world.begin(services=("teams",))
    world.begin(without=(LIST,), services=("teams",))
    identifier = world.begin(services=("roles",)).record.rollback_id
    session = world.session()
    catalogue = world.settings.catalogue()

    known = recorded(session.ledger, session.ledger.timeline(), catalogue, catalogue).states

    assert identifier
    assert {name: item.revision_id for name, item in known.items()} == {
        name: alias.revision for name, alias in world.functions.aliases.items()
    }
    assert {name: item.version for name, item in known.items()} == world.versions()


def test_no_plan_reads_an_alias_whose_state_is_recorded(world: World) -> None:
    world.story()
    world.functions.calls.clear()

    world.begin()

    calls = [operation for operation, _ in world.functions.calls if operation in ("GetAlias", "UpdateAlias")]
    assert calls == ["UpdateAlias"] * 3 + ["GetAlias"] * 3, "the verification's, for weights"


def test_somebody_elses_move_refuses_the_plan_unless_adopted(world: World) -> None:
    world.story()
    world.functions.point(ROLES, "1")

    with pytest.raises(Refused, match="version 1, expected 3"):
        world.begin()
    finished = world.begin(adopt_current=True)

    ended(world, finished, Status.COMPLETE, 0)
    assert finished.record.adopted_current
    assert set(world.versions().values()) == {"2"}


def test_an_alias_that_moves_between_the_two_reads_of_a_plan_refuses_it(world: World) -> None:
    world.story()
    world.functions.point(ROLES, "1")

    def stranger(operation: str, function: str) -> None:
        if (operation, function) == ("GetAlias", ROLES):
            world.functions.before = nothing
            world.functions.point(ROLES, "3")

    world.functions.before = stranger
    with pytest.raises(Refused, match="its alias is being changed right now"):
        world.begin(adopt_current=True)

    assert world.functions.writes == []


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda f: f.versions[ROLES].pop("2"), "version 2 no longer exists"),
        (lambda f: setattr(f.versions[ROLES]["2"], "sha", "other"), "has different code"),
        (lambda f: setattr(f.versions[ROLES]["2"], "state", "Failed"), "Failed, not Active"),
        (lambda f: f.aliases.pop(ROLES), "it has no alias 'live'"),
        (lambda f: (f.versions.pop(ROLES), f.aliases.pop(ROLES)), "the function does not exist"),
    ],
)
def test_what_speaks_against_a_plan_is_named_and_nothing_is_written(
    world: World, spoil: Any, why: str
) -> None:
    world.story()
    spoil(world.functions)

    with pytest.raises(Refused, match=why) as raised:
        world.begin()

    assert f"--except {ROLES}" in raised.value.what
    assert world.functions.writes == []
    assert world.session().leases.holder(ALIASES) is None


@pytest.mark.finding("S3")
def test_a_plan_only_says_that_a_version_is_inactive_and_execution_wakes_it(world: World) -> None:
    world.story()
    world.functions.versions[ROLES]["2"].state = "Inactive"

    plan = previewed(world.flow(), "aliases", AliasesRequest())
    asked = world.functions.called("Invoke")
    finished = world.begin()

    assert any("Inactive" in notice and ROLES in notice for notice in plan.notices)
    assert asked == []
    ended(world, finished, Status.COMPLETE, 0)
    assert world.functions.called("Invoke") == [ROLES]
    kinds = [event.kind for event in finished.events]
    assert kinds[:2] == ["planned", "waking"]
    assert set(world.versions().values()) == {"2"}


@pytest.mark.finding("S3")
def test_an_abort_weeks_later_wakes_what_has_become_inactive_since(world: World) -> None:
    world.story()
    with_smoke(world, *BAD_SMOKE)
    failed = world.begin()
    assert failed.record is not None
    world.functions.versions[ROLES]["3"].state = "Inactive"

    finished = world.flow().abort(failed.record.rollback_id)

    ended(world, finished, Status.REVERTED, 0)
    assert world.functions.called("Invoke") == [ROLES]
    kinds = [event.kind for event in finished.events]
    assert kinds[kinds.index("reverting") + 1] == "waking"
    assert set(world.versions().values()) == {"3"}


def test_leftover_weights_alone_are_worth_a_rollback(world: World) -> None:
    world.story()
    world.begin()
    world.functions.point(ROLES, "2", {"3": 0.1})

    finished = world.begin(to="v1.1.0")

    ended(world, finished, Status.COMPLETE, 0)
    assert world.functions.deployed()[ROLES] == ("2", {})


def test_nothing_to_do_writes_nothing(world: World) -> None:
    world.story()
    world.begin()
    before = len(world.functions.writes)

    finished = world.begin(to="v1.1.0")

    assert (finished.record, finished.error) == (None, None)
    assert len(world.functions.writes) == before


def test_a_bare_lambda_version_number_is_answered_with_the_release_that_holds_it(world: World) -> None:
    world.story()

    with pytest.raises(UsageError, match=r"v1\.1\.0 \(3 functions\)"):
        world.begin(to="2")


@pytest.mark.parametrize("to", ["v9", "../v1", "$(id)", "v1;ls", "v1.1.0 ", ""])
def test_an_unknown_release_is_wrong_usage(world: World, to: str) -> None:
    world.story()

    with pytest.raises(UsageError):
        world.begin(to=to)


def test_a_quarantined_target_is_refused_with_the_way_to_lift_it(world: World) -> None:
    world.story()
    world.begin()

    with pytest.raises(Refused) as raised:
        world.begin(to="v1.2.0")

    look, lift_it = raised.value.next.splitlines()
    assert look.startswith("rollback status --env dev")
    assert lift_it == 'rollback release lift v1.2.0 --env dev --reason "…"'


@pytest.mark.finding("B7")
def test_where_some_services_have_no_previous_release_the_rollback_of_the_others_is_typed(
    world: World,
) -> None:
    world.story()
    world.begin("v1.0.0", services=("teams",))

    with pytest.raises(Refused, check=coded(Code.NO_PREVIOUS)) as refused:
        world.begin()

    first, *_ = refused.value.next.splitlines()
    assert first.startswith('rollback lambda --env dev --services roles --reason "…"  # ')
    ended(world, world.begin(services=("roles",)), Status.COMPLETE, 0)


def test_of_a_target_that_others_have_quarantined_too_only_what_is_asked_for_is_lifted(world: World) -> None:
    world.story()
    world.begin()

    with pytest.raises(Refused) as raised:
        world.begin(to="v1.2.0", services=("teams",))

    assert (
        raised.value.next.splitlines()[-1]
        == 'rollback release lift v1.2.0 --services teams --env dev --reason "…"'
    )


# -- recording ---------------------------------------------------------------------------------------


def test_a_recording_that_died_before_its_parameters_is_finished_by_recording_again(world: World) -> None:
    world.release("v1.0.0")
    world.parameters.fail = no_answer()
    with pytest.raises(RollbackError):
        world.record("v1.0.0")
    world.parameters.fail = None

    again = world.record("v1.0.0")

    assert not again.new
    assert world.deployed == "v1.0.0"
    written = list(world.parameters.written)
    world.record("v1.0.0")
    assert world.parameters.written == written, "what says so already is left alone"
    assert len(list(world.timeline())) == 1


def test_a_version_is_recorded_with_other_functions_only_under_another_name(world: World) -> None:
    world.story()
    world.release("v1.2.0")

    with pytest.raises(Refused, match="already recorded, with other function versions"):
        world.record("v1.2.0")


def test_a_quarantined_version_is_not_recorded(world: World) -> None:
    world.story()
    world.begin()

    with pytest.raises(Refused, match="is quarantined"):
        world.record("v1.2.0")


def test_code_of_a_quarantined_release_is_recorded_under_another_name(world: World) -> None:
    """What is deployed has to be known. Whether a commit may be deployed is asked before it is deployed."""
    world.story()
    world.begin()
    world.release("v1.3.0")

    assert world.record("v1.3.0").release.commit == SHA
    assert {each.version for each in covering(world.session(), SHA)} == {"v1.2.0"}


def test_an_alias_that_moves_while_it_is_recorded_is_read_again(world: World) -> None:
    world.release("v1.0.0")

    def stranger(operation: str, function: str) -> None:
        if (operation, function) == ("GetAlias", ROLES):
            world.functions.before = nothing
            world.functions.point(ROLES, world.functions.publish(ROLES, "v1.0.1"))

    world.functions.before = stranger
    release = world.record("v1.0.0").release

    assert (release.manifest[ROLES].version, release.manifest[ROLES].code_sha256) == ("2", f"sha-{ROLES}-2")


def test_an_adopted_past_can_be_gone_back_to_and_quarantines_what_was_left(world: World) -> None:
    world.release("v1.0.0")
    world.release("v1.1.0")
    world.record("v1.1.0")
    world.adopt("v1.0.0")
    assert dict(world.timeline().all_deployed) == {"teams": "v1.1.0", "roles": "v1.1.0"}

    finished = world.begin(to="v1.0.0")

    ended(world, finished, Status.COMPLETE, 0)
    assert quarantined(world) == {("teams", "v1.1.0"), ("roles", "v1.1.0")}
    with pytest.raises(Refused, match="no previous release"):
        world.begin()


def test_what_was_adopted_from_the_past_oldest_first_is_previous(world: World) -> None:
    for version in ("v1.0.0", "v1.1.0"):
        world.release(version)
    world.adopt("v1.0.0")
    world.adopt("v1.1.0")

    finished = world.begin()

    ended(world, finished, Status.COMPLETE, 0)
    assert set(world.versions().values()) == {"1"}


def test_an_abort_back_to_where_nothing_was_known_reports_that_nothing_is_known(world: World) -> None:
    world.release("v1.0.0")
    world.release("v1.1.0")
    world.adopt("v1.0.0")
    with_smoke(world, *BAD_SMOKE)
    identifier = world.begin(to="v1.0.0").record.rollback_id

    finished = world.flow().abort(identifier)

    ended(world, finished, Status.REVERTED, 0)
    assert dict(world.timeline().all_deployed) == {}
    assert world.deployed == "none"


@pytest.mark.parametrize("count", [0, 2])
def test_a_function_with_no_version_of_that_description_or_several_is_named(world: World, count: int) -> None:
    world.release("v1.0.0", only=[GET, LIST])
    for _ in range(count):
        world.release("v1.0.0", only=[ROLES])
    world.functions.versions.setdefault(ROLES, {})

    with pytest.raises(Refused, match=f"{ROLES}: {count or 'no'} version"):
        world.adopt("v1.0.0")


def test_lifting_lets_a_release_come_back_and_needs_a_quarantine(world: World) -> None:
    world.story()
    world.begin()

    assert lift(world.session(DAN), "v1.2.0", [], "mended") == ["roles", "teams"]
    with pytest.raises(Refused, match="is not quarantined"):
        lift(world.session(DAN), "v1.2.0", [], "mended")
    ended(world, world.begin(to="v1.2.0"), Status.COMPLETE, 0)

    assert quarantined(world) == set(), "the way forward bars nothing"


def test_a_recording_holds_the_lease_so_that_nobody_rolls_back_meanwhile(world: World) -> None:
    world.story()
    world.release("v1.3.0")
    seen: list[str] = []

    def meanwhile(operation: str, function: str) -> None:
        world.functions.before = nothing
        with pytest.raises(Refused) as raised:
            world.begin()
        seen.append(raised.value.what + raised.value.next)

    world.functions.before = meanwhile
    record(world.session(DAN), "v1.3.0", Commits(code=SHA), Quiet())

    assert "deployment-" in seen[0]
    assert "rollback status --env dev" in seen[0], "it goes on: there is nothing to abort"
    assert "rollback resume" not in seen[0]
    assert world.session().leases.holder(ALIASES) is None


def test_a_tampered_plan_is_not_executed(world: World) -> None:
    world.story()
    with_smoke(world, *BAD_SMOKE)
    identifier = world.begin().record.rollback_id
    before = world.functions.deployed()
    world.dynamodb.update_item(
        TableName=TABLE,
        Key={"PK": {"S": f"ROLLBACK#{identifier}"}, "SK": {"S": "PLAN#0002"}},
        UpdateExpression="SET #plan = :plan",
        ExpressionAttributeNames={"#plan": "plan"},
        ExpressionAttributeValues={":plan": {"S": "[]"}},
    )

    with pytest.raises(RollbackError, match="changed in the table"):
        world.flow().resume(identifier)
    finished = world.flow().abort(identifier, "no other way")

    assert world.functions.deployed() == before
    assert finished.error is not None
    assert "its changes could not be reverted" in finished.error.what
    assert "--adopt-current" in finished.error.next
    assert world.session().leases.holder(ALIASES) is None
    with pytest.raises(RollbackError, match="changed in the table") as raised:
        world.begin(to="v1.0.0")
    assert "--adopt-current" in raised.value.next
    with_smoke(world)
    ended(world, world.begin(to="v1.0.0", adopt_current=True), Status.COMPLETE, 0)


def test_a_plan_that_was_given_up_is_shown_with_its_functions_and_a_damaged_one_without(
    world: World,
) -> None:
    world.story()
    session = world.session()
    flow = world.flow()
    plan = previewed(flow, "aliases", AliasesRequest())
    target = session.target("aliases")
    ids = ("01M80000000000000000000001", "01M80000000000000000000002")
    for identifier in ids:
        begun = new_record(session, target, plan, "bad", rollback_id=identifier, began=session.clocks.now())
        flow._open(begun, plan, None, Status.AWAITING_APPROVAL)
    world.dynamodb.delete_item(
        TableName=TABLE, Key={"PK": {"S": f"ROLLBACK#{ids[1]}"}, "SK": {"S": "PLAN#0002"}}
    )
    world.dynamodb.update_item(
        TableName=TABLE,
        Key={"PK": {"S": f"ROLLBACK#{ids[1]}"}, "SK": {"S": "PLAN#0001"}},
        UpdateExpression="SET chunks = :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )

    whole, damaged = flow.abort(ids[0], "no"), flow.abort(ids[1], "no")

    assert whole.record is not None
    assert (whole.record.status, whole.plan) == (Status.ABORTED, plan)
    assert damaged.record is not None
    assert (damaged.record.status, damaged.plan) == (Status.ABORTED, None)


# -- approval ----------------------------------------------------------------------------------------


def refused(world: World, identifier: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        world.flow().apply(identifier)
    assert world.functions.writes == []
    assert world.session().leases.holder(ALIASES) is None
    assert world.session().ledger.load(identifier).record.status is Status.AWAITING_APPROVAL


def test_an_approved_plan_is_applied_once_and_shows_who_approved_it(world: World) -> None:
    world.story()
    identifier = approved_by(world, BOB)
    world.clock.sleep(600)

    finished = world.flow().apply(identifier)

    ended(world, finished, Status.COMPLETE, 0)
    assert finished.record is not None
    assert finished.record.approved_by == BOB
    assert finished.record.waited_seconds == 600
    assert finished.record.elapsed_seconds == 0
    with pytest.raises(Refused, match="is COMPLETE"):
        world.flow().apply(identifier)


def test_a_plan_without_an_approval_is_not_applied(world: World) -> None:
    world.story()
    identifier = approved_by(world, None)

    refused(world, identifier, "nobody has approved it")


@pytest.mark.finding("B6")
def test_a_plan_that_can_no_longer_be_applied_asks_for_no_approval(world: World) -> None:
    world.story()
    first = approved_by(world, None)
    second = world.begin().record
    assert second is not None
    world.flow(BOB).approve(first, world.session().ledger.load(first).record.digest)
    assert world.flow().apply(first).error is None

    with pytest.raises(Refused, check=coded(Code.PLAN_OUTDATED)) as refused:
        world.flow().apply(second.rollback_id)

    assert refused.value.next.startswith(f"rollback abort {second.rollback_id} --env dev")


@pytest.mark.finding("B6")
@pytest.mark.parametrize(("services", "named"), [((), True), (("teams",), True), (("roles",), False)])
def test_a_plan_that_has_to_wait_names_those_that_wait_for_the_same_services(
    world: World, services: tuple[str, ...], *, named: bool
) -> None:
    world.story()
    approved_by(world, None)
    ui = Quiet()
    flow = Lifecycle(session=world.session(), ui=ui)
    ended = world.begin(services=("teams",)).record
    assert ended is not None
    world.flow().abort(ended.rollback_id)
    first = world.begin(services=("teams",)).record
    assert first is not None

    flow.start("aliases", AliasesRequest(services=services), "it went bad")

    assert any(first.rollback_id in notice for notice in ui.notices) is named
    assert not any(ended.rollback_id in notice for notice in ui.notices)


def test_an_approval_that_expires_while_the_plan_is_checked_is_not_enough(world: World) -> None:
    world.story()
    identifier = approved_by(world, BOB)

    def slow(operation: str, function: str) -> None:
        world.functions.before = nothing
        world.clock.seconds += 3601

    world.functions.before = slow
    refused(world, identifier, "expired at")


@pytest.mark.parametrize("went", ["well", "wrong"])
def test_what_was_planned_while_the_lease_was_lost_counts_for_nothing(world: World, went: str) -> None:
    world.story()
    if went == "wrong":
        world.functions.point(ROLES, "2")

    def paused(operation: str, function: str) -> None:
        """The lease runs out, and another person releases it: nothing is recorded yet."""
        world.functions.before = nothing
        world.clock.seconds += 61
        (held,) = world.session().leases.holders().values()
        world.flow(BOB).abort(str(held["owner"]))

    world.functions.before = paused

    with pytest.raises(LeaseLost) as raised:
        world.flow().start("aliases", AliasesRequest(), "it went bad")

    assert raised.value.changed == "Nothing was changed."
    assert raised.value.next == "rollback status --env dev"


@pytest.mark.parametrize("then", ["is told so", "gets no answer"])
def test_a_parameter_that_a_paused_process_writes_too_late_is_corrected_by_it(
    world: World, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    world.story()
    before, put, client = world.deployed, world.parameters.put_parameter, world.dynamodb
    silent: list[str] = []

    def transact(**request: Any) -> Any:
        if silent:
            raise no_answer()
        return client.transact_write_items(**request)

    def late(**what: Any) -> None:
        monkeypatch.undo()
        (held,) = world.session().leases.holders().values()
        assert world.flow(BOB).abort(str(held["owner"])).error is None
        put(**what)
        assert world.deployed != before, "there is no conditional write of a parameter"
        if then == "gets no answer":
            silent.append("from now on")

    world.dynamodb = Instead(client, transact_write_items=transact)
    monkeypatch.setattr(world.parameters, "put_parameter", late)

    with pytest.raises(RollbackError) as raised:
        world.flow().start("aliases", AliasesRequest(), "it went bad")

    assert isinstance(raised.value, LeaseLost) is not bool(silent)
    assert world.deployed == before


def test_a_world_that_moved_after_the_approval_is_refused(world: World) -> None:
    world.story()
    identifier = approved_by(world, BOB)
    world.functions.point(ROLES, "2")

    refused(world, identifier, "The plan is out of date")


def test_a_release_recorded_after_the_approval_changes_what_previous_means(world: World) -> None:
    world.story()
    identifier = approved_by(world, BOB)
    world.release("v1.3.0")
    world.record("v1.3.0")

    refused(world, identifier, "The plan is out of date")


def test_a_target_quarantined_after_the_approval_is_refused(world: World) -> None:
    world.story()
    identifier = approved_by(world, BOB)
    quarantine(world.session(DAN), "v1.1.0", [], "bad as well")

    refused(world, identifier, "The plan is out of date")


def test_settings_edited_after_the_approval_are_refused(world: World) -> None:
    world.story()
    identifier = approved_by(world, BOB)
    (world.root / "Pulumi.dev.yaml").write_text(texts(approval="none")[1], encoding="utf-8")

    refused(world, identifier, "differ from branch 'main'")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("digest", {"S": "0" * 64}),
        ("initiated_by", {"M": {"role": {"S": ALICE.role}, "person": {"S": "mallory"}}}),
    ],
)
def test_what_approval_hangs_on_cannot_be_changed_in_the_table(world: World, name: str, value: Any) -> None:
    world.story()
    identifier = approved_by(world, BOB)
    world.dynamodb.update_item(
        TableName=TABLE,
        Key={"PK": {"S": f"ROLLBACK#{identifier}"}, "SK": {"S": "METADATA"}},
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )

    with pytest.raises(RollbackError, match="changed in the table"):
        world.flow().apply(identifier)
    with pytest.raises(RollbackError, match="changed in the table"):
        world.flow(BOB).approve(identifier, "0" * 64)

    assert world.functions.writes == []


def test_a_damaged_plan_in_flight_blocks_nobody_once_it_is_given_up(world: World) -> None:
    world.story()
    life = Life(at=5)
    with pytest.raises(Killed):
        world.flow(life=life).start("aliases", AliasesRequest(), "bad")
    held = world.session().leases.holder(ALIASES)
    assert held is not None
    world.dynamodb.update_item(
        TableName=TABLE,
        Key={"PK": {"S": f"ROLLBACK#{held['owner']}"}, "SK": {"S": "PLAN#0001"}},
        UpdateExpression="SET #plan = :plan",
        ExpressionAttributeNames={"#plan": "plan"},
        ExpressionAttributeValues={":plan": {"S": "{}"}},
    )

    finished = world.flow(DAN).abort(str(held["owner"]))

    assert finished.error is not None
    assert finished.record is not None
    assert finished.record.status is Status.FAILED
    assert dict(world.timeline().all_deployed) == {"teams": "v1.2.0", "roles": "v1.2.0"}
    ended(world, world.begin(to="v1.1.0", adopt_current=True), Status.COMPLETE, 0)


def test_an_adoption_overtakes_no_failed_record(world: World) -> None:
    world.release("v0.9.0")
    world.story()
    with_smoke(world, *BAD_SMOKE)
    identifier = world.begin().record.rollback_id
    with_smoke(world)
    world.adopt("v0.9.0")

    ended(world, world.flow().verify(identifier), Status.COMPLETE, 0)


@pytest.mark.parametrize("verb", ["abort", "resume"])
def test_before_a_failed_record_is_acted_upon_the_timeline_is_read_once(world: World, verb: str) -> None:
    world.story()
    with_smoke(world, *BAD_SMOKE)
    identifier = world.begin().record.rollback_id
    with_smoke(world)
    client, asked = world.dynamodb, list[str]()

    def query(**request: Any) -> Any:
        asked.append(str(request["ExpressionAttributeValues"]))
        return client.query(**request)

    def transact(**request: Any) -> Any:
        asked.append("write")
        return client.transact_write_items(**request)

    world.dynamodb = Instead(client, query=query, transact_write_items=transact)
    assert getattr(world.flow(), verb)(identifier).error is None

    assert len([values for values in asked[: asked.index("write")] if "SEQ#" in values]) == 1


@pytest.mark.finding("S4")
@pytest.mark.parametrize(("minutes", "begins"), [(4, False), (6, True)])
def test_nothing_is_begun_that_may_outlast_the_credentials(world: World, minutes: int, begins: bool) -> None:
    world.story()
    flow = world.flow()
    ends = flow.session.now() + timedelta(minutes=minutes)
    account = replace(flow.session.account, ends=ends)
    flow = replace(flow, session=replace(flow.session, account=account))
    assert flow.session.target("aliases").minutes == 5

    if begins:
        assert flow.start("aliases", AliasesRequest(), "it leaks").error is None
        return
    with pytest.raises(Refused, check=coded(Code.CREDENTIALS_END)) as caught:
        flow.start("aliases", AliasesRequest(), "it leaks")
    assert "--hours 1" in caught.value.next
    assert world.functions.writes == []
    assert not flow.session.leases.holders()


@pytest.mark.finding("S4")
@pytest.mark.parametrize("minutes", [5, 59, 60, 330, 360, 7 * 24 * 60])
def test_a_login_as_it_is_advised_can_be_had_and_is_long_enough(world: World, minutes: int) -> None:
    world.story()
    world.settings = world.settings.model_copy(
        update={"rto": world.settings.rto.model_copy(update={"code": minutes})}
    )

    def with_left(left: timedelta) -> Lifecycle:
        flow = world.flow()
        account = replace(flow.session.account, ends=flow.session.now() + left)
        return replace(flow, session=replace(flow.session, account=account))

    with pytest.raises(Refused, check=coded(Code.CREDENTIALS_END)) as caught:
        with_left(timedelta(minutes=4)).start("aliases", AliasesRequest(), "it leaks")
    hours = int(caught.value.next.split()[-1])

    assert 1 <= hours <= SESSION_HOURS, "as login takes it"
    on_time = with_left(timedelta(hours=hours) - timedelta(minutes=20))
    assert on_time.start("aliases", AliasesRequest(), "it leaks").error is None
