"""The guard decides by what it reads itself, takes what is on standby once, and says why it takes nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rollback.guard import reaction as guard
from rollback.guard.reaction import Answer, Answering
from rollback.lifecycle.freeze import freeze
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.quarantine import lift, quarantine
from rollback.model.automatic import Why
from rollback.model.guarding import declined
from rollback.model.identity import Actor
from rollback.model.record import Check, Record, Status
from rollback.queries.audit import audit
from rollback.releases.record_release import Commits, record
from rollback.util.errors import Code, Refused, RollbackError
from tests.coded import coded
from tests.doubles.clock import BEGAN
from tests.doubles.dying import Killed, Life
from tests.doubles.functions import client_error
from tests.doubles.world import ALICE, DAN, SHA, Quiet, World, settings

GUARD = Actor(role="acme-dev-guard-role", person="acme-dev-guard")
TEAMS, ROLES = "acme-dev-guard-teams", "acme-dev-guard-roles"
RELEASED = 7200


class Conflict(ClientError):
    """EventBridge Scheduler has one of this name."""


@dataclass
class People:
    """SNS and EventBridge Scheduler, in memory; `fail` is raised by the next requests."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    schedules: dict[str, dict[str, Any]] = field(default_factory=dict)
    fail: Exception | None = None
    exceptions: Any = field(default_factory=lambda: SimpleNamespace(ConflictException=Conflict))

    def publish(self, **asked: str) -> None:
        if self.fail is not None:
            raise self.fail
        assert asked["TopicArn"].endswith(":acme-dev-guard-reports")
        assert len(asked["Subject"]) <= 100
        self.messages.append(json.loads(asked["Message"]))

    def create_schedule(self, **asked: Any) -> None:
        if self.fail is not None:
            raise self.fail
        self.schedules[asked["Name"]] = asked


@dataclass
class Night:
    """A world with a guard: v1.3.0 was recorded two hours after its beginning, and its way back is on standby."""

    world: World
    people: People = field(default_factory=People)
    told: list[str] = field(default_factory=list)

    def answering(
        self, *, caller: Actor = GUARD, life: Life | None = None, stop: threading.Event | None = None
    ) -> Answering:
        session = self.world.session(caller, life)
        session = replace(session, prove=partial(guard.prove, session))
        flow = Lifecycle(session=session, ui=Quiet(), stop=stop or threading.Event())
        return Answering(session=session, flow=flow, told=self.told.append)

    def answer(self) -> Answer:
        return self.answering().answer()

    def turns(self, state: str, alarm: str = TEAMS, after: float = 60.0) -> None:
        self.world.clock.seconds += after
        self.world.metrics.alarms[alarm].append((self.world.clock.now(), state))

    def standby(self) -> Record:
        ledger = self.world.session().ledger
        names = [one.id for one in ledger.timeline() if one.kind == "opened" and one.status == "STANDBY"]
        return ledger.load(names[0]).record

    def declined(self) -> list[str]:
        return [
            entry.status.partition(" ")[0]
            for entry in declined(self.world.session().ledger.timeline(readable=True))
        ]

    def sound(self) -> bool:
        session = self.world.session()
        return not audit(session.ledger, session.account.each, Quiet()).findings


@pytest.fixture
def night(world: World) -> Night:
    world.settings = settings(
        automatic={"takes": True, "bake": 30}, guard={"errors": 5, "recoveryMinutes": 10}
    )
    found = Night(world)
    for service in ("sns", "scheduler"):
        world.invokers[service] = found.people  # type: ignore[assignment] # a client as good as any
    world.story()
    world.clock.seconds = RELEASED
    world.release("v1.3.0")
    world.record("v1.3.0")
    world.flow(DAN).prepare(45)
    for name in (TEAMS, ROLES):
        world.metrics.alarms[name] = [(BEGAN - timedelta(days=1), "OK")]
    return found


def test_a_red_alarm_has_what_is_on_standby_taken_and_people_are_told(night: Night) -> None:
    night.turns("ALARM")

    answer = night.answer()

    record = answer.record
    assert record is not None
    assert (answer.code, record.status, night.world.deployed) == ("TAKEN", Status.COMPLETE, "v1.2.0")
    assert (record.taken_by, record.alarm, record.initiated_by) == (GUARD, TEAMS, DAN)
    assert TEAMS in record.reason
    (told,) = night.people.messages
    assert (told["rollback_id"], told["status"], told["alarm"]) == (record.rollback_id, "COMPLETE", TEAMS)
    (schedule,) = night.people.schedules.values()
    assert schedule["ScheduleExpression"].startswith("at(2026-11-24T14:11:")
    assert json.loads(schedule["Target"]["Input"]) == {"recovery": {"rollback_id": record.rollback_id}}
    assert night.sound()


