"""Aliases on a Lambda in memory: what is moved, what is left alone, what is put back."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollback.aws.account import Account
from rollback.aws.pacing import Throttles
from rollback.ledger.lease import LeaseLost
from rollback.model.alias_moves import Move, deployed_versions, states
from rollback.model.events import AliasesMoved, AliasesReverted
from rollback.model.plan import Plan
from rollback.model.record import COUNTS
from rollback.targets.aliases.target import Aliases
from rollback.targets.base import Context
from rollback.util.clocks import Clocks
from tests.doubles.clock import Clock
from tests.doubles.functions import Functions, client_error, no_answer, nothing
from tests.doubles.journal import BY, Memory
from tests.doubles.records import a_plan
from tests.doubles.world import settings

A, B, C = "acme-dev-lambda-teams-get", "acme-dev-lambda-teams-list", "acme-dev-lambda-roles-get"


class Estate:
    """Three functions at version 2 of 3, planned to go to 1; A has a canary's weight on version 3."""

    def __init__(self, *, keeps: bool = False) -> None:
        self.functions = Functions(revision_ignores_no_change=keeps)
        self.clock = Clock()
        account: Any = Account(
            settings=settings(),
            caller=BY,
            lambda_=self.functions,  # type: ignore[arg-type]
            dynamodb=None,  # type: ignore[arg-type]
            throttles=Throttles(),
            client=lambda service, **_: {"lambda": self.functions}[service],
        )
        ledger: Any = None
        clocks = Clocks(now=self.clock.iso, monotonic=self.clock.monotonic, sleep=self.clock.sleep)
        self.target = Aliases(Context(account=account, ledger=ledger, root=Path(), clocks=clocks))
        for name in (A, B, C):
            for _ in range(3):
                self.functions.publish(name)
            self.functions.point(name, "2", {"3": 0.1} if name == A else {})
        self.start = self.functions.deployed()
        self.journal = Memory()
        self.plan = self.planned()

    def planned(self, **changed: Any) -> Plan[Move]:
        """`changed` replaces fields of B's step."""
        steps = [
            Move(
                function=name,
                service="teams",
                from_version="2",
                to_version="1",
                code_sha256=f"sha-{name}-1",
                revision_id=alias.revision,
                weights=dict(alias.weights),
            )
            for name, alias in self.functions.aliases.items()
        ]
        steps = [replace(step, **changed) if step.function == B else step for step in steps]
        return a_plan(*steps)

    def execute(self, journal: Memory | None = None) -> Any:
        return self.target.execute(self.plan, journal or self.journal)

    def undo(self, journal: Memory | None = None) -> Any:
        return self.target.undo(self.plan, journal or self.journal)

    def counts(self, journal: Memory | None = None) -> dict[str, int]:
        return dict(self.target.counts(self.plan, (journal or self.journal).events))


@pytest.fixture(params=[False, True], ids=["every write a revision", "a write that changes nothing has none"])
def estate(request: pytest.FixtureRequest) -> Estate:
    return Estate(keeps=request.param)


def counted(**counts: int) -> dict[str, int]:
    """The counts of a plan of three steps; those that are not given are 0."""
    return dict.fromkeys(COUNTS, 0) | {"planned": 3} | counts


GOAL = {name: ("1", {}) for name in (A, B, C)}


def once(estate: Estate, operation: str, function: str, action: Any, *, after: bool = False) -> None:
    """`action` happens at the first such request, before it or after it."""

    def hook(seen: str, name: str) -> None:
        if (seen, name) == (operation, function):
            setattr(estate.functions, "after" if after else "before", nothing)
            action()

    setattr(estate.functions, "after" if after else "before", hook)


def outcomes(estate: Estate, journal: Memory) -> dict[str, str]:
    return {one["name"]: one["outcome"] for one in estate.target.outcomes(estate.plan, journal.events)}


def throw(error: Exception) -> Any:
    def action() -> None:
        raise error

    return action


def test_one_write_a_function_moves_it_and_clears_its_weights(estate: Estate) -> None:
    outcome = estate.execute()

    assert outcome.ok
    assert estate.functions.deployed() == GOAL
    assert sorted(estate.functions.called("UpdateAlias")) == sorted([A, B, C])
    assert estate.functions.called("GetAlias") == []
    assert estate.counts() == counted(moved=3)


def test_undo_restores_version_and_weights(estate: Estate) -> None:
    estate.execute()

    outcome = estate.undo()

    assert outcome.ok
    assert estate.functions.deployed() == estate.start
    assert deployed_versions(estate.plan, estate.journal.events)[A].weights == {"3": 0.1}


