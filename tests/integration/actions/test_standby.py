"""A way back that is planned and approved in advance: taken in one go, or ended by itself."""

from __future__ import annotations

import io
import subprocess
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from rollback.ledger.lease import LeaseHeld
from rollback.lifecycle import standby
from rollback.lifecycle.freeze import freeze, unfreeze
from rollback.lifecycle.quarantine import quarantine
from rollback.model.advice import once_approved
from rollback.model.identity import Actor
from rollback.model.record import Record, Status
from rollback.model.request import AliasesRequest
from rollback.model.situation import RecordSeen, State
from rollback.queries.audit import audit
from rollback.queries.history import past
from rollback.queries.status import overview
from rollback.releases import verbs as release
from rollback.util.errors import (
    AwaitingApproval,
    Code,
    Refused,
    UsageError,
)
from rollback.util.times import shown_time
from rollback.views.records import record_view
from tests.coded import coded
from tests.doubles.world import ALICE, BOB, DAN, Quiet, World, settings, texts

CAROL = Actor(role=ALICE.role, person="carol")


@pytest.fixture
def ready(world: World) -> World:
    """Three releases, and the rollback from the last one is on standby for 45 minutes, as the deployer left it."""
    world.story()
    world.flow(DAN).prepare(45)
    return world


def strict(world: World) -> None:
    """Another person approves from now on; the settings are those of branch main."""
    world.settings = settings(approval="identity")
    for name, content in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(approval="identity"), strict=True):
        (world.root / name).write_text(content, encoding="utf-8")
    for parts in (
        ["init", "-q", "-b", "main"],
        ["add", "."],
        ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "settings"],
    ):
        subprocess.run(["git", "-C", str(world.root), *parts], check=True)


def the_standby(world: World) -> Record:
    """The newest record that began as a standby."""
    ledger = world.session().ledger
    names = [entry.id for entry in ledger.timeline() if entry.kind == "opened" and entry.status == "STANDBY"]
    return ledger.load(names[0]).record


def sound(world: World) -> bool:
    session = world.session()
    return not audit(session.ledger, session.account.each, Quiet()).findings


def test_it_is_recorded_with_its_digest_and_its_end_and_nothing_moves(world: World) -> None:
    world.story()
    before = world.versions()

    finished = world.flow(DAN).prepare(45, "v1.2.0")

    record = finished.record
    assert record is not None
    assert finished.error is None
    assert (record.status, record.from_version, record.to_version) == (Status.STANDBY, "v1.2.0", "v1.1.0")
    assert record.standby_until == "2026-11-24T12:45:00.000Z"
    assert record.digest == finished.plan.digest()  # type: ignore[union-attr] # there is one
    assert world.versions() == before
    assert sound(world)


def test_the_digest_covers_until_when_it_may_be_taken(world: World) -> None:
    world.story()
    short = world.flow().prepare(45).plan
    world.flow().abort(the_standby(world).rollback_id)

    longer = world.flow().prepare(46).plan

    assert short is not None
    assert longer is not None
    assert short.digest() != longer.digest()


def test_it_is_taken_by_who_is_on_call_for_a_reason_of_their_own(ready: World) -> None:
    ready.clock.seconds += 600

    finished = ready.flow(CAROL).take("checkout fails")

    record = finished.record
    assert record is not None
    assert finished.error is None
    assert (record.status, ready.deployed) == (Status.COMPLETE, "v1.1.0")
    assert (record.reason, record.taken_by, record.initiated_by) == ("checkout fails", CAROL, DAN)
    assert record.waited_seconds == 600
    assert (record.elapsed_seconds or 0) < 60
    quarantines = ready.session().ledger.quarantines()
    assert {(item.version, item.reason) for item in quarantines} == {("v1.2.0", "checkout fails")}
    assert sound(ready)


