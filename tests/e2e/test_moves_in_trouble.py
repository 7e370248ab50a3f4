"""What can happen to a move: a lost answer, a throttle, a canary, somebody else's release."""

from __future__ import annotations

import pytest

from tests.e2e.estate_under_test import ALICE, FUNCTIONS, REASON, Platform, Run
from tests.proxy import Proxy

VICTIM = "team-service-get"
OTHERS = [tail for tail in FUNCTIONS if tail != VICTIM]


def test_a_lost_answer_is_read_again_and_accepted_without_a_second_write(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    proxy.drop_answer("UpdateAlias", function=dev.name(VICTIM))

    run = _roll_back(dev, proxy)

    assert run.code == 0, str(run)
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")
    assert proxy.answered["UpdateAlias", 200] == len(FUNCTIONS), "one write each"
    assert proxy.answered["UpdateAlias", 412] == 1, "the retry, which found it done"
    assert proxy.counts["GetAlias"] == 1 + len(FUNCTIONS), "and one each to verify it"
    assert dev.event_kinds(run.id) == ["planned", "moved", "closed"]


def test_without_trouble_each_alias_is_written_once_and_read_by_nothing_else(
    dev: Platform, proxy: Proxy
) -> None:
    dev.story()

    run = _roll_back(dev, proxy)

    assert run.code == 0, str(run)
    assert proxy.counts["UpdateAlias"] == len(FUNCTIONS)
    assert proxy.counts["GetAlias"] == len(FUNCTIONS), "after the last move: only this shows weights"
    assert proxy.counts["ListVersionsByFunction"] == 0


def test_a_throttled_move_is_tried_again(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    proxy.refuse("UpdateAlias", status=429, code="TooManyRequestsException", times=2)

    run = _roll_back(dev, proxy)

    assert run.code == 0, str(run)
    assert run.json["counts"]["moved"] == len(FUNCTIONS)
    assert proxy.counts["UpdateAlias"] == len(FUNCTIONS) + 2
    assert run.err.index("Lambda throttles calls") < run.err.index("Lambda throttled 2 calls")


def test_a_throttled_read_is_tried_again(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    proxy.refuse("GetFunction", status=429, code="TooManyRequestsException", times=3)

    run = _roll_back(dev, proxy)

    assert run.code == 0, str(run)


@pytest.mark.soak  # tests/unit/targets/aliases/test_target.py reverts a write without an answer
def test_a_move_that_gets_no_answer_at_all_is_reverted_as_well(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    proxy.drop_answer("UpdateAlias", times=1, function=dev.name(VICTIM))
    proxy.refuse(
        "UpdateAlias", status=500, code="ServiceException", nth=2, times=4, function=dev.name(VICTIM)
    )

    run = _roll_back(dev, proxy)

    assert run.code == 4, str(run)
    assert run.json["status"] == "REVERTED"
    assert VICTIM in run.err
    assert dev.live() == dict.fromkeys(FUNCTIONS, ("3", {})), "what was done without an answer, too"
    assert dev.deployed() == "v1.2.0"


@pytest.mark.finding("F4")
def test_weights_that_nobody_recorded_end_it_and_are_cleared_where_a_person_says_so(
    dev: Platform, proxy: Proxy
) -> None:
    dev.story()
    dev.move(VICTIM, "3", {"2": 0.1})
    canary = {**dict.fromkeys(OTHERS, ("3", {})), VICTIM: ("3", {"2": 0.1})}

    run = _roll_back(dev, proxy)

    assert run.code == 4, str(run)
    assert dev.live() == canary
    assert f"{dev.name(VICTIM)}: somebody else changed its weights: 10% to version 2" in run.err
    assert "rollback lambda --env dev --adopt-current --reason" in run.err
    dev.smoke_command(1)
    again = dev.rollback("lambda", "--adopt-current", "--reason", REASON, "--json", as_=ALICE)
    assert again.code == 5, str(again)
    assert dev.live() == dict.fromkeys(FUNCTIONS, ("2", {}))
    undone = dev.rollback("abort", again.id, "--json", as_=ALICE)
    assert undone.code == 0, str(undone)
    assert dev.live() == canary


@pytest.mark.soak  # tests/unit/targets/aliases/test_target.py confirms a stale revision at the plan's end
def test_an_alias_that_somebody_has_moved_to_the_target_already_is_confirmed(
    dev: Platform, proxy: Proxy
) -> None:
    dev.story()
    proxy.meanwhile("UpdateAlias", lambda: dev.move(VICTIM, "2"), function=dev.name(VICTIM))

    run = _roll_back(dev, proxy)

    assert run.code == 0, str(run)
    assert dev.live() == dict.fromkeys(FUNCTIONS, ("2", {}))


def test_somebody_elses_release_during_the_moves_is_kept_named_and_the_rest_reverted(
    dev: Platform, proxy: Proxy
) -> None:
    dev.story()
    proxy.meanwhile("UpdateAlias", lambda: dev.move(VICTIM, "1"), function=dev.name(VICTIM))

    run = _roll_back(dev, proxy)

    assert run.code == 4, str(run)
    assert run.json["status"] == "REVERTED"
    assert f"{dev.name(VICTIM)}: somebody else changed it to version 1" in run.err
    assert dev.versions() == {**dict.fromkeys(OTHERS, "3"), VICTIM: "1"}
    assert dev.deployed() == "v1.2.0"
    outcomes = {item["name"]: item["outcome"] for item in run.json["functions"]}
    assert outcomes[dev.name(VICTIM)] == "failed"
    assert set(outcomes.values()) <= {"failed", "reverted", "untouched"}
    again = dev.rollback("lambda", "--reason", REASON, as_=ALICE)
    assert again.code == 3, "and it is known as moved by somebody, until a person says otherwise"


@pytest.mark.soak  # tests/unit/targets/aliases/test_target.py has a function vanish
def test_an_alias_that_is_deleted_during_the_moves_is_named(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    delete = dev.root_client("lambda").delete_alias
    proxy.meanwhile(
        "UpdateAlias",
        lambda: delete(FunctionName=dev.name(VICTIM), Name="live"),
        function=dev.name(VICTIM),
    )

    run = _roll_back(dev, proxy)

    assert run.code == 4, str(run)
    assert f"{dev.name(VICTIM)}: the function, its alias or version 2 no longer exists" in run.err
    client = dev.root_client("lambda")
    deployed = {
        client.get_alias(FunctionName=dev.name(tail), Name="live")["FunctionVersion"] for tail in OTHERS
    }
    assert deployed == {"3"}


def test_a_release_that_is_recorded_during_the_moves_is_refused(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    held = proxy.hold("UpdateAlias")
    running = dev.start("lambda", "--reason", REASON, "--json", as_=ALICE, endpoint=proxy.endpoint)
    held.wait()

    recorded = dev.record("v1.3.0")
    held.release()
    run = running.finish()

    assert recorded.code == 3, str(recorded)
    assert "holds the lease on dev/aliases" in recorded.err
    assert run.code == 0, str(run)


def test_the_table_that_answers_late_costs_nothing_but_time(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    proxy.refuse("TransactWriteItems", status=500, code="InternalServerError", times=2)
    proxy.refuse("Query", status=400, code="ThrottlingException", times=2)

    run = _roll_back(dev, proxy)

    assert run.code == 0, str(run)
    assert dev.show(run.id)["chain"] == "whole"


def test_a_record_whose_writing_got_no_answer_is_written_once(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    proxy.drop_answer("TransactWriteItems", times=2)
    proxy.drop_answer("UpdateItem", times=1)

    run = _roll_back(dev, proxy)

    assert run.code == 0, str(run)
    assert dev.show(run.id)["chain"] == "whole"
    assert dev.event_kinds(run.id) == ["planned", "moved", "closed"]
    assert dev.rollback("status", "--json", as_=ALICE).json["holders"] == {}


@pytest.mark.soak  # tests/unit/targets/aliases/test_target.py overwrites nobody's canary, wherever it is
@pytest.mark.finding("F4")
def test_a_canary_that_was_begun_after_the_approval_is_kept(prod: Platform, proxy: Proxy) -> None:
    prod.story()
    waiting = prod.waiting()
    prod.approve(waiting)
    prod.move(VICTIM, "3", {"2": 0.2})

    run = prod.rollback("apply", waiting.id, "--json", as_=ALICE, endpoint=proxy.endpoint)

    assert run.code == 4, str(run)
    assert prod.live() == {**dict.fromkeys(OTHERS, ("3", {})), VICTIM: ("3", {"2": 0.2})}
    assert run.json["status"] == "REVERTED"


@pytest.mark.finding("S3")
def test_a_version_that_nobody_has_invoked_for_long_is_woken_under_the_role_and_then_moved(
    dev: Platform, proxy: Proxy
) -> None:
    dev.story()
    dev.idle(VICTIM, "2")

    dry = dev.rollback("lambda", "--reason", REASON, "--dry-run", as_=ALICE)
    run = _roll_back(dev, proxy)

    assert dry.code == 0, str(dry)
    assert "Inactive" in dry.out + dry.err
    assert run.code == 0, str(run)
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")
    assert dev.event_kinds(run.id) == ["planned", "waking", "moved", "closed"]
    assert proxy.counts["Invoke"] == 1


@pytest.mark.soak  # tests/unit/targets/aliases/test_target.py has a version that does not wake
@pytest.mark.finding("S3")
def test_a_version_that_cannot_be_woken_reverts_what_was_moved(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    dev.idle(VICTIM, "2", ends="Failed")

    run = _roll_back(dev, proxy)

    assert run.code == 4, str(run)
    assert f"{dev.name(VICTIM)}: version 2 is Failed" in run.err
    assert dev.live() == dict.fromkeys(FUNCTIONS, ("3", {}))


@pytest.mark.soak  # tests/unit/targets/aliases/test_target.py wakes versions on the way back
@pytest.mark.finding("S3")
def test_what_has_become_inactive_meanwhile_is_woken_on_the_way_back(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    proxy.refuse("PutParameter", status=400, code="ValidationException", times=1)
    failed = _roll_back(dev, proxy)
    dev.idle(VICTIM, "3")

    run = dev.rollback("abort", failed.id, "--reason", REASON, as_=ALICE, endpoint=proxy.endpoint)

    assert failed.code == 5, str(failed)
    assert run.code == 0, str(run)
    assert dev.live() == dict.fromkeys(FUNCTIONS, ("3", {}))
    assert proxy.counts["Invoke"] == 1
    kinds = dev.event_kinds(failed.id)
    assert kinds[kinds.index("reverting") + 1] == "waking"


def _roll_back(dev: Platform, proxy: Proxy) -> Run:
    return dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE, endpoint=proxy.endpoint)
