"""Drills in the ledger: begun, ended, audited; and what speaks against beginning one."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer
from rich.console import Console

from rollback.cli.app import app
from rollback.ledger.drill_integrity import drill_findings
from rollback.lifecycle import context, drill_store
from rollback.lifecycle.quarantine import quarantine
from rollback.model.drill import BEGUN, CODE, Drill
from rollback.model.identity import Actor
from rollback.model.situation import State
from rollback.queries import audit
from rollback.queries.history import past
from rollback.queries.status import overview
from rollback.rehearsal import runner
from rollback.rehearsal.roles import Roles
from rollback.rehearsal.runner import DrillRequest, DrillRunner, refuse_unhealthy
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    StoppedAtOnce,
    UsageError,
)
from rollback.views.documents import overview_document
from rollback.views.records import overview_view
from tests.coded import coded
from tests.doubles.world import ALICE, BOB, TABLE, Quiet, World
from tests.outputs import fits


def begun(world: World, number: int = 1) -> Drill:
    drill = Drill(
        drill_id=f"01M88G64H0GP9H62KJ3KXQN5F{number}",
        environment="dev",
        scenario=CODE,
        fault="failing",
        by=ALICE,
        began_at=world.session().clocks.now(),
        rto_seconds=300,
        stood='{"a":1}',
        seq=0,
    )
    drill_store.begin(world.session().ledger, drill)
    return drill


def ended(world: World, drill: Drill) -> Drill:
    over = drill.ended(world.session().clocks.now(), seconds=1.5, waited=0.0, rollbacks=["01M"], why="")
    drill_store.end(world.session(), over)
    return over


def where(drill: Drill) -> dict[str, Any]:
    key = {"PK": {"S": "RELEASE#dev"}, "SK": {"S": f"DRILL#{drill.drill_id}"}}
    return {"TableName": TABLE, "Key": key}


def found(world: World) -> list[str]:
    """What an audit finds of the timeline and of drills."""
    session = world.session()
    walk = audit.Walk(session.ledger, session.account.each, Quiet())
    trail = [finding.what for finding in walk.timeline()]
    return trail + [one.what for one in drill_findings("dev", walk.chain.drills, walk._drills)]


def test_a_drill_is_there_from_its_beginning_and_its_end_is_in_the_timeline(world: World) -> None:
    drill = begun(world)
    assert drill_store.unfinished(world.session().ledger) == [drill]

    over = ended(world, drill)

    assert drill_store.drills(world.session().ledger) == [over]
    assert drill_store.unfinished(world.session().ledger) == []
    entry = next(iter(world.timeline()))
    assert (entry.kind, entry.id, entry.status) == ("drill", drill.drill_id, "PASSED")
    (moment,) = past(world.session(), 10, "drill").moments
    assert (moment.what, moment.seconds, moment.movement) == (drill.drill_id, 1.5, "code, failing")


def test_it_ends_once(world: World) -> None:
    drill = begun(world)
    ended(world, drill)

    with pytest.raises(Refused, check=coded(Code.LEDGER_BUSY)):
        ended(world, drill)


def test_a_drill_changes_nothing_of_what_is_deployed(world: World) -> None:
    world.story()
    before = world.timeline().all_deployed

    ended(world, begun(world))

    assert world.timeline().all_deployed == before
    world.begin()
    assert world.deployed == "v1.1.0"


@pytest.mark.parametrize(
    ("name", "value"), [("seconds", 7), ("why", "nothing"), ("status", BEGUN), ("more", 1)]
)
def test_an_edit_of_a_drill_is_found_by_audit(world: World, name: str, value: Any) -> None:
    drill = ended(world, begun(world))
    assert found(world) == []

    world.dynamodb.update_item(
        **where(drill),
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": TypeSerializer().serialize(value)},
    )

    assert len(found(world)) == 1


def test_a_drill_that_is_gone_is_missed(world: World) -> None:
    drill = ended(world, begun(world))

    world.dynamodb.delete_item(**where(drill))

    assert "it is missing" in found(world)[0]


def test_where_something_is_in_flight_nothing_is_made_bad(world: World) -> None:
    world.story()
    refuse_unhealthy(overview(world.session()))
    world.session().leases.take("stack", "01M")

    with pytest.raises(Refused, match="a lease is held on stack", check=coded(Code.DRILL_REFUSED)):
        refuse_unhealthy(overview(world.session()))


def test_without_a_release_there_is_nothing_to_go_back_to(world: World) -> None:
    with pytest.raises(Refused, match="no release is recorded", check=coded(Code.DRILL_REFUSED)):
        refuse_unhealthy(overview(world.session()))


OF_DRILL = "drill-01M88G64H0GP9H62KJ3KXQN5FB"


def test_where_a_drill_was_killed_status_names_the_line_that_restores(world: World) -> None:
    world.story()
    world.release(OF_DRILL)
    world.record(OF_DRILL)
    world.session().leases.take("drill", OF_DRILL)
    world.clock.sleep(3600)

    view = overview(world.session())

    assert view.advice[0].commands == ("rollback drill --env dev --scenario code",)
    assert view.advice[0].state is State.INTERRUPTED
    assert len(view.advice) == 1
    assert view.ways == ()


def test_what_a_drill_made_bad_is_never_the_previous_release(world: World) -> None:
    world.story()
    for version in (OF_DRILL, "v1.3.0"):
        world.release(version)
        world.record(version)

    view = overview(world.session())

    assert {service.previous for service in view.services} == {"v1.2.0"}
    assert world.begin().record.to_version == "v1.2.0"


def test_quarantined_releases_of_drills_are_counted_on_the_screen_and_listed_in_json(world: World) -> None:
    world.story()
    versions = [f"{OF_DRILL[:-1]}{last}" for last in "ABCDE"]
    for version in (*versions, "v1.3.0"):
        world.release(version)
        world.record(version)
    for version in (*versions, "v1.1.0"):
        quarantine(world.session(), version, [], "so")
    view = overview(world.session())
    screens = [io.StringIO(), io.StringIO()]
    for screen, width in zip(screens, (80, 60), strict=True):
        Console(width=width, file=screen).print(overview_view(view))

    for screen in screens:
        assert "v1.1.0, 5 of drills" in screen.getvalue()
        assert "drill-" not in screen.getvalue()
    document = overview_document(view)
    assert set(document["services"][0]["quarantined_versions"]) == {*versions, "v1.1.0"}


def test_releases_of_drills_are_not_offered_where_a_release_is_not_known(world: World) -> None:
    for version in ("v1.0.0", OF_DRILL):
        world.release(version)
        world.record(version)

    with pytest.raises(UsageError, check=coded(Code.UNKNOWN_RELEASE)) as raised:
        world.begin("v9.9.9")

    assert raised.value.next.endswith("recorded: v1.0.0")


@pytest.fixture
def typing(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Types a command line in this world: its exit code, and what it wrote to standard output."""

    def typed(*arguments: str, caller: Actor = ALICE) -> tuple[int, str]:
        for name in ("begin", "session_of"):
            monkeypatch.setattr(context, name, lambda *_, **__: world.session(caller))
        capsys.readouterr()
        return int(app(list(arguments), standalone_mode=False) or 0), capsys.readouterr().out

    return typed


