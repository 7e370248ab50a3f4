"""What a drill writes down and tells, where there is none, and the clone that it commits in."""

from __future__ import annotations

import io
import os
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localaws.emulator.past import TableHistory
from rollback.config.settings import Settings, load
from rollback.model.drill import (
    AUTOMATIC,
    CODE,
    FAILED,
    FULL,
    PASSED,
    SCENARIOS,
    TABLE,
    Drill,
    guarded_service,
    scenarios,
    table,
)
from rollback.model.identity import Actor
from rollback.rehearsal.cli_driver import CliDriver, CommandOutcome
from rollback.rehearsal.lambda_faults import marked
from rollback.rehearsal.roles import Roles
from rollback.rehearsal.runner import DrillRequest, DrillRunner, judged
from rollback.rehearsal.scenarios.infrastructure import bad
from rollback.rehearsal.scenarios.table import keyed
from rollback.rehearsal.temp_clone import Scratch, scratch
from rollback.util.errors import (
    Code,
    Refused,
    Reverted,
    UsageError,
)
from rollback.views.drill import cells, markdown
from tests.coded import coded
from tests.doubles.world import settings as small

DORA = Actor(role="acme-dev-drill-role", person="dora")
GUARDED: dict[str, Any] = {"guard": {}, "automatic": {"takes": True}}


def drill(scenario: str = CODE, **more: Any) -> Drill:
    values: dict[str, Any] = {
        "drill_id": "01M88G64H0GP9H62KJ3KXQN5FB",
        "environment": "dev",
        "scenario": scenario,
        "fault": "failing",
        "by": DORA,
        "began_at": "2026-11-25T04:00:00.000Z",
        "rto_seconds": 300,
        "stood": "{}",
        "seq": 7,
    }
    return Drill(**values | more)


def ended(one: Drill, seconds: float | None = 12.34, why: str = "") -> Drill:
    return one.ended("2026-11-25T04:01:00.000Z", seconds=seconds, waited=0.0, rollbacks=["01M"], why=why)


# -- what is told ----------------------------------------------------------------------------------------------


def test_the_table_has_a_row_for_every_scenario_and_shows_of_which_there_was_no_drill() -> None:
    rows = table(small(**GUARDED), [ended(drill())])

    assert [row.scenario for row in rows] == list(SCENARIOS)
    assert [row.rto_seconds for row in rows] == [300, 300, 900, 1800, 3600, 300]
    assert cells(rows[0]) == ("code", "5 min", "2026-11-25T04:00:00Z", "12.3 s", "yes", "failing", "dora")
    assert cells(rows[4])[2:5] == ("never", "", "–")


def test_where_no_alarm_may_take_anything_the_table_has_that_scenario_only_if_it_was_drilled() -> None:
    without = [row.scenario for row in table(small(), [])]

    assert without == [name for name in SCENARIOS if name != AUTOMATIC]
    assert [row.scenario for row in table(small(), [ended(drill(AUTOMATIC))])] == list(SCENARIOS)
    assert [row.scenario for row in table(small(), [ended(drill(AUTOMATIC, read_only=True))])] == list(
        SCENARIOS
    )


def test_the_newest_drill_counts_and_one_that_has_not_ended_does_not() -> None:
    rows = table(small(), [ended(drill(), 1.0), ended(drill(), why="it failed"), drill()])

    assert rows[0].last is not None
    assert (rows[0].last.status, cells(rows[0])[4]) == (FAILED, "no")


def test_a_plan_is_no_drill() -> None:
    rows = table(small(), [ended(drill(FULL, read_only=True))])

    assert rows[3].last is None
    assert cells(rows[3])[2] == "never (planned 2026-11-25T04:00:00Z)"


def test_a_drill_slower_than_the_budget_has_not_passed() -> None:
    assert ended(drill(), 300.0).status == PASSED
    assert ended(drill(), 300.1).status == FAILED
    assert ended(drill(), 300.1).why == "it took longer than 300 s"
    assert ended(drill(), None).status == FAILED


