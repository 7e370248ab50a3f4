"""What `status` says to type next is typed, line by line, by the people who may."""

from __future__ import annotations

import shlex

import pytest

from rollback.config.naming import ROLLBACK
from tests.e2e.estate_under_test import ALICE, BOB, DAN, FUNCTIONS, REASON, Person, Platform, Run
from tests.proxy import Proxy

CAROL = Person(role=ROLLBACK, name="carol")


def status(dev: Platform) -> tuple[str, list[str]]:
    """The state, and the lines that are advised."""
    run = dev.rollback("status", "--json", as_=ALICE)
    assert run.code == 0, str(run)
    return run.json["state"], run.json["next"]


def type_in(dev: Platform, line: str, person: Person) -> Run:
    """A line as it is printed."""
    program, *arguments = shlex.split(line)
    assert program == "rollback"
    return dev.rollback(*arguments, as_=person, env=False)


@pytest.mark.finding("U1")
@pytest.mark.finding("U3")
def test_an_unrecorded_deployment_is_rolled_back_to_what_was_recorded_and_then_there_is_nothing_to_do(
    dev: Platform,
) -> None:
    assert dev.record("v1.0.0").code == 0
    dev.release("v1.1.0")
    assert status(dev) == ("HEALTHY", [])
    recorded = dev.live()
    dev.deploy("v1.2.0")

    state, (line, *more) = status(dev)
    run = type_in(dev, line, ALICE)

    assert state == "DRIFT"
    # Beside it, should v1.1.0 be the bad one.
    assert [text.partition(" --reason")[0] for text in more] == [
        "rollback lambda --env dev --to v1.0.0 --adopt-current"
    ]
    assert run.code == 0, str(run)
    assert dev.live() == recorded
    assert dev.deployed() == "v1.1.0"
    assert status(dev) == ("HEALTHY", [])


@pytest.mark.soak  # tests/simulation/test_advice.py: no advised line is refused, whatever has happened
@pytest.mark.finding("M2")
def test_a_quarantined_release_that_is_deployed_again_is_named_and_rolled_back(dev: Platform) -> None:
    dev.story()
    bad = dev.live()
    assert dev.rollback("lambda", "--reason", REASON, as_=ALICE).code == 0
    good = dev.live()
    for tail, (version, _) in bad.items():
        dev.move(tail, version)

    state, (line, *more) = status(dev)
    run = type_in(dev, line, ALICE)

    assert (state, more) == ("DRIFT_TO_QUARANTINED", [])
    assert run.code == 0, str(run)
    assert dev.live() == good


@pytest.mark.soak  # tests/integration/actions/test_advice.py shows it with what to do
@pytest.mark.finding("U2")
def test_a_rollback_that_failed_in_verification_is_shown_with_every_way_on(dev: Platform) -> None:
    dev.story()
    before = dev.live()
    dev.smoke_command(1)
    failed = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
    assert failed.code == 5, str(failed)

    state, lines = status(dev)

    assert state == "NOT_VERIFIED"
    assert [line.split()[1] for line in lines] == ["verify", "abort", "lambda"]
    assert "--to v1.0.0" in lines[2]
    assert type_in(dev, lines[0], CAROL).code == 5, "it is not mended"
    undone = type_in(dev, lines[1], CAROL)
    assert undone.code == 0, str(undone)
    assert dev.live() == before
    assert status(dev) == ("HEALTHY", [])


@pytest.mark.finding("F6")
def test_killed_right_after_it_took_the_lease_only_what_works_is_advised(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    held = proxy.hold("TransactWriteItems")
    running = dev.start("lambda", "--reason", REASON, as_=ALICE, endpoint=proxy.endpoint)
    held.wait()
    running.kill()
    held.release(forward=False)

    refused = dev.rollback("lambda", "--reason", REASON, as_=CAROL)
    state, lines = status(dev)

    assert state == "ORPHANED", "its process is looked for where it ran"
    assert [line.split()[1] for line in lines] == ["abort"]
    assert refused.code == 3
    assert lines[0] in refused.err
    assert "rollback resume" not in refused.err
    freed = type_in(dev, lines[0], CAROL)
    assert freed.code == 0, str(freed)
    assert status(dev) == ("HEALTHY", [])


@pytest.mark.finding("U9")
def test_who_runs_is_told_from_who_is_dead(dev: Platform, proxy: Proxy) -> None:
    dev.story()
    held = proxy.hold("UpdateAlias", nth=4)
    running = dev.start("lambda", "--reason", REASON, as_=ALICE, endpoint=proxy.endpoint)
    held.wait(3)

    alive, (line,) = status(dev)
    assert type_in(dev, line, CAROL).code == 0
    running.kill()
    held.release(forward=False)
    dead, lines = status(dev)
    finished = type_in(dev, lines[0], CAROL)

    assert (alive, dead) == ("RUNNING", "DEAD")
    assert [one.split()[1] for one in lines] == ["resume", "abort"]
    assert finished.code == 0, str(finished)
    assert dev.live() == dict.fromkeys(FUNCTIONS, ("2", {}))


@pytest.mark.finding("U4")
def test_an_approval_is_shown_before_it_is_applied(prod: Platform) -> None:
    prod.story()
    waiting = prod.waiting()

    state, lines = status(prod)
    approved = type_in(prod, lines[0], BOB)
    then, applying = status(prod)
    shown = prod.show(waiting.id)
    applied = type_in(prod, applying[0], ALICE)

    assert (state, then) == ("AWAITING_APPROVAL", "APPROVED")
    assert approved.code == 0, str(approved)
    assert (shown["status"], shown["approved_by"]["person"]) == ("AWAITING_APPROVAL", "bob")
    assert applied.code == 0, str(applied)
    assert status(prod) == ("HEALTHY", [])


@pytest.mark.finding("W5")
def test_a_commit_whose_release_is_quarantined_is_lifted_by_the_line_that_is_named(dev: Platform) -> None:
    dev.story()
    sha = "a" * 40
    assert dev.rollback("release", "quarantine", "v1.2.0", "--reason", "bad", as_=DAN).code == 0

    asked = dev.rollback("status", "--commit", sha, "--json", as_=DAN)
    by_commit = dev.rollback("release", "lift", sha[:12], "--reason", "so", "--json", as_=DAN)

    assert (asked.code, by_commit.code) == (3, 3)
    line = asked.error["next"][-1]
    assert line.startswith("rollback release lift v1.2.0 ")
    assert by_commit.error["next"] == [line]
    assert type_in(dev, line, DAN).code == 0
    assert dev.rollback("status", "--commit", sha, as_=DAN).code == 0
