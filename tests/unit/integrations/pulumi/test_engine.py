"""How a command of the engine's is run and ended, with a script in the engine's place."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pulumi.automation import Deployment

import rollback
from rollback.engines.gated.pulumi_command import QuietStack, ignored
from rollback.engines.pulumi import virtualenv
from rollback.engines.pulumi.engine import (
    CommandResult,
    CommandWatch,
    Engine,
    EngineError,
    Locked,
    failed,
)
from rollback.engines.pulumi.installation import INSTALLER
from rollback.engines.pulumi.virtualenv import Checkouts, local_packages, provide
from rollback.ledger.lease import LeaseLost
from rollback.util.errors import Code, UsageError
from rollback.util.process_identity import Process, began
from tests.coded import coded

Make = Callable[[str], Engine]


def up(stack: QuietStack) -> object:
    return stack.up(on_event=ignored)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes an engine of a shell script."""

    def make(script: str) -> Engine:
        place = tmp_path / "bin" / "pulumi"
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"#!/bin/sh\n{script}\n")
        place.chmod(0o755)
        monkeypatch.setenv("PATH", f"{place.parent}{os.pathsep}{os.environ['PATH']}")
        return Engine.found("file:///state")

    return make


def test_the_callers_variables_change_nothing_of_what_is_done(
    engine: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PULUMI_OPTION_TARGET", "PULUMI_SKIP_CHECKPOINTS", "PULUMI_DEBUG_GRPC", "PULUMI_STACK"):
        monkeypatch.setenv(name, "junk")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "kept")

    printed = tmp_path / "printed"
    ended = engine(f"env > {printed}").install(tmp_path, 10)

    assert ended.ok
    assert "junk" not in printed.read_text()
    assert "PULUMI_CONFIG_PASSPHRASE=kept" in printed.read_text()


def test_what_cannot_be_written_down_is_not_started(engine: Make, tmp_path: Path) -> None:
    ran, pids = tmp_path / "ran", []

    def starts(process: Process) -> None:
        pids.append(process.pid)
        raise LeaseLost("another process has taken it")

    with pytest.raises(LeaseLost):
        engine(f"touch {ran}").run(
            tmp_path, "dev", up, watch=CommandWatch(seconds=10, began=starts), variables={}
        )

    assert not ran.exists()
    assert not began(pids[0])


def test_its_events_are_reported_and_its_errors_kept(engine: Make, tmp_path: Path) -> None:
    script = """
while [ $# -gt 0 ]; do [ "$1" = --event-log ] && log=$2; shift; done
echo '{"sequence":1,"timestamp":1,"preludeEvent":{"config":{}}}' >> "$log"
printf '%s\\n' '{"diagnosticEvent":{"severity":"error","message":"<{%fg 1%}>first\\nlast\\n"}}' >> "$log"
echo 'warning: using pulumi-language-python from $PATH' >&2
exit 3
"""
    messages: list[tuple[str, Any]] = []
    watch = CommandWatch(seconds=10, event=lambda kind, data: messages.append((kind, data)))

    ended = engine(script).run(tmp_path, "dev", up, watch=watch, variables={})

    assert [kind for kind, _ in messages] == ["preludeEvent", "diagnosticEvent"]
    assert (ended.code, ended.why, ended.locked) == (3, "first\nlast", False)


def test_a_stack_that_is_locked_is_distinguished(engine: Make, tmp_path: Path) -> None:
    script = "echo 'error: the stack is currently locked by 1 lock(s).' >&2; exit 1"

    with pytest.raises(Locked, match="currently locked", check=coded(Code.STATE_LOCKED)):
        engine(script).ask(tmp_path, "dev", lambda stack: stack.import_stack(Deployment()))
    with pytest.raises(EngineError, match="pulumi stack export failed:\nno", check=coded(Code.ENGINE_FAILED)):
        engine("echo no >&2; exit 1").ask(tmp_path, "dev", QuietStack.export_stack)


def test_an_engine_that_is_missing_or_of_another_major_is_reported(
    engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"4\.0\.0; .*Pulumi 3", check=coded(Code.TOOL_MISSING)):
        engine("echo v4.0.0").version()
    assert engine("echo v3.1.2").version() == "3.1.2"
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="not on the PATH", check=coded(Code.TOOL_MISSING)):
        Engine.found("file:///state")


def checkouts(worktree: Path, today: Path) -> Checkouts:
    return Checkouts(commit="0" * 40, worktree=worktree, today=today, folder=".")