def test_undo_of_what_was_only_confirmed_works_too(estate: Estate) -> None:
    estate.plan = estate.planned(to_version="2", code_sha256=f"sha-{B}-2")
    estate.execute()

    outcome = estate.undo()

    assert outcome.ok, outcome
    assert estate.functions.deployed() == estate.start


def test_a_stale_revision_at_the_plans_start_is_written_down_and_moved(estate: Estate) -> None:
    estate.functions.point(A, "2", {"3": 0.1}, "by hand")

    outcome = estate.execute()

    assert outcome.ok
    assert estate.functions.deployed() == GOAL
    assert estate.journal.kinds().count("found") == 1
    estate.undo()
    assert estate.functions.deployed() == estate.start, "an undo goes back to what was found"


def test_a_stale_revision_at_the_plans_end_is_confirmed_and_undo_leaves_it_there(estate: Estate) -> None:
    estate.functions.point(B, "1", description="by hand")
    estate.start = estate.functions.deployed()

    outcome = estate.execute()

    assert outcome.ok
    assert estate.functions.deployed() == GOAL
    estate.undo()
    assert estate.functions.deployed() == estate.start


CANARIES = [("2", {"3": 0.5}), ("1", {"3": 0.25}), ("1", {"2": 0.25})]


@pytest.mark.finding("F4")
@pytest.mark.parametrize(("version", "weights"), CANARIES)
def test_a_strangers_canary_is_not_overwritten_wherever_it_is(
    estate: Estate, version: str, weights: dict[str, float]
) -> None:
    estate.functions.point(B, version, weights, "theirs")

    outcome = estate.execute()
    estate.journal.failed(outcome.failures)
    undone = estate.undo()

    assert [(failure.subject, failure.foreign) for failure in outcome.failures] == [(B, True)]
    assert undone.ok
    assert estate.functions.deployed() == {**estate.start, B: (version, weights)}
    assert estate.functions.aliases[B].description == "theirs"


@pytest.mark.finding("F4")
def test_weights_that_were_planned_and_that_somebody_else_has_cleared_are_his(estate: Estate) -> None:
    estate.functions.point(A, "2", {}, "theirs")

    outcome = estate.execute()

    assert [(failure.subject, failure.foreign) for failure in outcome.failures] == [(A, True)]
    assert estate.functions.deployed()[A] == ("2", {})


@pytest.mark.finding("F4")
@pytest.mark.parametrize("description", ["theirs", "ours"])
@pytest.mark.parametrize(("version", "weights"), CANARIES)
def test_a_strangers_canary_on_what_was_moved_outlives_the_undo(
    estate: Estate, version: str, weights: dict[str, float], description: str
) -> None:
    """Who changes an alias's weights alone leaves its description as it is."""
    estate.execute()
    estate.functions.point(B, version, weights, estate.journal.tag if description == "ours" else description)

    outcome = estate.undo()

    assert [(failure.subject, failure.foreign) for failure in outcome.failures] == [(B, True)]
    assert estate.functions.deployed() == {**estate.start, B: (version, weights)}


def test_somebody_elses_release_is_left_alone_and_named(estate: Estate) -> None:
    estate.functions.point(B, "3", description="theirs")

    outcome = estate.execute()

    assert [(failure.subject, failure.foreign) for failure in outcome.failures] == [(B, True)]
    assert "changed it to version 3" in outcome.failures[0].reason
    assert estate.functions.aliases[B].description == "theirs"


def test_what_was_moved_before_an_outside_release_was_met_is_reverted(estate: Estate) -> None:
    estate.functions.point(B, "3", description="theirs")
    outcome = estate.execute()
    estate.journal.failed(outcome.failures)

    outcome = estate.undo()

    assert outcome.ok
    assert estate.functions.deployed() == {**estate.start, B: ("3", {})}
    assert estate.functions.aliases[B].description == "theirs"


def test_an_outside_release_that_comes_between_the_read_and_the_second_write_is_left_alone(
    estate: Estate,
) -> None:
    estate.functions.point(B, "2", description="by hand")
    once(estate, "GetAlias", B, lambda: estate.functions.point(B, "3"), after=True)

    outcome = estate.execute()

    assert [failure.foreign for failure in outcome.failures] == [True]
    assert estate.functions.aliases[B].version == "3"