def test_without_a_smoke_function_the_record_says_that_it_was_not_smoke_tested(night: Night) -> None:
    night.turns("ALARM")

    record = night.answer().record

    assert record is not None
    (smoke,) = [check for check in record.verification if check.check == "smoke"]
    assert smoke.ok
    assert smoke.detail.startswith("not smoke-tested")


def test_a_second_alarm_of_the_same_release_takes_nothing_more(night: Night) -> None:
    night.turns("ALARM")
    night.answer()
    night.turns("ALARM", ROLES, after=1)
    writes = list(night.world.functions.writes)

    answer = night.answer()

    assert (answer.code, answer.record) == (Why.TAKEN_ALREADY, None)
    assert night.world.functions.writes == writes


@pytest.mark.parametrize(
    ("code", "happens"),
    [
        (Why.NOT_RED, lambda _: None),
        (Why.FROZEN, lambda night: freeze(night.world.session(), "migration")),
        (Why.NO_STANDBY, lambda night: night.world.flow().abort(night.standby().rollback_id)),
        (Why.AFTER_BAKE, lambda night: night.turns("OK", after=3600)),
    ],
    ids=["not red", "frozen", "no standby", "after the bake"],
)
def test_what_takes_nothing_says_why_in_the_ledger_and_to_people(
    night: Night, code: Why, happens: Callable[[Night], object]
) -> None:
    happens(night)
    if code is not Why.NOT_RED:
        night.turns("ALARM")
    before = night.world.versions()

    answer = night.answer()

    assert (answer.code, night.declined()) == (code, [code])
    assert [one["code"] for one in night.people.messages] == [code]
    assert night.world.versions() == before
    assert night.sound()


def test_an_alarm_that_was_red_before_the_release_takes_nothing(night: Night) -> None:
    night.world.metrics.alarms[TEAMS].append((BEGAN + timedelta(seconds=RELEASED - 60), "ALARM"))

    assert night.answer().code == Why.RED_BEFORE
    assert night.world.deployed == "v1.3.0"


def test_the_same_reason_is_in_the_ledger_once_for_a_release_however_often_an_alarm_comes_and_goes(
    night: Night,
) -> None:
    for _ in range(3):
        night.answer()

    assert night.declined() == [Why.NOT_RED]
    assert len(night.people.messages) == 3


def test_what_somebody_has_moved_meanwhile_is_refused_and_said(night: Night) -> None:
    night.turns("ALARM")
    name = night.world.names[0]
    night.world.functions.point(name, "1")

    answer = night.answer()

    assert answer.record is None or answer.record.status is Status.REVERTED
    assert night.world.versions()[name] == "1"
    assert night.people.messages
    assert night.sound()


@pytest.mark.finding("B3")
def test_it_does_not_return_to_the_release_whose_verification_has_just_failed(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "prove", lambda *_: (Check(check="smoke", ok=False, detail="exit 1"), ""))
    night.turns("ALARM")
    first = night.answer().record
    assert first is not None
    assert (first.status, night.world.deployed) == (Status.FAILED, "v1.2.0")
    night.turns("OK")
    night.world.clock.seconds += 3600
    night.world.release("v1.4.0")
    night.world.record("v1.4.0")
    night.world.flow(DAN).prepare(45)
    night.turns("ALARM")

    second = night.answer().record

    assert second is not None
    assert (second.to_version, night.world.deployed) == ("v1.1.0", "v1.1.0")


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("at", range(2, 12))
def test_a_guard_that_is_killed_anywhere_is_gone_on_with_by_its_next_try(
    night: Night, at: int, before: bool
) -> None:
    night.turns("ALARM")
    with suppress(Killed, RollbackError):
        night.answering(life=Life(at=at, before=before)).answer()

    night.world.clock.seconds += 300
    answer = night.answer()

    record = night.standby()
    assert answer.code in ("TAKEN", "RESUMED", Why.TAKEN_ALREADY)
    assert (record.status, night.world.deployed, record.taken_by) == (Status.COMPLETE, "v1.2.0", GUARD)
    assert night.sound()