def test_what_a_person_is_called_means_nothing_in_a_summary() -> None:
    shown = markdown("dev", table(small(), [ended(drill(by=replace(DORA, person="<b>|x\x1b[2J")))]))

    assert r"| \<b\>\|x |" in shown


def test_a_drill_that_did_not_pass_shows_why_and_that_everything_is_restored() -> None:
    judged([ended(drill())])

    with pytest.raises(Reverted, match=r"code .*it was slow", check=coded(Code.DRILL_FAILED)) as raised:
        judged([ended(drill(), why="it was slow")])
    assert raised.value.changed == "What was deployed before was restored."


# -- what is asked for -------------------------------------------------------------------------------------------


def test_scenarios_are_named_one_by_one_or_all() -> None:
    assert scenarios("all", small(**GUARDED)) == SCENARIOS
    assert scenarios("full, code,full", small()) == (FULL, CODE)


@pytest.mark.parametrize("changed", [{}, {"guard": {}}, {"automatic": {"takes": True}}])
def test_all_are_those_that_the_environment_has(changed: dict[str, Any]) -> None:
    assert AUTOMATIC not in scenarios("all", small(**changed))


@pytest.mark.parametrize("text", ["", ",", "all,code", "cod"])
def test_what_is_no_scenario_is_reported(text: str) -> None:
    with pytest.raises(UsageError, check=coded(Code.OPTION_INVALID)):
        scenarios(text, small())


def test_the_smallest_service_goes_bad_whose_alarm_may_take_something_or_the_named_one() -> None:
    assert guarded_service(small(**GUARDED)) == "roles"
    assert guarded_service(small(**GUARDED), ["teams"]) == "teams"
    some = small(guard={}, automatic={"takes": True, "services": ["teams"]})
    assert guarded_service(some) == "teams"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({}, ()),
        ({"automatic": {"takes": True}}, ()),
        ({"guard": {}}, ()),
        ({"guard": {"errors": 0, "throttles": 1}, "automatic": {"takes": True}}, ()),
        ({"guard": {}, "automatic": {"takes": True, "services": ["teams"]}}, ("roles",)),
    ],
    ids=["nothing", "no guard", "takes is off", "no alarm of errors", "its alarm may not"],
)
def test_without_an_alarm_that_may_take_it_nothing_is_made_bad(
    changed: dict[str, Any], named: tuple[str, ...]
) -> None:
    settings = small(**changed)
    session: Any = SimpleNamespace(environment="dev", settings=settings)
    request = DrillRequest(scenarios=(CODE, AUTOMATIC), services=named)
    nobody: Any = None
    runner = DrillRunner(session=session, roles=nobody, ui=nobody, stop=nobody, request=request)

    with pytest.raises(Refused, check=coded(Code.DRILL_REFUSED)) as raised:
        runner.run()

    assert raised.value.next


@pytest.mark.parametrize(
    ("typed", "named"),
    [("code", "code"), ("full, table", "full,table"), ("all", "all"), ("cod", "code"), ("", "code")],
)
def test_in_production_the_line_that_only_plans_is_whole(typed: str, named: str) -> None:
    # The drill role does not exist there.
    somebody = replace(DORA, role="acme-dev-rollback-role")
    own: Any = SimpleNamespace(settings=small(production=True), caller=somebody)

    with pytest.raises(Refused, check=coded(Code.WRONG_ROLE)) as raised:
        Roles(read_only=False, scenario=typed).take(own)

    assert raised.value.next == f"rollback drill --env dev --scenario {named} --read-only"


def test_a_fault_is_one_of_the_scenario_and_each_has_its_own() -> None:
    assert DrillRequest(scenarios=(CODE,)).fault_of(CODE) == "failing"
    assert DrillRequest(scenarios=(TABLE,)).fault_of(TABLE) == "none"
    with pytest.raises(UsageError, match=r"throttled .*table", check=coded(Code.OPTION_INVALID)):
        DrillRequest(scenarios=(TABLE,), fault="throttled").fault_of(TABLE)