@pytest.mark.parametrize("name", [str, str.lower, "drill-{}".format], ids=["id", "small letters", "release"])
def test_a_drill_is_shown_by_the_id_that_history_lists(
    world: World, typing: Callable[..., tuple[int, str]], name: Callable[[str], str]
) -> None:
    over = ended(world, begun(world))
    begun(world, 2)

    code, shown = typing("show", name(over.drill_id), "--env", "dev")
    document = json.loads(typing("show", name(over.drill_id), "--env", "dev", "--json")[1])

    assert code == 0
    for text in (over.drill_id, "code", "failing", "alice", "1.5 s", "01M", "PASSED"):
        assert text in shown
    for key, value in {"kind": "drill", "drill": True, "passed": True, "rollbacks": ["01M"]}.items():
        assert document[key] == value
    assert document["id"] == over.drill_id
    fits("show", document)


@pytest.mark.parametrize(
    ("caller", "number"), [(ALICE, 2), (BOB, 1)], ids=["no drill", "the approver may not read it"]
)
def test_what_is_neither_a_rollback_nor_a_readable_drill_is_not_known(
    world: World, typing: Callable[..., tuple[int, str]], caller: Actor, number: int
) -> None:
    begun(world, 1)

    code, shown = typing("show", f"01M88G64H0GP9H62KJ3KXQN5F{number}", "--env", "dev", caller=caller)

    assert (code, shown) == (2, "")


@dataclass
class Ends:
    """A scenario in which one step ends the drill."""

    at: str
    error: BaseException

    def look(self) -> Any:
        return {}

    def restore(self, *_: Any) -> None:
        self.step("restore")

    def go_bad(self, *_: Any) -> None:
        self.step("go_bad")

    def roll_back(self, *_: Any) -> None: ...

    def gone(self, *_: Any) -> None: ...

    def step(self, name: str) -> None:
        if self.at == name:
            raise self.error


@pytest.fixture
def drilling(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a drill of a scenario that ends at one of its steps."""
    world.story()
    place = SimpleNamespace(root=Path())
    monkeypatch.setattr(runner, "scratch", lambda *_: nullcontext(place))
    monkeypatch.setattr(DrillRunner, "_answering", lambda _: None)

    def drill(ends: Ends) -> None:
        known = SimpleNamespace(on=lambda _: ends, faults=("failing",), kinds=())
        monkeypatch.setitem(runner.KNOWN, CODE, known)
        roles = Roles(read_only=False, _own=world.session().account)
        DrillRunner(
            session=world.session(),
            roles=roles,
            ui=Quiet(),
            stop=threading.Event(),
            request=DrillRequest(scenarios=(CODE,)),
        ).run()

    return drill


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), Code.ENDED), (RollbackError("so"), Code.DRILL_NOT_RESTORED)],
    ids=["Ctrl-C twice", "an error"],
)
def test_a_drill_that_does_not_restore_names_the_line_that_does(
    world: World, drilling: Callable[..., None], error: BaseException, code: Code, *, earlier: bool
) -> None:
    left = begun(world) if earlier else None

    with pytest.raises(RollbackError, check=coded(code)) as raised:
        drilling(Ends("restore", error))

    assert isinstance(raised.value, StoppedAtOnce) is (code is Code.ENDED)
    assert raised.value.next.startswith("rollback drill --env dev --scenario code")
    (unfinished,) = drill_store.unfinished(world.session().ledger)
    assert left in (None, unfinished)


def test_a_drill_that_is_stopped_at_once_while_something_is_bad_names_the_line_that_restores(
    world: World, drilling: Callable[..., None]
) -> None:
    with pytest.raises(StoppedAtOnce, check=coded(Code.ENDED)) as raised:
        drilling(Ends("go_bad", KeyboardInterrupt()))

    (left,) = drill_store.unfinished(world.session().ledger)
    assert raised.value.next.startswith("rollback drill --env dev --scenario code")
    assert left.drill_id in raised.value.changed