def test_a_program_gets_todays_virtualenv_where_it_asks_for_the_same(engine: Make, tmp_path: Path) -> None:
    today, folder = tmp_path / "today", tmp_path / "tree"
    (today / ".venv" / "bin").mkdir(parents=True)
    folder.mkdir()
    for place in (today, folder):
        (place / "requirements.txt").write_text("-r more.txt\n")
        (place / "more.txt").write_text("pulumi\n")
    project = {"runtime": {"name": "python", "options": {"virtualenv": ".venv"}}}

    variables = provide(engine(""), project, checkouts(folder, today))

    assert variables == {}
    assert (folder / ".venv" / "bin").resolve() == (today / ".venv" / "bin").resolve()
    assert (folder / ".venv" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("runtime", ["nodejs", {"name": "python", "options": {"toolchain": "uv"}}])
def test_other_runtimes_and_toolchains_install_theirs_themselves(
    engine: Make, tmp_path: Path, runtime: Any
) -> None:
    here = checkouts(tmp_path, tmp_path)
    provide(engine('echo "$@" > asked'), {"runtime": runtime}, here)

    assert (tmp_path / "asked").read_text() == "--non-interactive install\n"
    with pytest.raises(UsageError, match="no such package", check=coded(Code.DEPENDENCIES_UNAVAILABLE)):
        provide(engine("echo no such package; exit 1"), {"runtime": runtime}, here)


def test_what_another_language_needs_and_cannot_have_is_left_to_the_person_in_a_sentence(
    engine: Make, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, check=coded(Code.DEPENDENCIES_UNAVAILABLE)) as error:
        provide(engine("exit 1"), {"runtime": "nodejs"}, checkouts(tmp_path, tmp_path))

    assert (error.value.exit_code, error.value.changed) == (2, "Nothing was changed.")
    assert "pulumi install" in error.value.next
    assert "nodejs" in error.value.next
    assert INSTALLER in error.value.next


def test_a_program_in_yaml_has_no_dependencies(engine: Make, tmp_path: Path) -> None:
    assert provide(engine("exit 1"), {"runtime": "yaml"}, checkouts(tmp_path, tmp_path)) == {}


@pytest.mark.parametrize(
    ("toolchain", "lock", "told"),
    [
        ("uv", "uv.lock", {"UV_FROZEN": "1"}),
        ("uv", "other.lock", {}),
        ("poetry", "poetry.lock", {"POETRY_VIRTUALENVS_IN_PROJECT": "true"}),
    ],
)
def test_a_toolchain_installs_what_the_commit_has_locked_into_its_own_worktree(
    engine: Make, tmp_path: Path, toolchain: str, lock: str, told: dict[str, str]
) -> None:
    (tmp_path / lock).touch()
    project = {"runtime": {"name": "python", "options": {"toolchain": toolchain}}}
    asked = engine("env > asked")

    variables = provide(asked, project, checkouts(tmp_path, tmp_path))

    seen = (tmp_path / "asked").read_text().splitlines()
    assert variables == told
    assert [line for line in seen if line.startswith(("UV_", "POETRY_"))] == [
        f"{name}={value}" for name, value in told.items()
    ]


def test_what_an_installer_writes_is_not_seen_by_git(engine: Make, tmp_path: Path) -> None:
    """The engine would record what it deploys as more than the commit."""
    tree = tmp_path / "tree"
    tree.mkdir()
    git = ("git", "-C", str(tree), "-c", "user.name=dan", "-c", "user.email=dan@example.org")
    (tree / "package-lock.json").write_text("locked\n")
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "locked")):
        subprocess.run([*git, *command], check=True)
    installs = "mkdir node_modules; echo x > node_modules/x; echo y > package-lock.json; echo z > new.lock"

    provide(engine(installs), {"runtime": "nodejs"}, checkouts(tree, tree))

    seen = subprocess.run([*git, "status", "--short"], capture_output=True, text=True, check=True)
    assert seen.stdout == ""
    assert (tree / "package-lock.json").read_text() == "locked\n"
    assert (tree / "node_modules" / "x").exists()


@pytest.mark.parametrize(
    ("requirements", "own"),
    [
        ("pulumi>=3\n", False),
        ("pulumi\n./lib\n", True),
        ("-e .\n", True),
        ("--editable ../lib[extra]\n", True),
        ("lib @ file:///lib\n", True),
        ("lib-of.ours==1.0\n", False),
    ],
)
def test_a_package_by_its_path_is_the_commits_and_not_todays(requirements: str, own: bool) -> None:
    assert bool(virtualenv._BY_PATH.search(requirements)) is own


def test_packages_by_their_path_are_found_and_others_are_not() -> None:
    packages = {"own": "./own", "parent": {"source": "../parent"}, "random": "random@4.1.0"}
    plugins = {"providers": [{"name": "local", "path": "bin"}, {"name": "nowhere"}], "languages": []}

    assert local_packages({"packages": packages, "plugins": plugins}) == {
        "own": "./own",
        "parent": "../parent",
        "local": "bin",
    }
    assert local_packages({"packages": [], "plugins": None}) == {}


def test_only_the_gated_command_starts_the_engine() -> None:
    """Everything else asks the Automation API: nothing names the engine's program but where it is found."""
    here = Path(rollback.__file__).parent
    texts = {path.relative_to(here).as_posix(): path.read_text() for path in here.rglob("*.py")}
    engine = "engines/pulumi/engine.py"

    found = {
        name
        for name, text in texts.items()
        if re.search(r'which\("pulumi"\)|\[\s*"pulumi"|engine\.program', text)
    }
    started = {name for name, text in texts.items() if "GatedCommand(" in text}

    assert found <= {engine, "readiness/collect.py"}
    assert started == {engine, "engines/gated/pulumi_command.py"}
    assert "subprocess" not in texts[engine]


def test_a_state_that_the_role_may_not_read_is_named_without_the_storages_words() -> None:
    denied = 'error: read ".pulumi/meta.yaml": blob (code=PermissionDenied): operation error S3: GetObject, RequestID: 1'

    error = failed("pulumi stack export", CommandResult(code=255, output=[denied]))

    assert (error.code, error.changed) == (Code.ACCESS_DENIED, "")
    assert "S3" not in error.what