def test_an_outside_write_between_moves_and_undo_is_left_alone(estate: Estate) -> None:
    estate.execute()
    estate.functions.point(B, "3", description="theirs")

    outcome = estate.undo()

    assert [(failure.subject, failure.foreign) for failure in outcome.failures] == [(B, True)]
    assert estate.functions.deployed() == {**estate.start, B: ("3", {})}


def unheard(estate: Estate) -> None:
    """What we ask of B has been done already: AWS was asked twice, and only the second answer comes."""
    alias = estate.functions.aliases[B]
    alias.version, alias.weights, alias.description = "1", {}, estate.journal.tag
    alias.revision = "unheard"


def test_a_lost_response_whose_retry_finds_the_revision_stale_is_accepted(estate: Estate) -> None:
    once(estate, "UpdateAlias", B, lambda: unheard(estate))

    outcome = estate.execute()

    assert outcome.ok
    assert estate.journal.kinds().count("found") == 0
    assert states(estate.plan, estate.journal.events)[B].revision == "unheard"
    estate.undo()
    assert estate.functions.deployed() == estate.start


def test_the_second_write_of_a_stale_alias_may_be_asked_for_twice_too(estate: Estate) -> None:
    estate.functions.point(B, "2", description="by hand")
    once(estate, "GetAlias", B, lambda: once(estate, "UpdateAlias", B, lambda: unheard(estate)), after=True)

    outcome = estate.execute()

    assert outcome.ok
    assert states(estate.plan, estate.journal.events)[B].revision == "unheard"
    estate.undo()
    assert estate.functions.deployed() == estate.start


@pytest.mark.parametrize("done", [True, False])
def test_a_write_without_an_answer_may_have_been_done_and_is_reverted(estate: Estate, done: bool) -> None:
    once(estate, "UpdateAlias", B, throw(no_answer()), after=done)

    outcome = estate.execute()

    assert [(failure.subject, failure.foreign, failure.refused) for failure in outcome.failures] == [
        (B, False, False)
    ]
    estate.journal.failed(outcome.failures)
    assert estate.undo().ok
    assert estate.functions.deployed() == estate.start


def test_a_function_that_vanished_stops_the_moves_and_not_the_undo(estate: Estate) -> None:
    del estate.functions.aliases[B]

    outcome = estate.execute()

    assert [failure.foreign for failure in outcome.failures] == [True]
    assert "no longer exists" in outcome.failures[0].reason
    estate.journal.failed(outcome.failures)
    assert estate.undo().ok
    assert estate.functions.aliases[A].version == "2"


def test_a_start_that_no_longer_exists_is_no_recovery_option_and_no_strangers_doing(estate: Estate) -> None:
    estate.execute()
    del estate.functions.versions[B]["2"]

    outcome = estate.undo()

    assert [(failure.subject, failure.foreign) for failure in outcome.failures] == [(B, False)]
    assert "no longer exists" in outcome.failures[0].reason
    assert deployed_versions(estate.plan, estate.journal.events)[B].version == "1", (
        "it still stands where we put it"
    )


def test_a_step_without_a_known_revision_is_read_before_it_is_written(estate: Estate) -> None:
    estate.plan = estate.planned(revision_id=None)
    estate.functions.point(B, "3", description="theirs")

    outcome = estate.execute()

    assert [failure.foreign for failure in outcome.failures] == [True]
    assert estate.functions.aliases[B].version == "3"


def test_a_revision_that_does_not_change_is_an_error_and_not_a_success() -> None:
    estate = Estate(keeps=True)
    alias = estate.functions.aliases[B]
    alias.description = estate.journal.tag
    alias.version = "1"

    outcome = estate.execute()

    assert [failure.subject for failure in outcome.failures] == [B]
    assert "RevisionId did not change" in outcome.failures[0].reason


def test_a_refused_write_was_not_done(estate: Estate) -> None:
    denied = client_error("UpdateAlias", "AccessDeniedException")
    denied.response["ResponseMetadata"] = {"HTTPStatusCode": 403, "RetryAttempts": 0}  # type: ignore[typeddict-item]
    once(estate, "UpdateAlias", B, throw(denied))

    outcome = estate.execute()

    assert [(failure.subject, failure.refused) for failure in outcome.failures] == [(B, True)]


def test_the_moves_stop_at_the_first_failure_and_the_undo_brings_back_what_it_can(
    estate: Estate,
) -> None:
    estate.execute()

    def fail(operation: str, function: str) -> None:
        if operation == "UpdateAlias" and function in (A, B):
            raise no_answer()

    estate.functions.before = fail
    outcome = estate.undo()

    assert {failure.subject for failure in outcome.failures} == {A, B}
    assert estate.functions.aliases[C].version == "2"
    assert estate.counts()["reverted"] == 1