def test_before_its_own_end_it_stops_in_good_order_and_its_next_try_goes_on(night: Night) -> None:
    night.turns("ALARM")
    stop = threading.Event()
    night.world.functions.after = lambda operation, _: stop.set() if operation == "UpdateAlias" else None

    with pytest.raises(RollbackError, check=coded(Code.INTERRUPTED)):
        night.answering(stop=stop).answer()
    assert night.standby().status is Status.IN_PROGRESS
    night.world.functions.after = lambda *_: None
    answer = night.answer()

    assert (answer.code, night.world.deployed) == ("RESUMED", "v1.2.0")


def test_what_a_person_has_begun_is_the_persons(night: Night) -> None:
    night.turns("ALARM")
    with pytest.raises(Killed):
        night.answering(caller=ALICE, life=Life(at=4)).flow.take("checkout fails")

    answer = night.answer()

    assert (answer.code, answer.record) == (Why.TAKEN_ALREADY, None)
    assert night.standby().status is Status.IN_PROGRESS


@pytest.mark.parametrize("fails", ["ledger", "cloudwatch"])
def test_where_it_does_not_know_it_fails_for_lambda_to_try_again_and_moves_nothing(
    night: Night, fails: str
) -> None:
    night.turns("ALARM")
    before = night.world.versions()
    answering = night.answering()
    error = client_error("InternalServerError", "DescribeAlarms")
    if fails == "cloudwatch":
        night.world.metrics.fail = error
    else:
        answering.session.ledger.table._client = SimpleNamespace()

    with pytest.raises((RollbackError, AttributeError)):
        answering.answer()

    assert night.world.versions() == before


def test_where_nobody_can_be_told_the_rollback_is_done_all_the_same(night: Night) -> None:
    night.turns("ALARM")
    night.people.fail = client_error("InternalError", "Publish")

    assert night.answer().code == "TAKEN"
    assert night.world.deployed == "v1.2.0"
    assert len(night.told) == 2, "neither the report nor the schedule"


def test_its_recovery_is_in_the_ledger_and_told(night: Night) -> None:
    night.turns("ALARM")
    record = night.answer().record
    assert record is not None
    night.turns("OK", after=600)

    answer = night.answering().recovery(record.rollback_id)

    assert answer.code == "RECOVERED"
    assert night.declined() == ["RECOVERED"]
    assert night.people.messages[-1]["code"] == "RECOVERED"
    assert night.sound()


def test_a_recovery_of_what_is_none_of_its_rollbacks_is_refused(night: Night) -> None:
    night.world.flow().take("checkout fails")

    with pytest.raises(Refused, check=coded(Code.UNKNOWN_ROLLBACK)):
        night.answering().recovery(night.standby().rollback_id)


def test_a_rehearsal_changes_nothing_and_says_what_would_be_done(night: Night) -> None:
    night.world.clock.seconds += 60
    before = night.world.timeline().newest

    found = night.answering().rehearse("")

    assert (found["decision"], found["alarm"]) == ("TAKE", TEAMS)
    assert found["holds"] == {"id": night.standby().rollback_id, "refusals": []}
    assert found["reported"]
    assert night.world.timeline().newest == before
    assert night.world.deployed == "v1.3.0"


def test_a_rehearsal_says_what_would_keep_it_from_being_taken(night: Night) -> None:
    night.world.clock.seconds += 60
    night.world.flow().abort(night.standby().rollback_id)

    assert night.answering().rehearse(ROLES)["decision"] == Why.NO_STANDBY


@pytest.mark.parametrize("what", ["freeze", "quarantine", "lift", "release"])
def test_audit_finds_what_the_guards_role_wrote_that_no_guard_writes(night: Night, what: str) -> None:
    """IAM cannot tell: all of it is one partition."""
    session = night.world.session(GUARD)
    if what == "freeze":
        freeze(session, "code of somebody else's")
    elif what == "release":
        record(session, "v1.4.0", Commits(code=SHA), Quiet())
    else:
        quarantine(night.world.session(GUARD if what == "quarantine" else ALICE), "v1.0.0", ["teams"], "bad")
        if what == "lift":
            lift(session, "v1.0.0", ["teams"], "good")

    found = audit(session.ledger, session.account.each, Quiet()).findings

    assert len(found) == 1
    assert "it was written by the guard" in found[0].what
