"""The drill that nobody rolls back: what is measured, and when it has not passed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollback.guard import reaction as guard
from rollback.guard.reaction import Answering
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.model.drill import AUTOMATIC, FAILING, Drill
from rollback.model.identity import Actor
from rollback.model.record import Status
from rollback.rehearsal.cli_driver import CliDriver, CommandOutcome
from rollback.rehearsal.roles import Roles
from rollback.rehearsal.scenario import DrillContext
from rollback.rehearsal.scenarios.automatic import AutomaticScenario
from rollback.util.errors import Code, Refused, RollbackError
from tests.coded import coded
from tests.doubles.clock import BEGAN
from tests.doubles.world import ALICE, DAN, Quiet, World, settings

GUARD = Actor(role="acme-dev-guard-role", person="acme-dev-guard")
ALARM = "acme-dev-guard-roles"
BEFORE = {"service": "roles", "release": "v1.2.0", "functions": {}}


@dataclass(frozen=True, kw_only=True)
class Typist(CliDriver):
    """Types nothing but what ends a record, in this process; `failing` commands end with 1."""

    world: World
    typed: list[tuple[str, ...]] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)

    def type(self, role: str, *arguments: str) -> CommandOutcome:
        self.typed.append((role, *arguments))
        if arguments[0] == "abort":
            self.world.flow().abort(arguments[1])
        return CommandOutcome(code=int(arguments[0] in self.failing), document={}, output="no")


@dataclass
class Called:
    """The functions of a service: bad once they were released, and called after that."""

    world: World
    standby: bool = True
    red: bool = True
    answering: bool = False
    calls: int = 0

    def look(self) -> dict[str, Any]:
        return dict(BEFORE)

    def bad_code(self, before: Any) -> None: ...

    def promote(self, drill: Drill, _before: Any, _commit: str, *more: str, called: bool) -> dict[str, Any]:
        assert (called, more[0]) == (False, "--standby")
        self.world.release(drill.release)
        self.world.record(drill.release)
        if not self.standby:
            return {"standby": {"code": "NO_PREVIOUS", "message": "there is none"}}
        record = self.world.flow(DAN).prepare(int(more[1][:-1])).record
        assert record is not None
        return {"standby": {"rollback_id": record.rollback_id, "digest": record.digest}}

    def call(self, _before: Any, times: int) -> int:
        assert times == 5
        self.calls += 1
        if self.red and self.calls == 2:
            self.world.metrics.alarms[ALARM].append((self.world.clock.now(), "ALARM"))
        return 0 if self.answering else times


@dataclass(frozen=True, kw_only=True)
class Rehearsed(AutomaticScenario):
    called: Called

    @property
    def functions(self) -> Any:
        return self.called


@dataclass
class Night:
    """A world with a guard that answers `delay` seconds after its alarm, as `caller`; nobody where that is None."""

    world: World
    called: Called
    caller: Actor | None = GUARD
    delay: float = 7.0
    failing: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.driver = Typist(
            session=self.world.session(),
            roles=Roles(read_only=False),
            root=Path(),
            fault=FAILING,
            patience=0,
            world=self.world,
            failing=self.failing,
        )
        self.drill = Drill(
            drill_id="01M88G64H0GP9H62KJ3KXQN5FB",
            environment="dev",
            scenario=AUTOMATIC,
            fault=FAILING,
            by=ALICE,
            began_at=self.world.clock.iso(),
            rto_seconds=300,
            stood="{}",
            seq=self.world.session().ledger.timeline().newest.seq,
        )
        stage = DrillContext(
            session=self.world.session(),
            roles=self.driver.roles,
            driver=self.driver,
            scratch=SimpleNamespace(tip="a" * 40, commit=lambda *_: "b" * 40),  # type: ignore[arg-type] # a clone as good as any
            fault=FAILING,
        )
        self.scenario = Rehearsed(stage=stage, called=self.called)
        self.world.clock.meanwhile = self.meanwhile

    def meanwhile(self, _: float) -> None:
        at, state = self.world.metrics.alarms[ALARM][-1]
        if self.caller is None or state != "ALARM":
            return
        if self.world.clock.now() >= at + timedelta(seconds=self.delay):
            self.world.clock.meanwhile = lambda _: None
            self.answer(self.caller)

    def answer(self, caller: Actor) -> None:
        session = self.world.session(caller)
        session = replace(session, prove=partial(guard.prove, session))
        flow = Lifecycle(session=session, ui=Quiet(), stop=threading.Event())
        if caller == GUARD:
            Answering(session=session, flow=flow).answer()
        else:
            flow.take("it fails")

    def rehearse(self) -> None:
        before = self.scenario.look()
        self.scenario.go_bad(self.drill, before)
        self.scenario.roll_back(self.drill, before)

    @property
    def seconds(self) -> float:
        return self.driver.watch.seconds


@pytest.fixture
def night(world: World) -> Night:
    world.settings = settings(automatic={"takes": True, "bake": 30}, guard={"errors": 5})
    for service in ("sns", "scheduler"):
        world.invokers[service] = SimpleNamespace(  # type: ignore[assignment] # a client as good as any
            publish=lambda **_: None,
            create_schedule=lambda **_: None,
            exceptions=SimpleNamespace(ConflictException=KeyError),
        )
    world.story()
    world.clock.seconds = 7200.0
    for name in (ALARM, "acme-dev-guard-teams"):
        world.metrics.alarms[name] = [(BEGAN - timedelta(days=1), "OK")]
    return Night(world, Called(world))


@contextmanager
def fails(code: Code, match: str = ".") -> Iterator[None]:
    with pytest.raises(RollbackError, match=match, check=coded(code)):
        yield


def test_what_the_guard_takes_is_measured_from_the_alarms_transition(night: Night) -> None:
    versions = night.world.versions()

    night.rehearse()

    assert night.world.versions() == versions
    (name,) = night.driver.watch.rollbacks
    record = night.world.session().ledger.load(name).record
    assert (record.status, record.taken_by, record.alarm) == (Status.COMPLETE, GUARD, ALARM)
    assert night.called.calls == 2, "it is called until the alarm is red, and no more"
    assert night.seconds == 7.0
    assert night.driver.typed == [("rollback", "guard", "status")], "nobody types a rollback"


@pytest.mark.parametrize("since", [0.0, 60.0, 1799.0])
def test_where_the_alarm_was_red_of_late_nothing_is_made_bad(night: Night, since: float) -> None:
    at = night.world.clock.now() - timedelta(seconds=since)
    night.world.metrics.alarms[ALARM] += [(at - timedelta(hours=1), "ALARM"), (at, "OK")]

    with pytest.raises(Refused, check=coded(Code.DRILL_REFUSED)) as raised:
        night.scenario.look()

    assert raised.value.next


def test_where_it_was_red_before_that_it_is_drilled(night: Night) -> None:
    at = night.world.clock.now() - timedelta(minutes=31)
    night.world.metrics.alarms[ALARM] += [(at - timedelta(hours=1), "ALARM"), (at, "OK")]

    assert night.scenario.look() == BEFORE


def test_where_the_guard_would_not_answer_nothing_is_made_bad(night: Night) -> None:
    night.driver.failing.add("guard")

    with fails(Code.DRILL_REFUSED):
        night.scenario.look()


def _nobody(night: Night) -> None:
    night.caller = None


def _person(night: Night) -> None:
    night.caller = ALICE


def _declined(night: Night) -> None:
    # It was red before the release: `look` has not seen it yet.
    night.world.metrics.alarms[ALARM] += [
        (night.world.clock.now() + timedelta(seconds=seconds), state)
        for seconds, state in ((-9.0, "ALARM"), (-8.0, "OK"))
    ]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda night: setattr(night.called, "red", False), "did not go off within 360 s"),
        (lambda night: setattr(night.called, "answering", True), "still responds"),
        (lambda night: setattr(night.called, "standby", False), "there is none"),
        (_nobody, "was not taken and finished within 300 s"),
        (_person, "not by the guard"),
        (_declined, "RED_BEFORE"),
    ],
    ids=[
        "never red",
        "not bad",
        "no standby",
        "nobody answers",
        "a person takes it",
        "the guard takes nothing",
    ],
)
def test_it_has_not_passed_where(night: Night, change: Callable[[Night], None], why: str) -> None:
    before = night.scenario.look()
    change(night)

    with fails(Code.DRILL_FAILED, why):
        night.scenario.go_bad(night.drill, before)
        night.scenario.roll_back(night.drill, before)


def test_what_was_not_taken_is_not_on_standby_after_the_drill(night: Night) -> None:
    night.caller = None
    with fails(Code.DRILL_FAILED):
        night.rehearse()
    (record,) = night.driver.opened(night.drill)
    assert record.status is Status.STANDBY

    night.driver.clean_up(night.drill)

    (record,) = night.driver.opened(night.drill)
    assert record.status is Status.ABORTED
    night.driver.clean_up(night.drill)
    assert [one[1] for one in night.driver.typed].count("abort") == 1


def test_who_asks_to_stop_is_not_waited_for(night: Night) -> None:
    night.called.red = False
    night.world.clock.meanwhile = lambda _: night.driver.stop.set()

    with fails(Code.INTERRUPTED):
        night.rehearse()


def test_a_plan_has_the_guard_rehearse_the_services_alarm(night: Night) -> None:
    night.scenario.plan()

    assert ("rollback", "guard", "test", "--alarm", ALARM) in night.driver.typed
    night.driver.failing.add("guard")
    with fails(Code.DRILL_FAILED):
        night.scenario.plan()