def test_asked_to_stop_it_begins_nothing_new_and_reports_it(estate: Estate) -> None:
    estate.journal.stop.set()

    outcome = estate.execute()

    assert outcome.interrupted
    assert not outcome.ok
    assert estate.functions.writes == []


def test_a_lost_lease_ends_it_before_the_next_write(estate: Estate) -> None:
    estate.journal.lost.set()

    with pytest.raises(LeaseLost):
        estate.execute()

    assert estate.functions.writes == []


def test_resume_moves_only_what_is_not_done_but_touches_what_an_old_holder_may_still_move(
    estate: Estate,
) -> None:
    estate.journal.append(AliasesMoved(functions={A: estate.functions.point(A, "1")}))
    heir = estate.journal.next_holder()
    before = {name: alias.revision for name, alias in estate.functions.aliases.items()}

    outcome = estate.execute(heir)

    assert outcome.ok
    assert estate.functions.deployed() == GOAL
    after = {name: alias.revision for name, alias in estate.functions.aliases.items()}
    assert {name for name in before if before[name] != after[name]} == {B, C}


def test_abort_after_a_takeover_touches_every_alias(estate: Estate) -> None:
    before = {name: alias.revision for name, alias in estate.functions.aliases.items()}
    heir = estate.journal.next_holder()

    outcome = estate.undo(heir)

    assert outcome.ok
    assert estate.functions.deployed() == estate.start
    assert all(alias.revision != before[name] for name, alias in estate.functions.aliases.items())


@pytest.mark.finding("A5")
def test_abort_after_a_takeover_counts_as_reverted_only_what_had_moved(estate: Estate) -> None:
    estate.functions.point(A, "1", description=estate.journal.tag)  # moved, and died before it was journalled
    heir = estate.journal.next_holder()

    estate.undo(heir)

    assert estate.counts(heir) == counted(reverted=1, untouched=2)
    assert outcomes(estate, heir) == {A: "reverted", B: "untouched", C: "untouched"}


@pytest.mark.finding("A5")
def test_a_second_abort_counts_what_the_first_had_reverted(estate: Estate) -> None:
    estate.execute()
    first = estate.journal.next_holder()
    estate.undo(first)
    reverted = [event for event in first.events if event.kind == AliasesReverted.kind]
    first.events[:] = [
        event for event in first.events if event not in reverted
    ]  # died before it was journalled
    second = first.next_holder()

    estate.undo(second)

    assert estate.counts(second) == counted(reverted=3)


@pytest.mark.finding("A5")
def test_what_was_only_confirmed_is_not_reverted(estate: Estate) -> None:
    estate.plan = estate.planned(to_version="2", code_sha256=f"sha-{B}-2")
    estate.execute()

    estate.undo()

    assert outcomes(estate, estate.journal) == {A: "reverted", B: "untouched", C: "reverted"}


@pytest.mark.parametrize("verb", ["execute", "undo"])
@pytest.mark.parametrize("pausing", ["UpdateAlias", "GetAlias", "UpdateAlias again"])
def test_an_old_holder_that_wakes_up_moves_nothing(estate: Estate, verb: str, pausing: str) -> None:
    paused, wake = threading.Event(), threading.Event()
    seen: list[str] = []
    if pausing != "UpdateAlias":
        estate.functions.point(B, "2", description="by hand")
        estate.start = estate.functions.deployed()

    def pause(operation: str, function: str) -> None:
        if function == B and not paused.is_set():
            seen.append(operation + (" again" if operation in seen else ""))
            if seen[-1] == pausing:
                paused.set()
                wake.wait(20)

    estate.functions.before = pause
    old: list[Any] = []

    def run() -> None:
        try:
            old.append(estate.execute())
        except LeaseLost as lost:
            old.append(lost)

    thread = threading.Thread(target=run)
    thread.start()
    assert paused.wait(20)
    heir = estate.journal.next_holder()
    outcome = getattr(estate, verb)(heir)
    assert outcome.ok, outcome
    ended = {name: (alias.version, alias.revision) for name, alias in estate.functions.aliases.items()}
    wake.set()
    thread.join(20)

    assert isinstance(old[0], LeaseLost)
    assert {
        name: (alias.version, alias.revision) for name, alias in estate.functions.aliases.items()
    } == ended
    assert estate.functions.deployed() == (GOAL if verb == "execute" else estate.start)