def test_in_between_another_person_approves_it_once(world: World) -> None:
    world.story()
    strict(world)
    waiting = world.flow(DAN).prepare(45)
    assert isinstance(waiting.error, AwaitingApproval)
    assert waiting.record is not None
    name, digest = waiting.record.rollback_id, waiting.record.digest

    with pytest.raises(Refused, check=coded(Code.APPROVAL_MISSING)):
        world.flow(CAROL).take("checkout fails")
    with pytest.raises(Refused, check=coded(Code.APPROVAL_REFUSED)):
        world.flow(CAROL).approve(name, digest)
    world.flow(BOB).approve(name, digest)
    record = world.flow(CAROL).take("checkout fails").record

    assert record is not None
    assert (record.status, record.approved_by, record.taken_by) == (Status.COMPLETE, BOB, CAROL)
    assert sound(world)


def test_what_was_taken_is_shown_by_who_took_it_and_when_beside_who_prepared_and_approved_it(
    world: World,
) -> None:
    world.story()
    strict(world)
    waiting = world.flow(DAN).prepare(45).record
    assert waiting is not None
    world.flow(BOB).approve(waiting.rollback_id, waiting.digest)
    world.clock.seconds += 240

    taken = world.flow(CAROL).take("checkout fails")

    record = taken.record
    assert record is not None
    newest = past(world.session(), 20, "aliases").moments[0]
    assert (newest.what, newest.at) == (record.rollback_id, record.started_at)
    assert newest.actor == "carol (prepared by dan, approved by bob)"
    assert newest.document["initiated_by"]["person"] == "dan"
    assert newest.document["initiated_at"] == record.initiated_at
    rows = view_lines(record_view(RecordSeen(record=record), taken.events))
    assert [
        line
        for line in rows
        if line.startswith("taken ") and "carol" in line and shown_time(str(record.started_at)) in line
    ]
    assert [line for line in rows if line.startswith("prepared ") and "dan" in line]
    assert not [line for line in rows if "waiting" in line]
    (approved,) = (line for line in rows if " approved " in line)
    assert approved.index("bob") < approved.index("taken by carol")


def view_lines(view: RenderableType) -> list[str]:
    output = io.StringIO()
    Console(file=output, width=200).print(view)
    return [line.strip() for line in output.getvalue().splitlines()]


def test_it_lasts_no_longer_than_an_approval_would(world: World) -> None:
    world.story()
    strict(world)

    with pytest.raises(UsageError, check=coded(Code.OPTION_INVALID)):
        world.flow(DAN).prepare(61)  # the settings' approvals expire after 60

    assert world.flow(DAN).prepare(60).record is not None


@pytest.mark.parametrize("minutes", [0, -1, 7 * 24 * 60 + 1])
def test_a_time_that_is_none_is_wrong_usage(world: World, minutes: int) -> None:
    world.story()

    with pytest.raises(UsageError, check=coded(Code.OPTION_INVALID)):
        world.flow().prepare(minutes)


def test_after_its_time_it_is_refused_to_who_reads_a_clock_that_is_past_it(ready: World) -> None:
    before = ready.versions()
    ready.clock.seconds += 45 * 60

    with pytest.raises(Refused, check=coded(Code.STANDBY_ENDED)):
        ready.flow().take("checkout fails")

    assert ready.versions() == before
    # One clock alone closes nothing: for somebody whose clock is right it may still be live.
    assert the_standby(ready).status is Status.STANDBY
    ready.clock.seconds -= 60
    assert ready.flow().take("checkout fails").record is not None


def test_a_slow_clock_takes_nothing_that_the_ledger_shows_to_have_ended(ready: World) -> None:
    ready.clock.seconds += 45 * 60
    freeze(ready.session(), "for a moment")
    unfreeze(ready.session(), "go on")
    ready.clock.seconds -= 30 * 60

    with pytest.raises(Refused, check=coded(Code.STANDBY_ENDED)):
        ready.flow().take("checkout fails")

    assert the_standby(ready).status is Status.EXPIRED
    assert sound(ready)


