"""A script plans, rolls back, watches and goes on; nothing of that is printed, and nothing of the process is changed."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from rollback import (
    Code,
    Environment,
    Refused,
    RollbackError,
    StoppedAtOnce,
    UsageError,
    VerificationFailed,
)
from rollback.api.events import Event, PlanMade, WorkBegan, WorkEnded, WorkProgressed
from rollback.model.identity import Actor
from rollback.model.record import Status
from rollback.model.release import Freeze
from rollback.model.request import PruneRequest
from rollback.util.errors import Cancelled
from tests.coded import coded
from tests.doubles.functions import client_error, no_answer, nothing
from tests.doubles.instead import Instead
from tests.doubles.world import ALICE, BOB, World, approved_by, texts

REASON = "team answers 500"


def opened(world: World, caller: Actor = ALICE, **how: Any) -> Environment:
    """The environment, as `caller` has opened it: each operation has a session of its own."""
    return Environment(world.session(caller), anew=lambda **_: world.session(caller), **how)


@pytest.fixture(autouse=True)
def checkout(world: World) -> None:
    """The settings' files: the stack's history is looked for by them."""
    for name, text in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(), strict=True):
        (world.root / name).write_text(text, encoding="utf-8")


def test_a_plan_says_what_would_change_and_what_speaks_against_it_and_changes_nothing(world: World) -> None:
    world.story()

    plan = opened(world).functions.plan(services=["roles"])

    assert [step.subject for step in plan.changes] == ["acme-dev-lambda-roles-get"]
    assert (plan.kind, plan.environment, plan.from_version, plan.to_version) == (
        "aliases",
        "dev",
        "v1.2.0",
        "v1.1.0",
    )
    assert plan.refusals == ()
    assert len(plan.digest) == 64
    assert world.functions.writes == []
    assert world.session().leases.holders() == {}


def test_a_refused_plan_is_given_back_and_is_carried_out_by_nobody(world: World) -> None:
    world.story()
    world.functions.point(world.names[0], world.functions.publish(world.names[0]))
    env = opened(world)

    plan = env.functions.plan()

    assert [refusal.subject for refusal in plan.refusals] == [world.names[0]]
    with pytest.raises(Refused, check=coded(Code.PLAN_REFUSED)):
        env.functions.roll_back(plan, reason=REASON)
    assert world.functions.writes == []


def test_a_plan_that_is_handed_over_is_carried_out_verified_and_recorded(world: World) -> None:
    world.story()
    env = opened(world)
    plan = env.functions.plan()

    result = env.functions.roll_back(plan, reason=REASON)

    assert (result.status, result.waiting) == (Status.COMPLETE, None)
    assert {outcome["outcome"] for outcome in result.outcomes} == {"moved"}
    assert set(world.versions().values()) == {"2"}
    assert result.record is not None
    assert (result.record.digest, result.record.reason) == (plan.digest, REASON)
    assert env.show(result.rollback_id).record == result.record
    assert env.history(1).moments[0].what == result.rollback_id
    assert {service.stands for service in env.status().services} == {"v1.1.0"}
    assert env.verify().ok
    assert env.audit().findings == ()
    assert env.functions.plan(to="v1.1.0").changes == ()
    again = env.functions.roll_back(env.functions.plan(to="v1.1.0"), reason=REASON)
    assert (again.status, again.record) == ("NOTHING_TO_DO", None)


def test_what_has_moved_since_it_was_shown_is_not_rolled_back(world: World) -> None:
    world.story()
    env = opened(world)
    plan = env.functions.plan()
    world.release("v1.3.0")
    world.record("v1.3.0")

    with pytest.raises(Refused, check=coded(Code.DIGEST_MISMATCH)):
        env.functions.roll_back(plan, reason=REASON)

    assert world.functions.writes == []
    assert world.session().leases.holders() == {}


@pytest.mark.parametrize(
    ("confirm", "status"),
    [
        (None, "AWAITING_CONFIRMATION"),
        (lambda _: None, "AWAITING_CONFIRMATION"),
        (lambda _: True, "COMPLETE"),
    ],
)
def test_a_request_is_confirmed_by_whoever_is_asked_and_a_plan_by_being_handed_over(
    world: World, confirm: Callable[[str], bool | None] | None, status: str
) -> None:
    for number in range(1, 6):
        world.release(f"v{number}")
        world.record(f"v{number}")
    env = opened(world, confirm=confirm)

    asked = env.roll_back(PruneRequest(keep=3), reason=REASON)

    assert asked.status == status
    assert (asked.waiting is not None) is (status == "AWAITING_CONFIRMATION")
    if asked.waiting is not None:
        assert asked.waiting.code is Code.AWAITING_CONFIRMATION
        assert asked.next == tuple(asked.waiting.next.splitlines())
        env.abort(asked.rollback_id)
    plan = env.prune.plan(keep=2)
    assert [deleted.number for step in plan.changes for deleted in step.delete]
    assert env.prune.roll_back(plan, reason=REASON).status == "COMPLETE"


def test_a_plan_that_the_person_declines_is_refused_and_its_record_aborted(world: World) -> None:
    for number in range(1, 6):
        world.release(f"v{number}")
        world.record(f"v{number}")
    env = opened(world, confirm=lambda _: False)

    with pytest.raises(Refused, check=coded(Code.CONFIRMATION_MISSING)) as declined:
        env.roll_back(PruneRequest(keep=3), reason=REASON)

    assert declined.value.result.status == "ABORTED"


@pytest.fixture
def pruned(world: World) -> World:
    """A platform in which there is something to prune, which a person has to confirm."""
    for number in range(1, 6):
        world.release(f"v{number}")
        world.record(f"v{number}")
    return world


@pytest.mark.finding("U5")
def test_a_question_that_is_cancelled_leaves_no_record_that_waits(pruned: World) -> None:
    def cancel(_: str) -> bool:
        raise Cancelled("Cancelled at the prompt.")

    with pytest.raises(Cancelled, check=coded(Code.CONFIRMATION_MISSING)) as cancelled:
        opened(pruned, confirm=cancel).roll_back(PruneRequest(keep=3), reason=REASON)

    result = cancelled.value.result
    assert (result.status, cancelled.value.exit_code) == (Status.ABORTED, 3)
    assert cancelled.value.changed == f"{result.rollback_id} is ABORTED, and nothing was changed."
    assert opened(pruned).record(result.rollback_id).status is Status.ABORTED
    assert opened(pruned).audit().findings == ()


def test_a_record_that_cannot_be_given_up_when_a_question_is_cancelled_is_named(pruned: World) -> None:
    there, broken = pruned.dynamodb, threading.Event()

    def transact(**asked: Any) -> Any:
        if broken.is_set():
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
        return there.transact_write_items(**asked)

    def cancel(_: str) -> bool:
        broken.set()
        raise Cancelled("Cancelled at the prompt.")

    pruned.dynamodb = Instead(there, transact_write_items=transact)
    env = opened(pruned, confirm=cancel)

    with pytest.raises(Cancelled) as cancelled:
        env.roll_back(PruneRequest(keep=3), reason=REASON)

    pruned.dynamodb = there
    name = opened(pruned).identify("last")
    assert opened(pruned).record(name).status is Status.AWAITING_APPROVAL
    assert f"rollback abort {name} --env dev" in cancelled.value.next


@pytest.mark.finding("U5")
def test_who_stops_at_once_at_a_question_is_told_what_waits(pruned: World) -> None:
    ended: list[StoppedAtOnce] = []

    def ask(_: str) -> bool | None:
        ended.append(env.stopped_at_once())
        return None

    env = opened(pruned, confirm=ask)
    waiting = env.roll_back(PruneRequest(keep=3), reason=REASON)

    (error,) = ended
    assert waiting.rollback_id in error.changed
    assert error.next.startswith(f"rollback abort {waiting.rollback_id} --env dev  #")


def test_where_another_person_approves_it_waits_and_that_is_a_result(world: World) -> None:
    world.story()
    approved_by(world, None)  # the settings are committed, and ask for another's approval
    env = opened(world)
    plan = env.functions.plan()

    waiting = env.functions.roll_back(plan, reason=REASON)

    assert waiting.status == "AWAITING_APPROVAL"
    assert waiting.waiting is not None
    assert waiting.waiting.code is Code.AWAITING_APPROVAL
    assert world.functions.writes == []
    with pytest.raises(Refused, check=coded(Code.APPROVAL_MISSING)):
        env.apply(waiting.rollback_id)
    with pytest.raises(Refused, check=coded(Code.APPROVAL_REFUSED)):
        env.approve(waiting.rollback_id, plan.digest)
    approved = opened(world, BOB).approve(waiting.rollback_id, plan.digest[:16])
    assert approved.digest == plan.digest
    assert env.apply(waiting.rollback_id).status == "COMPLETE"


def test_an_error_of_a_rollback_that_had_begun_has_its_record(world: World) -> None:
    world.story()
    world.settings = world.settings.model_copy(
        update={"smoke": {"aliases": ("python", "-c", "raise SystemExit(1)")}}
    )
    env = opened(world)

    with pytest.raises(VerificationFailed, check=coded(Code.VERIFICATION_FAILED)) as raised:
        env.functions.roll_back(env.functions.plan(), reason=REASON)

    result = raised.value.result
    assert result.status == Status.FAILED
    assert [check.check for check in result.record.verification if not check.ok] == ["smoke"]
    world.settings = world.settings.model_copy(update={"smoke": {}})
    assert env.verify_again(result.rollback_id).status == "COMPLETE"


def test_a_plan_is_of_one_environment_and_one_kind(world: World) -> None:
    world.story()
    env = opened(world)
    plan = env.functions.plan()
    elsewhere = World(
        dynamodb=world.dynamodb,
        root=world.root,
        settings=world.settings.model_copy(update={"environment": "sit"}),
    )

    for wrong in (env.stack, opened(elsewhere).functions):
        with pytest.raises(UsageError, check=coded(Code.OPTION_INVALID)):
            wrong.roll_back(plan, reason=REASON)


def test_what_is_no_error_of_ours_has_a_code_all_the_same(world: World) -> None:
    world.story()

    def fail(operation: str, _: str) -> None:
        raise OSError(28, "No space left on device") if operation == "GetFunction" else KeyError(operation)

    world.functions.before = fail

    with pytest.raises(RollbackError) as raised:
        opened(world).functions.plan()

    assert raised.value.code in (Code.MACHINE_REFUSED, Code.UNEXPECTED)
    assert raised.value.__cause__ is not None


# -- progress ----------------------------------------------------------------------------------------------------------


def test_a_callback_hears_of_the_plan_and_of_all_work(world: World) -> None:
    world.story()
    heard: list[Event] = []
    env = opened(world, on_event=heard.append)

    env.functions.roll_back(env.functions.plan(), reason=REASON)

    shown = [event.plan for event in heard if isinstance(event, PlanMade)]
    assert [plan.to_version for plan in shown] == ["v1.1.0", "v1.1.0"], "once seen, once under the lease"
    begun = [event for event in heard if isinstance(event, WorkBegan)]
    assert len(begun) == sum(isinstance(event, WorkEnded) for event in heard)
    assert 3 in [event.total for event in begun]
    assert max(event.done for event in heard if isinstance(event, WorkProgressed)) == 3


def test_a_callback_that_fails_stops_no_rollback(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.story()

    def heard(event: Event) -> None:
        raise ValueError(event)

    env = opened(world, on_event=heard)

    assert env.functions.roll_back(env.functions.plan(), reason=REASON).status == "COMPLETE"
    assert {record.name for record in caplog.records} == {"rollback"}


def test_the_iterator_has_the_same_events_and_then_the_result(world: World) -> None:
    world.story()
    heard: list[Event] = []
    env = opened(world, on_event=heard.append)
    plan = env.functions.plan()
    heard.clear()

    with env.functions.rolling_back(plan, reason=REASON) as progress:
        events = list(progress)

    assert progress.result.status == "COMPLETE"
    assert isinstance(events[0], WorkBegan)
    assert any(isinstance(event, PlanMade) for event in events)
    assert heard == [], "who reads the iterator hears of it there"
    assert list(progress) == [], "it has ended"


def test_the_iterator_raises_what_the_operation_raises(world: World) -> None:
    progress = opened(world).following(lambda env: env.show("nothing"))

    with pytest.raises(UsageError, check=coded(Code.UNKNOWN_ROLLBACK)):
        list(progress)
    with pytest.raises(UsageError, check=coded(Code.UNKNOWN_ROLLBACK)):
        progress.result  # noqa: B018 - raises


def test_closed_early_it_stops_in_good_order_and_is_gone_on_with(world: World) -> None:
    world.story()
    env = opened(world)
    plan = env.functions.plan()
    closed = threading.Event()
    world.functions.before = lambda operation, _: (
        None if operation != "UpdateAlias" else _must(closed.wait(30))
    )

    progress = env.functions.rolling_back(plan, reason=REASON)
    for event in progress:
        if isinstance(event, WorkBegan) and event.total:
            break
    stopping = threading.Timer(0, closed.set)
    progress._stop.set()  # as `close` does, which then waits
    stopping.start()
    progress.close()

    with pytest.raises(RollbackError, check=coded(Code.INTERRUPTED)) as raised:
        progress.result  # noqa: B018 - raises
    stopped = raised.value.result
    assert stopped.status == Status.IN_PROGRESS
    assert env.stop.is_set() is False, "the environment goes on"
    assert env.resume(stopped.rollback_id).status == "COMPLETE"


def test_an_iterator_that_is_dropped_asks_to_stop(world: World) -> None:
    world.story()
    env = opened(world)
    plan = env.functions.plan()
    moving = threading.Event()
    dropped = threading.Event()

    def hold(operation: str, _: str) -> None:
        if operation == "UpdateAlias":
            moving.set()
            _must(dropped.wait(30))

    world.functions.before = hold
    progress = env.functions.rolling_back(plan, reason=REASON)
    thread = progress._thread
    _must(moving.wait(30))
    del progress
    dropped.set()
    thread.join()

    assert env.history(1).moments[0].result == Status.IN_PROGRESS


def test_once_it_is_asked_to_stop_nothing_is_begun(world: World) -> None:
    world.story()
    stop = threading.Event()
    env = opened(world, stop=stop)
    plan = env.functions.plan()
    stop.set()

    with pytest.raises(RollbackError, check=coded(Code.INTERRUPTED)):
        env.functions.roll_back(plan, reason=REASON)

    assert world.functions.writes == []
    assert world.session().leases.holders() == {}


def cut_off(world: World, error: Exception, *, everywhere: bool) -> Callable[[], None]:
    """From the second UpdateAlias on, the ledger raises `error`, and Lambda too if it is `everywhere`. Returns what
    ends that.
    """
    there, gone = world.dynamodb, threading.Event()
    begun = itertools.count(1)

    def before(operation: str, _: str) -> None:
        if operation == "UpdateAlias" and next(begun) > 1:
            gone.set()
            if everywhere:
                raise error

    def cut(call: str) -> Callable[..., Any]:
        def through(**asked: Any) -> Any:
            if gone.is_set():
                raise error
            return getattr(there, call)(**asked)

        return through

    world.functions.before = before
    calls = ("get_item", "query", "update_item", "transact_write_items")
    world.dynamodb = Instead(there, **{call: cut(call) for call in calls})

    def end() -> None:
        world.functions.before, world.dynamodb = nothing, there

    return end


@pytest.mark.finding("B1")
@pytest.mark.finding("B11")
def test_credentials_that_expire_halfway_are_no_wrong_usage_and_the_record_is_continued(world: World) -> None:
    world.story()
    env = opened(world)
    plan = env.functions.plan()
    log_in_again = cut_off(world, client_error("UpdateAlias", "ExpiredTokenException"), everywhere=True)

    with pytest.raises(RollbackError, check=coded(Code.CREDENTIALS_INVALID)) as expired:
        env.functions.roll_back(plan, reason=REASON)

    log_in_again()
    name = env.identify("last")
    assert len(world.functions.writes) == 1, "a function was moved"
    assert (type(expired.value), expired.value.exit_code) == (RollbackError, 1)
    assert expired.value.changed.startswith("The record has what was done so far")
    login, resume, abort = expired.value.next.splitlines()
    assert login == "rollback login --env dev --role rollback"
    assert resume.startswith(f"rollback resume {name} --env dev  #")
    assert abort.startswith(f"rollback abort {name} --env dev  #")
    assert env.resume(name).status == "COMPLETE"


def test_what_is_refused_before_anything_is_done_stays_a_refusal(world: World) -> None:
    world.story()
    identifier = approved_by(world, BOB)
    env = opened(world)
    world.functions.before = lambda operation, _: _must(operation != "UpdateAlias")
    with pytest.raises(RollbackError, check=coded(Code.UNEXPECTED)):
        env.apply(identifier)
    assert env.record(identifier).status is Status.IN_PROGRESS

    with pytest.raises(Refused, check=coded(Code.WRONG_STATUS)) as refused:
        env.apply(identifier)

    assert (refused.value.exit_code, refused.value.changed) == (3, "Nothing was changed.")


@pytest.mark.finding("B4")
@pytest.mark.parametrize("deleted", [False, True])
def test_a_ledger_that_is_lost_halfway_leaves_the_way_to_continue_the_record(
    world: World, *, deleted: bool
) -> None:
    world.story()
    env = opened(world)
    plan = env.functions.plan()
    error = client_error("GetItem", "ResourceNotFoundException") if deleted else no_answer()
    available_again = cut_off(world, error, everywhere=False)

    with pytest.raises(RollbackError) as lost:
        env.functions.roll_back(plan, reason=REASON)

    available_again()
    name = env.identify("last")
    assert lost.value.code is (Code.LEDGER_MISSING if deleted else Code.LEDGER_UNREACHABLE)
    assert len(world.functions.writes) == 3
    assert {event.kind for event in env.show(name).events} == {"planned"}, "not all is in the record"
    assert "resume" in lost.value.changed, "what detects the rest"
    lines = lost.value.next.splitlines()
    (relief,) = (at for at, line in enumerate(lines) if line.startswith("rollback lambda --emergency "))
    (resume,) = (at for at, line in enumerate(lines) if line.startswith(f"rollback resume {name} --env dev "))
    (abort,) = (at for at, line in enumerate(lines) if line.startswith(f"rollback abort {name} --env dev "))
    assert (relief < resume < abort) if deleted else (resume < abort < relief)
    assert env.resume(name).status == "COMPLETE"


@pytest.mark.finding("B4")
def test_an_interrupted_resume_counts_only_what_it_knows_and_says_so(world: World) -> None:
    world.story()
    env = opened(world)
    plan = env.functions.plan()
    available_again = cut_off(world, no_answer(), everywhere=False)
    with pytest.raises(RollbackError, check=coded(Code.LEDGER_UNREACHABLE)):
        env.functions.roll_back(plan, reason=REASON)
    available_again()
    assert len(world.functions.writes) == 3
    # One function, and then Ctrl-C.
    world.functions.before = lambda operation, _: env.stop.set() if operation == "UpdateAlias" else None

    with pytest.raises(RollbackError, check=coded(Code.INTERRUPTED)) as interrupted:
        env.resume("last")

    counts = interrupted.value.result.record.counts
    assert counts["moved"] < counts["planned"] == 3, "all are moved, and not all are in the record"
    assert interrupted.value.changed.startswith(f"At least {counts['moved']} of 3 ")


# -- what a process notices of it --------------------------------------------------------------------------------------


def test_it_works_in_threads_in_several_environments_at_once_and_again(world: World, tmp_path: Path) -> None:
    other = World(dynamodb=world.dynamodb, root=tmp_path, settings=world.settings)
    results: list[str] = []
    env = opened(world)
    world.story()

    def back(to: str) -> None:
        results.append(env.functions.roll_back(env.functions.plan(to=to), reason=REASON).status)

    for to in ("v1.1.0", "v1.0.0"):
        thread = threading.Thread(target=back, args=(to,))
        thread.start()
        thread.join()
    reading = [
        threading.Thread(target=lambda one=one: results.append(str(len(one.releases.list()))))
        for one in (env, opened(other))
    ]
    for each in reading:
        each.start()
    for each in reading:
        each.join()

    assert results == ["COMPLETE", "COMPLETE", "3", "3"]


def test_two_rollbacks_at_once_in_one_process_are_one_and_a_refusal(world: World) -> None:
    world.story()
    codes: list[str] = []
    both = threading.Barrier(2, timeout=30)
    envs = [opened(world, BOB if number else ALICE) for number in range(2)]
    plans = [env.functions.plan() for env in envs]

    def back(number: int) -> None:
        both.wait()
        try:
            codes.append(envs[number].functions.roll_back(plans[number], reason=REASON).status)
        except Refused as error:
            codes.append(error.code)

    threads = [threading.Thread(target=back, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(codes) in (
        ["COMPLETE", "LEASE_HELD"],
        ["COMPLETE", "DIGEST_MISMATCH"],
        ["COMPLETE", "NOTHING_TO_DO"],
    )
    assert len(world.functions.writes) == len(world.names)


def test_nothing_is_printed_and_the_process_is_as_it_was(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.story()
    env = opened(world)
    before = _process()

    env.functions.roll_back(env.functions.plan(), reason=REASON)
    env.status()
    env.report()
    with pytest.raises(UsageError):
        env.show("nothing")
    env.close()

    assert _process() == before
    assert capfd.readouterr() == ("", "")


def test_everything_of_a_release_and_a_freeze_is_there_for_a_script(world: World) -> None:
    world.story()
    env = opened(world)

    assert [release.version for release in env.releases.list()] == ["v1.2.0", "v1.1.0", "v1.0.0"]
    assert env.releases.quarantine("v1.1.0", reason="leaks") == ("teams", "roles")
    assert env.functions.plan().to_version == "v1.0.0"
    assert set(env.releases.lift("v1.1.0", reason="it does not")) == {"teams", "roles"}
    assert env.functions.plan().to_version == "v1.1.0"
    frozen = env.freeze("a fair")
    assert isinstance(frozen, Freeze)
    with pytest.raises(Refused, check=coded(Code.FROZEN)):
        opened(world, BOB).functions.roll_back(env.functions.plan(), reason=REASON)
    assert env.unfreeze("it is over") == frozen
    assert env.required_approval("aliases") == "none"


def _process() -> tuple[Any, ...]:
    """What a library must leave alone."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)]
    return (*handlers, gc.isenabled(), gc.get_freeze_count(), Path.cwd(), dict(os.environ))


def _must(done: bool) -> None:
    assert done, "nobody asked it to stop"