def test_abort_after_a_takeover_leaves_what_a_stranger_moved_to_the_target(estate: Estate) -> None:
    heir = estate.journal.next_holder()
    estate.functions.point(B, "1", description="theirs")

    outcome = estate.undo(heir)

    assert [(failure.subject, failure.foreign) for failure in outcome.failures] == [(B, True)]
    assert estate.functions.aliases[B].description == "theirs"


def test_abort_after_a_takeover_keeps_the_weights_that_a_stranger_set(estate: Estate) -> None:
    heir = estate.journal.next_holder()
    estate.functions.point(B, "2", {"1": 0.5}, "theirs")

    outcome = estate.undo(heir)

    assert [(failure.subject, failure.foreign) for failure in outcome.failures] == [(B, True)]
    assert estate.functions.deployed()[B] == ("2", {"1": 0.5})
    assert estate.functions.aliases[B].description == "theirs"


def test_what_an_old_holder_moved_without_an_event_in_the_journal_is_reverted_to_the_start(
    estate: Estate,
) -> None:
    estate.functions.point(A, "1", description=estate.journal.tag)
    heir = estate.journal.next_holder()

    outcome = estate.undo(heir)

    assert outcome.ok
    assert estate.functions.deployed() == estate.start


def test_provisioned_concurrency_is_waited_for(estate: Estate) -> None:
    estate.functions.aliases[B].provisioned = ["IN_PROGRESS", "IN_PROGRESS", "READY"]
    estate.plan = estate.planned(provisioned=5)

    outcome = estate.execute()

    assert outcome.ok
    assert estate.clock.seconds == 4.0


def test_provisioned_concurrency_that_became_ready_while_this_process_was_paused_is_no_failure(
    estate: Estate,
) -> None:
    estate.functions.aliases[B].provisioned = ["IN_PROGRESS", "READY"]
    estate.plan = estate.planned(provisioned=5)
    estate.clock.meanwhile = lambda _: setattr(estate.clock, "seconds", 3600)

    assert estate.execute().ok


def test_provisioned_concurrency_that_does_not_become_ready_is_a_failure_that_is_reverted(
    estate: Estate,
) -> None:
    estate.functions.aliases[B].provisioned = ["IN_PROGRESS"]
    estate.plan = estate.planned(provisioned=5)

    outcome = estate.execute()

    assert [failure.subject for failure in outcome.failures] == [B]
    assert estate.clock.seconds > 300
    estate.journal.failed(outcome.failures)
    assert estate.undo().ok
    assert estate.functions.deployed() == estate.start


def asleep(estate: Estate, *wakes: str) -> None:
    """The version that B goes to is Inactive; once it is woken, it is these at each look."""
    version = estate.functions.versions[B]["1"]
    version.state, version.wakes = "Inactive", list(wakes)


@pytest.mark.finding("S3")
def test_an_inactive_version_is_woken_once_and_its_alias_moves_when_it_is_active(estate: Estate) -> None:
    asleep(estate, "Pending", "Pending", "Active")
    moved = []

    def before(operation: str, function: str) -> None:
        if operation == "UpdateAlias" and function == B:
            moved.append(estate.functions.versions[B]["1"].state)

    estate.functions.before = before
    outcome = estate.execute()

    assert outcome.ok
    assert moved == ["Active"]
    assert estate.functions.called("Invoke") == [B]
    assert estate.functions.deployed() == GOAL
    first = estate.journal.events[0]
    assert (first.kind, first.data["functions"]) == ("waking", {B: "1"})
    assert estate.undo().ok
    assert estate.functions.deployed() == estate.start


@pytest.mark.finding("S3")
def test_the_others_do_not_wait_for_what_is_woken(estate: Estate) -> None:
    asleep(estate, "Pending", "Pending", "Active")

    estate.execute()

    assert [written.function for written in estate.functions.writes][-1] == B
    assert estate.clock.seconds == 3.0


@pytest.mark.finding("S3")
@pytest.mark.parametrize(("ends", "seconds"), [("Failed", 3.0), ("Pending", 301.0), ("Inactive", 301.0)])
def test_a_version_that_does_not_wake_is_a_failure_that_is_reverted(
    estate: Estate, ends: str, seconds: float
) -> None:
    asleep(estate, "Pending", ends)

    outcome = estate.execute()

    assert [(failure.subject, failure.refused) for failure in outcome.failures] == [(B, True)]
    assert outcome.revert
    assert ends in outcome.failures[0].reason
    assert estate.clock.seconds <= seconds
    assert estate.functions.called("Invoke") == [B], "once, whatever comes of it"
    estate.journal.failed(outcome.failures)
    assert estate.undo().ok
    assert estate.functions.deployed() == estate.start