def test_the_next_release_ends_it(ready: World) -> None:
    name = the_standby(ready).rollback_id
    ready.release("v1.3.0")
    ready.record("v1.3.0")

    assert ready.session().ledger.load(name).record.status is Status.EXPIRED
    with pytest.raises(Refused, check=coded(Code.NO_STANDBY)):
        ready.flow().take("checkout fails")
    with pytest.raises(Refused, check=coded(Code.WRONG_STATUS)):
        ready.flow().take("checkout fails", name)
    assert sound(ready)


def test_a_floor_that_is_recorded_later_ends_it(ready: World) -> None:
    ready.record("v1.2.0", not_below="v1.2.0")

    with pytest.raises(Refused):
        ready.flow().take("checkout fails", the_standby(ready).rollback_id)

    assert the_standby(ready).status is Status.EXPIRED


def test_below_a_floor_none_is_prepared(world: World) -> None:
    world.story()
    world.release("v2.0.0")
    world.record("v2.0.0", not_below="v2.0.0")

    with pytest.raises(Refused, check=coded(Code.BELOW_FLOOR)) as refused:
        world.flow().prepare(45)

    below, look = refused.value.next.splitlines()
    assert below.startswith('rollback lambda --env dev --allow-below --reason "…"  # ')
    assert look.startswith("rollback status --env dev")


@pytest.mark.finding("B9")
def test_a_refused_plan_names_no_option_that_only_the_rollback_has(world: World) -> None:
    world.story()
    gone = world.names[0]
    del world.functions.versions[gone]["2"]

    with pytest.raises(Refused, check=coded(Code.PLAN_REFUSED)) as refused:
        world.flow().prepare(45)

    assert "--except" not in refused.value.what
    assert refused.value.next == f"rollback lambda --env dev --except {gone} --dry-run"


def test_where_nothing_older_is_recorded_no_option_is_named_that_the_verb_does_not_have(world: World) -> None:
    world.release("v1.0.0")
    world.record("v1.0.0")

    with pytest.raises(Refused, check=coded(Code.NO_PREVIOUS)) as refused:
        world.flow().prepare(45)

    assert refused.value.next.startswith("rollback ")


def test_a_rollback_of_the_same_functions_ends_it(ready: World) -> None:
    ready.begin(services=("roles",))

    with pytest.raises(Refused, check=coded(Code.STANDBY_ENDED)):
        ready.flow().take("checkout fails")

    assert the_standby(ready).status is Status.EXPIRED


def test_a_rollback_that_was_reverted_before_it_was_prepared_does_not_end_it(world: World) -> None:
    world.story()
    name = world.names[-1]

    def drift(operation: str, function: str) -> None:
        if operation == "UpdateAlias" and function == name:
            world.functions.before = lambda *_: None
            world.functions.point(name, world.functions.publish(name, "by hand"))

    world.functions.before = drift
    assert world.begin().record.status is Status.REVERTED  # type: ignore[union-attr] # there is one
    world.functions.point(name, "3")

    prepared = world.flow().prepare(45)

    assert prepared.record is not None
    assert world.flow().take("checkout fails").error is None


def test_an_alias_that_somebody_has_moved_since_is_refused(ready: World) -> None:
    name = ready.names[0]
    ready.functions.point(name, ready.functions.publish(name, "by hand"))
    before = ready.versions()

    with pytest.raises(Refused, check=coded(Code.PLAN_OUTDATED)) as refused:
        ready.flow().take("checkout fails")

    assert ready.versions() == before
    assert the_standby(ready).status is Status.STANDBY
    assert name in refused.value.what
    assert not any(other in refused.value.what for other in ready.names[1:])
    look, again = refused.value.next.splitlines()
    assert look.startswith("rollback status --env dev")
    assert again.startswith('rollback lambda --env dev --adopt-current --reason "…"')


