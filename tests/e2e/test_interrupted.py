"""Ctrl-C and SIGKILL before, during and after the moves: the record tells the truth and is gone on from.

The proxy holds the request that the process is at, so that the moment is certain.
"""

from __future__ import annotations

import os
import signal

import pytest

from rollback.config.naming import ROLLBACK
from tests.e2e.estate_under_test import ALICE, DAN, FUNCTIONS, REASON, Person, Platform, Running
from tests.proxy import Proxy

CAROL = Person(role=ROLLBACK, name="carol")
CANARY = "role-service-get"
START = {**dict.fromkeys(FUNCTIONS, ("3", {})), CANARY: ("3", {"2": 0.25})}
GOAL = dict.fromkeys(FUNCTIONS, ("2", {}))


@pytest.fixture
def killed(dev: Platform, proxy: Proxy) -> str:
    """The id of a rollback whose process got SIGKILL during the moves; what it had sent arrives later.

    Every other moment is a case of `test_crash_points.py`.
    """
    dev.story()
    dev.move(CANARY, *START[CANARY])
    held = proxy.hold("UpdateAlias", nth=4)
    # It starts from the canary, which no record knows: its weights are the plan's, and come back.
    running = _start(dev, proxy, "--adopt-current")
    held.wait(3)

    run = running.kill()

    assert run.code == -signal.SIGKILL
    held.release()
    return str(next(item for item in dev.items() if item["PK"] == "LOCK#dev")["owner"])


def test_resume_from_another_clone_finishes_what_a_killed_process_began(dev: Platform, killed: str) -> None:
    _is_truthful(dev, killed)

    run = dev.rollback("resume", killed, "--json", as_=CAROL, cwd=dev.clone())

    assert run.code == 0, str(run)
    assert run.json["status"] == "COMPLETE"
    assert dev.live() == GOAL
    assert dev.deployed() == "v1.1.0"
    _is_over(dev, killed)


def test_abort_from_another_clone_restores_versions_and_weights(dev: Platform, killed: str) -> None:
    _is_truthful(dev, killed)

    run = dev.rollback("abort", killed, "--reason", "no", "--json", as_=CAROL, cwd=dev.clone())

    assert run.code == 0, str(run)
    assert run.json["status"] == "REVERTED"
    assert dev.live() == START
    assert dev.deployed() == "v1.2.0"
    _is_over(dev, killed)


@pytest.mark.soak  # test_advice.py has a process killed there, and types what is advised
def test_killed_before_its_record_was_written_it_leaves_a_lease_that_abort_frees(
    dev: Platform, proxy: Proxy
) -> None:
    dev.story()
    held = proxy.hold("TransactWriteItems")
    running = _start(dev, proxy)
    held.wait()
    running.kill()
    held.release(forward=False)
    before = dev.live()
    quarantined = dev.rollback("lambda", "--reason", REASON, as_=CAROL)
    owner = str(next(item for item in dev.items() if item["PK"] == "LOCK#dev")["owner"])
    assert quarantined.code == 3, str(quarantined)
    assert f"rollback abort {owner} --env dev" in quarantined.err

    resumed = dev.rollback("resume", owner, as_=CAROL)
    freed = dev.rollback("abort", owner, "--json", as_=CAROL)

    assert resumed.code in (2, 3), str(resumed)
    assert f"rollback abort {owner} --env dev" in resumed.err, "what to type next must be said"
    assert freed.code == 0, str(freed)
    assert dev.live() == before
    assert dev.rollback("lambda", "--reason", REASON, as_=CAROL).code == 0


