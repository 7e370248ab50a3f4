"""What `status --watch` reads and shows: a running rollback by its journal alone, functions at a bounded rate."""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import Any

import pytest

from rollback.lifecycle.freeze import freeze
from rollback.model.request import AliasesRequest
from rollback.queries.live_status import LiveStatus, Watched
from rollback.views.live_status import change_line, changes
from rollback.views.terminal import Terminal
from tests import outputs
from tests.doubles.world import ALICE, BOB, World, approved_by, settings


class Looks:
    """Somebody who watches a world: their looks, and what of Lambda's they have asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.live = LiveStatus(monotonic=world.clock.monotonic, sleep=world.clock.sleep)
        self.asked: Counter[str] = Counter()

    def look(self) -> Watched:
        before, self.world.functions.before = self.world.functions.before, self._heard
        try:
            return self.live.look(self.world.session())
        finally:
            self.world.functions.before = before

    def _heard(self, operation: str, _function: str) -> None:
        self.asked[operation] += 1


@pytest.fixture
def looks(world: World) -> Looks:
    world.story()
    return Looks(world)


def said(before: Watched, now: Watched) -> dict[str, str]:
    return {change["subject"]: change["what"] for change in changes(before, now)}


def test_while_a_rollback_runs_its_functions_are_seen_and_nothing_of_lambdas_is_asked(
    looks: Looks,
) -> None:
    seen: list[Watched] = []
    turn = threading.Lock()

    def before(operation: str, _function: str) -> None:
        with turn:
            if operation == "UpdateAlias":
                seen.append(looks.look())

    looks.world.functions.before = before

    assert looks.world.begin().error is None

    (run,) = seen[-1].runs
    assert seen[-1].busy
    assert run.counts["planned"] == len(looks.world.names)
    assert {(step["from"], step["to"]) for step in run.outcomes} == {("3", "2")}
    assert [lease.life for lease in seen[-1].leases] == ["RUNNING"]
    assert seen[-1].advice[0].state == "RUNNING"
    assert set(looks.asked) <= {"UpdateAlias"}, "which is the rollback's own"


def test_functions_are_read_once_until_the_ledger_changes_or_half_a_minute_has_passed(looks: Looks) -> None:
    looks.look()
    looks.look()
    assert looks.asked == {"GetFunction": 3}

    looks.world.clock.sleep(31)
    looks.look()
    assert looks.asked == {"GetFunction": 6}

    freeze(looks.world.session(ALICE), "looking into it")
    looks.look()
    assert looks.asked == {"GetFunction": 9}


def test_many_functions_take_their_time(world: World) -> None:
    world.settings = settings(services={"teams": [f"teams-{number}" for number in range(50)]})
    world.story()
    looks = Looks(world)
    began = world.clock.monotonic()

    looks.look()

    assert looks.asked == {"GetFunction": 50}
    assert world.clock.monotonic() - began >= 2


def test_each_change_is_one_line_and_what_stays_is_none(looks: Looks) -> None:
    first, second = looks.look(), looks.look()
    assert {change["subject"] for change in changes(None, first)} == {"state", "deployed"}
    assert changes(first, second) == []

    done = looks.world.begin().record
    assert done is not None
    third = looks.look()
    looks.world.functions.point(looks.world.names[0], "1")
    looks.world.clock.sleep(31)
    drift = looks.look()

    assert said(second, third)["deployed"] == "v1.1.0"
    assert said(third, drift)[looks.world.names[0]] == "at version 1, expected 2"
    assert said(third, drift)["state"].startswith("DRIFT")
    line = change_line(changes(third, drift)[-1])
    assert "\n" not in line
    assert looks.world.names[0] in line


def test_a_record_is_seen_to_wait_to_be_approved_and_to_have_ended(looks: Looks) -> None:
    before = looks.look()
    name = approved_by(looks.world, None)
    waits = looks.look()
    record = looks.world.session().ledger.load(name).record
    looks.world.flow(BOB).approve(name, record.digest)
    approved = looks.look()
    looks.world.flow().apply(name)
    ended = looks.look()

    assert said(before, waits)[name].startswith("AWAITING_APPROVAL")
    assert said(waits, approved)[name].count("approved by bob") == 1
    assert "is COMPLETE" in said(approved, ended)[name]
    assert [one.rollback_id for one in ended.ended] == [name]


def test_a_plan_that_waits_is_not_made_again_at_each_look(looks: Looks) -> None:
    held: Any = looks.world.flow().start("aliases", AliasesRequest(), "it went bad", hold=True)
    assert held.record is not None

    looks.look()
    looks.look()

    assert looks.asked == {"GetFunction": 3}


def test_for_a_program_each_change_is_an_object_on_a_line(
    looks: Looks, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal(json_output=True)

    assert terminal.lines(changes(None, looks.look()), change_line)

    out = capsys.readouterr().out
    outputs.check(["status", "--watch", "--json"], out)
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["subject"] for row in rows] == ["state", "deployed"]