def test_once_the_alias_is_as_planned_it_can_be_taken_after_all(ready: World) -> None:
    name = ready.names[0]
    planned = ready.versions()[name]
    ready.functions.point(name, ready.functions.publish(name, "by hand"))
    with pytest.raises(Refused, check=coded(Code.PLAN_OUTDATED)):
        ready.flow().take("checkout fails")

    ready.functions.point(name, planned)

    assert ready.flow().take("checkout fails").error is None


def test_of_many_aliases_that_were_moved_five_are_named_and_the_others_counted(ready: World) -> None:
    for name in ready.names:
        ready.functions.point(name, ready.functions.publish(name, "by hand"))

    with pytest.raises(Refused, check=coded(Code.PLAN_OUTDATED)) as refused:
        ready.flow().take("checkout fails")

    assert sum(name in refused.value.what for name in ready.names) == min(5, len(ready.names))


def test_a_target_that_is_quarantined_meanwhile_is_refused(ready: World) -> None:
    quarantine(ready.session(), "v1.1.0", (), "bad as well")

    with pytest.raises(Refused, check=coded(Code.PLAN_OUTDATED)) as refused:
        ready.flow().take("checkout fails")

    assert "v1.0.0" in refused.value.what
    assert "--adopt-current" not in refused.value.next


def test_a_freeze_of_somebody_else_keeps_it_from_being_prepared_and_taken(ready: World) -> None:
    freeze(ready.session(ALICE), "looking into it")

    with pytest.raises(Refused, check=coded(Code.FROZEN)):
        ready.flow(CAROL).take("checkout fails")
    with pytest.raises(Refused, check=coded(Code.FROZEN)):
        ready.flow(CAROL).prepare(45)
    assert ready.flow(ALICE).take("checkout fails").record is not None


def test_it_is_prepared_once_for_a_release(ready: World) -> None:
    again = ready.flow(DAN).prepare(45).record

    assert again == the_standby(ready)


def test_it_is_prepared_only_from_the_release_that_was_recorded_last(world: World) -> None:
    world.story()

    with pytest.raises(Refused, check=coded(Code.CHANGED_BY_OTHERS)):
        world.flow().prepare(45, "v1.1.0")
    world.begin()
    with pytest.raises(Refused, check=coded(Code.CHANGED_BY_OTHERS)):
        world.flow().prepare(45)


def test_where_nothing_is_recorded_there_is_nothing_to_prepare(world: World) -> None:
    with pytest.raises(Refused, check=coded(Code.NO_PREVIOUS)):
        world.flow().prepare(45)


def test_it_is_ended_by_hand(ready: World) -> None:
    name = the_standby(ready).rollback_id

    ended = ready.flow().abort(name, "not needed any more").record

    assert ended is not None
    assert ended.status is Status.ABORTED
    with pytest.raises(Refused, check=coded(Code.NO_STANDBY)):
        ready.flow().take("checkout fails")
    assert sound(ready)


def test_apply_does_not_take_it_and_take_does_not_apply(ready: World) -> None:
    with pytest.raises(Refused, check=coded(Code.WRONG_STATUS)):
        ready.flow().apply(the_standby(ready).rollback_id)
    waiting = ready.flow().start("aliases", AliasesRequest(), "so", hold=True).record
    assert waiting is not None

    with pytest.raises(Refused, check=coded(Code.WRONG_STATUS)):
        ready.flow().take("checkout fails", waiting.rollback_id)


@pytest.mark.parametrize("verb", ["apply", "resume", "verify"])
def test_what_else_is_refused_of_it_names_the_verb_that_takes_it(ready: World, verb: str) -> None:
    name = the_standby(ready).rollback_id

    with pytest.raises(Refused, check=coded(Code.WRONG_STATUS)) as refused:
        getattr(ready.flow(CAROL), verb)(name)

    assert refused.value.next.startswith("rollback standby take --env dev ")
    assert "rollback approve" not in refused.value.next


def test_after_its_approval_the_next_line_takes_it(world: World) -> None:
    world.story()
    strict(world)
    record = world.flow(DAN).prepare(45).record
    assert record is not None

    approved = world.flow(BOB).approve(record.rollback_id, record.digest).record

    assert once_approved(approved) == 'rollback standby take --env dev --reason "…"  # when it is needed'