@pytest.mark.soak  # tests/integration/actions/test_lifecycle_killed.py kills at any write
def test_killed_at_its_very_end_it_leaves_nothing_behind(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    held = proxy.hold_answers("TransactWriteItems", containing=b'"closed"')
    running = _start(dev, proxy)
    held.wait()

    running.kill()

    record = dev.rollback("history", "--json", as_=ALICE).json[0]
    assert record["status"] == "COMPLETE"
    again = dev.rollback("lambda", "--reason", "further", "--json", as_=ALICE)
    assert again.code == 0, str(again)
    assert again.json["to_version"] == "v1.0.0"


@pytest.mark.soak  # tests/integration/actions/test_lifecycle_killed.py aborts an abort that was killed at any write
def test_killed_during_its_undo_abort_goes_on(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    dev.move(CANARY, *START[CANARY])
    dev.smoke_command(1)
    failed = dev.rollback("lambda", "--adopt-current", "--reason", REASON, "--json", as_=ALICE)
    held = proxy.hold("UpdateAlias", nth=3)
    aborting = dev.start("abort", failed.id, "--json", as_=ALICE, endpoint=proxy.endpoint)
    held.wait(len(FUNCTIONS) - 2)
    aborting.kill()
    held.release(forward=False)
    shown = dev.show(failed.id)
    assert shown["status"] == "IN_PROGRESS"

    run = dev.rollback("abort", failed.id, "--json", as_=CAROL)

    assert run.code == 0, str(run)
    assert dev.live() == START
    _is_over(dev, failed.id)


def test_resume_does_not_go_forward_again_once_it_was_being_rolled_back(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    dev.smoke_command(1)
    failed = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
    held = proxy.hold("UpdateAlias", nth=3)
    aborting = dev.start("abort", failed.id, "--json", as_=ALICE, endpoint=proxy.endpoint)
    held.wait(len(FUNCTIONS) - 2)
    aborting.kill()
    held.release(forward=False)

    run = dev.rollback("resume", failed.id, "--json", as_=CAROL)

    assert run.json["status"] == "REVERTED", str(run)
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "3")


def test_nobody_takes_over_from_a_process_that_lives(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    dev.configure(leaseSeconds=20)  # longer than this machine stands still
    held = proxy.hold("UpdateAlias")
    running = _start(dev, proxy)
    held.wait()
    owner = str(next(item for item in dev.items() if item["PK"] == "LOCK#dev")["owner"])

    runs = [dev.rollback(verb, owner, as_=CAROL) for verb in ("resume", "abort")]
    held.release()
    first = running.finish()

    assert [run.code for run in runs] == [3, 3], "\n".join(map(str, runs))
    assert all("holds the lease" in run.err for run in runs)
    assert first.code == 0, str(first)
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")


@pytest.mark.soak  # test_crash_points.py stops one at any call
def test_a_paused_process_that_wakes_up_after_a_takeover_moves_nothing(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    held = proxy.hold("UpdateAlias", nth=4)
    running = _start(dev, proxy)
    held.wait(3)
    lease = next(item for item in dev.items() if item["PK"] == "LOCK#dev")
    owner, pid = str(lease["owner"]), int(lease["holder"]["pid"])
    os.kill(pid, signal.SIGSTOP)
    aborted = dev.rollback("abort", owner, "--json", as_=CAROL)
    assert aborted.code == 0, str(aborted)
    settled = dev.everything()

    held.release()
    os.kill(pid, signal.SIGCONT)
    woken = running.finish()

    assert woken.code not in (0, 5), str(woken)
    assert "Traceback" not in woken.err
    assert dev.everything() == settled


def test_ctrl_c_before_the_moves_changes_nothing(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    before = dev.everything()
    held = proxy.hold("GetFunction")
    running = _start(dev, proxy)
    held.wait()

    running.interrupt()
    held.release()
    run = running.finish()

    assert run.code == 1, str(run)
    assert "[INTERRUPTED]" in run.err
    assert "Nothing was changed." in run.err
    assert dev.everything() == before
    assert dev.rollback("lambda", "--reason", REASON, as_=ALICE).code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_during_the_moves_lets_those_under_way_end_and_shows_what_to_type(
    dev: Platform, proxy: Proxy, number: int
) -> None:
    dev.story()
    held = proxy.hold("UpdateAlias", nth=4)
    running = _start(dev, proxy)
    held.wait(3)

    running.process.send_signal(number)
    held.release()
    run = running.finish()

    assert run.code == 1, str(run)
    assert "Stopping gracefully" in run.err
    identifier = run.id
    assert f"rollback resume {identifier} --env dev" in run.screen
    assert f"rollback abort {identifier} --env dev" in run.screen
    _is_truthful(dev, identifier)
    resumed = dev.rollback("resume", identifier, "--json", as_=CAROL)
    assert resumed.code == 0, str(resumed)
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")
    _is_over(dev, identifier)


@pytest.mark.soak  # tests/integration/actions/test_lifecycle.py has an interrupted one refuse others until it is resumed
def test_an_interrupted_rollback_blocks_another_until_it_is_resumed_or_aborted(
    dev: Platform, proxy: Proxy
) -> None:
    dev.story()
    held = proxy.hold("UpdateAlias", nth=4)
    running = _start(dev, proxy)
    held.wait(3)
    running.interrupt()
    held.release()
    identifier = running.finish().id

    others = [dev.rollback("lambda", "--reason", "other", as_=CAROL), dev.record("v1.3.0", as_=DAN)]

    assert [run.code for run in others] == [3, 3], "\n".join(map(str, others))
    assert all(f"rollback resume {identifier} --env dev" in run.screen for run in others)
    aborted = dev.rollback("abort", identifier, "--json", as_=CAROL)
    assert aborted.code == 0, str(aborted)
    assert dev.live() == dict.fromkeys(FUNCTIONS, ("3", {}))


@pytest.mark.finding("P8")
def test_a_second_ctrl_c_after_the_last_move_names_the_record_too(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    held = proxy.hold("UpdateAlias", nth=4)
    parked = proxy.hold("UpdateItem", containing=b"SET parked_at")
    running = _start(dev, proxy)
    held.wait(3)
    running.interrupt()
    running.wait_for("Press Ctrl-C again to stop at once")
    held.release()
    parked.wait()

    running.interrupt()
    run = running.finish(15)

    assert run.code == 130, str(run)
    parked.release()
    identifier = str(next(item for item in dev.items() if item["PK"] == "LOCK#dev")["owner"])
    assert f"rollback resume {identifier} --env dev" in run.screen
    assert f"rollback abort {identifier} --env dev" in run.screen
    resumed = dev.rollback("resume", identifier, "--json", as_=CAROL)
    assert resumed.code == 0, str(resumed)
    _is_over(dev, identifier)


@pytest.mark.soak  # test_a_second_ctrl_c_after_the_last_move_names_the_record_too presses it twice as well
def test_ctrl_c_twice_ends_at_once_and_the_record_is_gone_on_from(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    held = proxy.hold("UpdateAlias", nth=4)
    running = _start(dev, proxy)
    held.wait(3)

    running.interrupt()
    running.wait_for("Press Ctrl-C again to stop at once")
    running.interrupt()
    run = running.finish(15)

    assert run.code == 130, str(run)
    assert "Traceback" not in run.err
    held.release()
    identifier = str(next(item for item in dev.items() if item["PK"] == "LOCK#dev")["owner"])
    assert f"rollback resume {identifier} --env dev" in run.screen
    resumed = dev.rollback("resume", identifier, "--json", as_=CAROL)
    assert resumed.code == 0, str(resumed)
    assert dev.versions() == dict.fromkeys(FUNCTIONS, "2")
    _is_over(dev, identifier)


@pytest.mark.soak  # tests/integration/actions/test_lifecycle.py asks to stop before, amid and after the moves
def test_ctrl_c_during_the_smoke_test_leaves_a_record_that_resume_finishes(
    dev: Platform, proxy: Proxy
) -> None:
    dev.story()
    held = proxy.hold("PutParameter")
    running = _start(dev, proxy)
    held.wait()

    running.interrupt()
    held.release()
    run = running.finish()

    assert run.code == 1, str(run)
    assert dev.show(run.id)["status"] == "IN_PROGRESS"
    resumed = dev.rollback("resume", run.id, "--json", as_=CAROL)
    assert resumed.code == 0, str(resumed)
    _is_over(dev, run.id)


@pytest.mark.parametrize("arguments", [["history", "--json"], ["lambda", "--dry-run"]], ids=" ".join)
def test_one_ctrl_c_ends_what_only_reads(dev: Platform, proxy: Proxy, arguments: list[str]) -> None:
    dev.story()
    held = proxy.hold("Query")
    running = dev.start(*arguments, as_=ALICE, endpoint=proxy.endpoint)
    held.wait()

    running.interrupt()

    # What is asked for is not answered: nothing is waited for.
    run = running.finish(15)
    assert run.code == 130, str(run)
    assert "[ENDED]" in run.err or '"ENDED"' in run.err, str(run)
    assert "Nothing was changed." in run.err


def test_resume_and_abort_of_what_has_ended_are_refused(dev: Platform) -> None:
    dev.story()
    done = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
    before = dev.everything()

    runs = [dev.rollback(verb, done.id, as_=ALICE) for verb in ("resume", "abort", "apply", "verify")]

    assert [run.code for run in runs] == [3] * 4, "\n".join(map(str, runs))
    assert all("COMPLETE" in run.screen for run in runs)
    assert dev.everything() == before


# -- helpers -------------------------------------------------------------------------------------------------


def _start(dev: Platform, proxy: Proxy, *options: str) -> Running:
    return dev.start("lambda", *options, "--reason", REASON, "--json", as_=ALICE, endpoint=proxy.endpoint)


def _is_truthful(dev: Platform, identifier: str) -> None:
    """Nothing is half-moved without the record saying so, and it says what to type next."""
    shown, status = dev.rollback("show", identifier, as_=ALICE), dev.rollback("status", as_=ALICE)
    document = dev.show(identifier)
    live = {dev.name(tail): version for tail, (version, _) in dev.live().items()}
    assert document["status"] == "IN_PROGRESS"
    assert document["chain"] == "whole"
    for item in document["functions"]:
        assert live[item["name"]] in (item["from"], item["to"])
        assert item["outcome"] != "moved" or live[item["name"]] == item["to"]
    for run in (shown, status):
        assert run.code == 0, str(run)
        assert f"rollback resume {identifier} --env dev" in run.screen
        assert f"rollback abort {identifier} --env dev" in run.screen


def _is_over(dev: Platform, identifier: str) -> None:
    """The record is closed and whole, and the lease is free for the next."""
    assert dev.show(identifier)["chain"] == "whole"
    assert dev.rollback("status", "--json", as_=ALICE).json["holders"] == {}