def weeks_later(estate: Estate, *wakes: str) -> Memory:
    """What was moved is undone by another process; the versions that A goes back to are Inactive by then."""
    estate.execute()
    for number in ("2", "3"):
        version = estate.functions.versions[A][number]
        version.state, version.wakes = "Inactive", list(wakes)
    return estate.journal.next_holder()


@pytest.mark.finding("S3")
def test_the_way_back_wakes_versions_too_those_that_have_a_weight_included(estate: Estate) -> None:
    journal = weeks_later(estate, "Pending", "Active")
    states_then = []

    def before(operation: str, function: str) -> None:
        if (operation, function) == ("UpdateAlias", A):
            states_then.append([estate.functions.versions[A][number].state for number in ("2", "3")])

    estate.functions.before = before
    outcome = estate.undo(journal)

    assert outcome.ok
    assert states_then == [["Active", "Active"]]
    assert estate.functions.deployed() == estate.start
    assert estate.functions.called("Invoke") == [A, A]
    woken = [event.data["functions"] for event in journal.events if event.kind == "waking"]
    assert woken == [{A: "2"}, {A: "3"}]


@pytest.mark.finding("S3")
@pytest.mark.parametrize("ends", ["Failed", "Pending"])
def test_a_version_that_does_not_wake_keeps_no_other_from_its_way_back(estate: Estate, ends: str) -> None:
    journal = weeks_later(estate, "Pending", ends)

    outcome = estate.undo(journal)

    assert {failure.subject for failure in outcome.failures} == {A}
    assert not any(failure.foreign for failure in outcome.failures)
    assert estate.functions.deployed() == {**estate.start, A: GOAL[A]}


def test_a_way_back_at_once_reads_no_version(estate: Estate) -> None:
    estate.execute()
    read = len(estate.functions.called("GetFunction"))

    estate.undo()

    assert len(estate.functions.called("GetFunction")) == read


@pytest.mark.finding("S3")
def test_to_wake_is_tried_again_where_lambda_was_too_busy_to_hear_it(estate: Estate) -> None:
    asleep(estate, "Active")
    busy = client_error("Invoke", "TooManyRequestsException")
    once(estate, "Invoke", B, throw(busy))

    outcome = estate.execute()

    assert outcome.ok
    assert estate.functions.called("Invoke") == [B], "which it has heard"
    assert estate.functions.deployed() == GOAL


@pytest.mark.finding("S3")
def test_who_may_not_wake_a_version_moves_nothing(estate: Estate) -> None:
    asleep(estate, "Active")
    once(estate, "Invoke", B, throw(client_error("Invoke", "AccessDeniedException")))

    outcome = estate.execute()

    assert [(failure.subject, failure.refused) for failure in outcome.failures] == [(B, True)]
    assert estate.functions.writes == []


@pytest.mark.finding("S3")
def test_asked_to_stop_it_waits_no_longer_for_what_wakes(estate: Estate) -> None:
    asleep(estate, "Pending")

    def stop(operation: str, function: str) -> None:
        if operation == "Invoke":
            estate.journal.stop.set()

    estate.functions.after = estate.functions.before = stop
    outcome = estate.execute()

    assert outcome.interrupted


def test_verify_names_what_is_deployed_elsewhere(estate: Estate) -> None:
    estate.execute()
    estate.functions.point(B, "3")

    checks = estate.target.verify(estate.plan)

    assert [check.ok for check in checks] == [False]
    assert f"{B}: is at version 3, not 1" in checks[0].detail


@pytest.mark.finding("F2")
def test_verify_sees_a_weight_on_an_alias_that_is_at_its_version(estate: Estate) -> None:
    estate.execute()
    estate.functions.point(B, "1", {"2": 0.5}, estate.journal.tag)

    (check,) = estate.target.verify(estate.plan)

    assert not check.ok
    assert f"{B}: it sends traffic 50% to version 2" in check.detail


def test_progress_is_journalled_in_batches(estate: Estate) -> None:
    estate.execute()

    moved = [event for event in estate.journal.events if event.kind == "moved"]

    assert len(moved) == 1
    assert set(moved[0].data["functions"]) == {A, B, C}