def test_while_somebody_rolls_back_it_is_not_taken(ready: World) -> None:
    lease = ready.session().leases.hold(("aliases",), "R-other")
    try:
        with pytest.raises(LeaseHeld):
            ready.flow().take("checkout fails")
    finally:
        lease.release()


def test_a_record_that_claims_a_longer_time_than_its_plan_is_not_taken(ready: World) -> None:
    session, record = ready.session(), the_standby(ready)
    opened = session.ledger.load(record.rollback_id)
    longer = replace(opened.record, standby_until="2027-01-01T00:00:00.000Z")
    plan = opened.plan(session.target("aliases").step)

    with pytest.raises(Refused, check=coded(Code.LEDGER_DAMAGED)):
        standby.respected(session, replace(opened, record=longer), plan)


def test_status_has_it_as_the_first_way_back_and_asks_for_nothing(ready: World) -> None:
    view = overview(ready.session(CAROL))

    assert [each.state for each in view.advice] == [State.HEALTHY]
    assert view.ways[0].command.startswith("rollback standby take --env dev")
    assert [seen.status for seen in view.in_flight] == [State.STANDBY]


def test_it_is_the_first_advice_where_what_is_deployed_is_quarantined(ready: World) -> None:
    quarantine(ready.session(), "v1.2.0", (), "it leaks")

    (advice,) = overview(ready.session(CAROL)).advice

    assert advice.state is State.QUARANTINED
    assert advice.steps[0].command.startswith("rollback standby take --env dev")
    assert ready.flow(CAROL).take("it leaks").error is None


def test_what_has_ended_is_no_advice_and_not_in_flight(ready: World) -> None:
    ready.clock.seconds += 45 * 60
    quarantine(ready.session(), "v1.2.0", (), "it leaks")

    view = overview(ready.session(CAROL))

    assert not [step for each in view.advice for step in each.steps if "standby" in step.command]
    assert not view.in_flight


def test_one_that_waits_for_approval_says_so_and_keeps_the_ways_back(world: World) -> None:
    world.story()
    strict(world)
    world.flow(DAN).prepare(45)

    view = overview(world.session(CAROL))

    assert [each.state for each in view.advice] == [State.STANDBY]
    assert view.advice[0].steps[0].command.startswith("rollback approve ")
    assert view.ways
    assert "standby" not in view.ways[0].command


def test_its_end_is_told_to_slack(world: World) -> None:
    told: list[Any] = []

    class Heard:
        def notify(self, seen: Any) -> None:
            told.append(seen.status)

        def place(self, _record: Record) -> str:
            return ""

    world.story()
    heard: Any = Heard()
    flow = world.flow(DAN)
    replace(flow, session=replace(flow.session, notifier=heard)).prepare(45)
    world.clock.seconds += 46 * 60
    freeze(world.session(), "for a moment")
    standby.close_ended(replace(world.session(), notifier=heard))

    assert told == ["STANDBY", "EXPIRED"]


@pytest.mark.parametrize("approval", [True, False])
def test_the_recording_says_what_it_still_takes_until_it_can_be_taken(world: World, approval: bool) -> None:
    world.story()
    if approval:
        strict(world)
    finished = world.flow(DAN).prepare(45)
    record = finished.record
    assert record is not None
    heard: list[str] = []
    result = SimpleNamespace(
        seen=RecordSeen(record=record),
        rollback_id=record.rollback_id,
        waiting=finished.error,
        next=(),
        outcomes=(),
    )
    opened: Any = SimpleNamespace(standby=SimpleNamespace(prepare=lambda **_: result))
    ui: Any = SimpleNamespace(notice=heard.append, next=lambda _: None)

    release._prepared(opened, ui, "v1.2.0", 45)

    (said,) = heard
    assert shown_time(record.standby_until) in said
    assert (record.digest[:16] in said) is approval