# -- how things go bad -------------------------------------------------------------------------------------------


def test_bad_code_has_no_handler_and_harmless_code_only_a_file_more() -> None:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): ...")

    assert zipfile.ZipFile(io.BytesIO(marked(b""))).namelist() == ["drill.txt"]
    assert zipfile.ZipFile(io.BytesIO(marked(package.getvalue()))).namelist() == ["index.py", "drill.txt"]


@pytest.mark.parametrize(
    "program",
    [
        (Path(__file__).parents[3] / "__main__.py").read_text(),
        '"""Ours."""\n\nfrom __future__ import annotations\n\nimport pulumi\n\npulumi.export("a", 1)\n',
        "print('no pulumi')\n",
        "",
    ],
)
def test_a_bad_program_is_the_good_one_and_a_tag_too_many(program: str) -> None:
    made = bad(program, "01M")

    compile(made, "__main__.py", "exec")
    assert '"drill": "01M"' in made
    assert made.index("register_stack_transformation") < min(
        (made.index(does) for does in ("declare()", "pulumi.export", "print") if does in made),
        default=len(made),
    )
    assert [line for line in program.splitlines() if line not in made.splitlines()] == []


def test_a_program_that_is_no_python_is_not_made_bad() -> None:
    with pytest.raises(Refused, check=coded(Code.DRILL_REFUSED)):
        bad("def (", "01M")


def test_an_item_of_a_drill_has_a_key_of_the_tables_types() -> None:
    key = keyed({"keys": [["PK", "S"], ["SK", "N"]]}, drill().drill_id)

    assert key["PK"] == {"S": f"drill#{drill().drill_id}"}
    assert key["SK"]["N"].isdigit()
    assert len(key["SK"]["N"]) <= 38


# -- the clone ---------------------------------------------------------------------------------------------------


Git = Callable[..., str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout of a platform, in a folder of its repository, with a hook that must not run."""
    top = tmp_path / "repository"
    place = top / "platform"
    place.mkdir(parents=True)
    source = Path(__file__).parents[3]
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml"):
        (place / name).write_text((source / name).read_text())
    (place / "__main__.py").write_text("import pulumi\n")
    git(top, "init", "-q", "-b", "main")
    git(top, "add", ".")
    git(top, "commit", "-qm", "the platform")
    hook = top / ".git" / "hooks" / "post-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch ran\n")
    hook.chmod(0o755)
    return place


def git(place: Path, *arguments: str) -> str:
    actor = ("-c", "user.name=dan", "-c", "user.email=dan@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *actor, "-C", str(place), *arguments],
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def dev(root: Path) -> Settings:
    return load(root, "dev")


def commit(made: Scratch) -> str:
    return made.commit("bad on purpose", made.tip, {"__main__.py": "import pulumi\nbad\n"})


def test_a_bad_commit_is_made_on_the_protected_branch_of_a_clone_and_nowhere_else(root: Path) -> None:
    good, top = git(root, "rev-parse", "HEAD"), root.parent

    with scratch(root, dev(root)) as made:
        sha = commit(made)

        assert git(made.top, "merge-base", "--is-ancestor", sha, "main") == ""
        assert git(made.top, "rev-parse", f"{sha}^") == good
        assert made.file(sha, "__main__.py") == "import pulumi\nbad\n"
        assert (made.root / "__main__.py").read_text() == "import pulumi\n", "the branch is as it was"
        assert git(made.top, "status", "--porcelain") == ""
        clone = made.top
    assert not clone.exists()
    assert (git(root, "rev-parse", "HEAD"), git(top, "status", "--porcelain")) == (good, "")
    assert subprocess.run(["git", "-C", str(top), "cat-file", "-e", sha], check=False).returncode
    assert not list(top.parent.rglob("ran")), "no hook of anybody's runs"


def test_what_is_drilled_is_what_is_on_the_protected_branch(root: Path) -> None:
    stack = root / "Pulumi.dev.yaml"
    stack.write_text(stack.read_text() + "# and more\n")

    with (
        pytest.raises(Refused, match=r"Pulumi\.dev\.yaml .*'main'", check=coded(Code.DRILL_REFUSED)),
        scratch(root, dev(root)),
    ):
        pass


# -- the emulator's past -----------------------------------------------------------------------------------------


def test_what_came_after_a_second_is_undone_newest_first() -> None:
    times = iter([100.0, 100.0, 101.5, 102.0, 103.0])
    past = TableHistory(clock=lambda: next(times))
    past.switched_on("t")
    past.changed("t", "a", "-", None)
    past.changed("t", "a", "-", "one")
    past.changed("t", "a", "-", "two")

    assert [before for *_, before in past.undone("t", 101.0)] == ["two", "one", None]
    assert [before for *_, before in past.undone("t", 102.0)] == ["two"]
    assert list(past.undone("t", 99.0)) == [], "before the window it is the present"


# -- what is typed -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Typist(CliDriver):
    """Types nothing, and writes down what it would."""

    typed: list[tuple[str, ...]]

    def type(self, role: str, *arguments: str) -> CommandOutcome:
        self.typed.append((role, *arguments))
        waiting = (
            arguments[0] != "apply" and "--yes" not in arguments and self.session.policy("stack") != "none"
        )
        document = {"rollback_id": "01M", "digest": "d1", "status": "COMPLETE"}
        return CommandOutcome(code=10 if waiting else 0, document=document, output="")


def typist(environment: str, policy: str) -> Typist:
    confirmed = load(Path(__file__).parents[3], environment)
    session: Any = SimpleNamespace(environment=environment, policy=lambda _: policy, settings=confirmed)
    return Typist(
        session=session, roles=Roles(read_only=False), root=Path(), fault="none", patience=0, typed=[]
    )


@pytest.mark.parametrize(
    ("environment", "policy", "typed"),
    [
        ("dev", "none", [("deployer", "stack")]),
        ("dev", "confirm", [("deployer", "stack", "--yes")]),
        ("sit", "confirm", [("deployer", "stack"), ("deployer", "apply", "01M", "--digest", "d1")]),
    ],
)
def test_a_plan_is_confirmed_as_its_environment_asks(
    environment: str, policy: str, typed: list[tuple[str, ...]]
) -> None:
    driver = typist(environment, policy)

    assert driver.roll_back("deployer", "stack", "stack")["status"] == "COMPLETE"

    assert driver.typed == typed
    assert driver.watch.rollbacks == ["01M"]


@dataclass(frozen=True, kw_only=True)
class Approved(Typist):
    """Another person approves at once, and needs three seconds."""

    approved: list[tuple[str, str]]

    def _approved(self, name: str, digest: str) -> float:
        self.approved.append((name, digest))
        return 3.0


@pytest.mark.parametrize(
    ("policy", "waited", "asked"),
    [("none", 0.0, []), ("confirm", 0.0, []), ("identity", 3.0, [("01M", "d1")])],
)
def test_what_is_on_standby_is_approved_by_another_person_where_its_environment_asks(
    policy: str, waited: float, asked: list[tuple[str, str]]
) -> None:
    of = typist("dev", policy)
    driver = Approved(
        session=of.session, roles=of.roles, root=Path(), fault="failing", patience=0, typed=[], approved=[]
    )

    driver.approve("aliases", "01M", "d1")

    assert (driver.watch.waited, driver.approved) == (waited, asked)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("", ""),
        ("Planning\n✗ It failed.\n  next: try again\n", "Planning; ✗ It failed.; next: try again"),
        (
            'Planning\n{"code": "FAILED", "message": "It failed:\\nno", "changed": "", "next": ["a", "b"], "hint": "a\\nb"}\n',
            "It failed:; no; a; b",
        ),
        ("Killed\n4711\n", "Killed; 4711"),
    ],
    ids=["nothing", "in words", "as JSON", "a number"],
)
def test_why_a_command_of_a_drill_ended_is_its_last_output(message: str, why: str) -> None:
    assert CommandOutcome(code=1, document=None, output=message).why == why
