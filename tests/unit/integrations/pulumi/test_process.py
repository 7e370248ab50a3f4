"""How a command of the engine's is run and ended, with a script in the engine's place."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollback.core.errors import Code, UsageError
from rollback.core.process_identity import Process, began
from rollback.integrations.pulumi.process import CommandWatch, Engine, EngineError, Locked
from rollback.integrations.pulumi.virtualenv import provide
from rollback.ledger.lease import LeaseLost
from tests.coded import coded

Make = Callable[[str], Engine]
# Works until it is interrupted, and ends in good order then.
PATIENT = """
trap 'echo "{\\"sequence\\":2,\\"cancelEvent\\":{}}"; kill $!; exit 1' INT
echo "{\\"sequence\\":1,\\"preludeEvent\\":{}}"
sleep 60 & wait
"""


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

    completed = engine("env").ask(tmp_path)

    assert "junk" not in completed
    assert "PULUMI_CONFIG_PASSPHRASE=kept" in completed


def test_what_the_engine_prints_may_be_no_text(engine: Make, tmp_path: Path) -> None:
    assert engine(r"printf '\303\251\377'").ask(tmp_path) == "é\ufffd"


def test_the_process_is_reported_before_it_does_anything(engine: Make, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    seen: list[tuple[Process, bool]] = []

    def starts(process: Process) -> None:
        time.sleep(0.2)
        seen.append((process, ran.exists()))

    ended = engine(f"echo $$ > {ran}").run(
        tmp_path, "up", watch=CommandWatch(seconds=10, began=starts), variables={}
    )

    ((process, had_run),) = seen
    assert ended.ok
    assert not had_run
    assert int(ran.read_text()) == process.pid
    assert process.began


def test_what_cannot_be_written_down_is_not_started(engine: Make, tmp_path: Path) -> None:
    ran, pids = tmp_path / "ran", []

    def starts(process: Process) -> None:
        pids.append(process.pid)
        raise LeaseLost("somebody else has taken it")

    with pytest.raises(LeaseLost):
        engine(f"touch {ran}").run(tmp_path, "up", watch=CommandWatch(seconds=10, began=starts), variables={})

    assert not ran.exists()
    assert not began(pids[0])


def test_its_events_are_reported_and_its_errors_kept(engine: Make, tmp_path: Path) -> None:
    script = """
echo '{"sequence":1,"timestamp":1,"preludeEvent":{"config":{}}}'
echo 'no event'
printf '%s\\n' '{"sequence":2,"diagnosticEvent":{"severity":"error","message":"first\\nlast\\n"}}'
echo 'warning: using pulumi-language-python from $PATH' >&2
exit 3
"""
    messages: list[tuple[str, Any]] = []
    watch = CommandWatch(seconds=10, event=lambda kind, data: messages.append((kind, data)))

    ended = engine(script).run(tmp_path, "up", watch=watch, variables={})

    assert [kind for kind, _ in messages] == ["preludeEvent", "diagnosticEvent"]
    assert (ended.code, ended.why, ended.locked) == (3, "first\nlast", False)


@pytest.mark.parametrize("why", ["late", "stopped"])
def test_it_is_asked_once_to_end_in_good_order(engine: Make, tmp_path: Path, why: str) -> None:
    messages: list[str] = []
    watch = CommandWatch(
        seconds=0.3 if why == "late" else 30,
        event=lambda kind, _: messages.append(kind),
        stopping=lambda: why == "stopped" and bool(messages),
    )

    ended = engine(PATIENT).run(tmp_path, "up", watch=watch, variables={})

    assert (ended.code, ended.late, ended.stopped) == (1, why == "late", why == "stopped")
    assert messages == ["preludeEvent", "cancelEvent"]


def test_it_ends_in_good_order_before_an_error_of_ours_goes_on(engine: Make, tmp_path: Path) -> None:
    pids: list[int] = []

    def event(*_: Any) -> None:
        raise LeaseLost("somebody else has taken it")

    with pytest.raises(LeaseLost):
        engine(PATIENT).run(
            tmp_path,
            "up",
            watch=CommandWatch(seconds=30, began=lambda process: pids.append(process.pid), event=event),
            variables={},
        )

    assert not began(pids[0])


def test_what_it_leaves_behind_does_not_keep_us(engine: Make, tmp_path: Path) -> None:
    started = time.monotonic()

    ended = engine("sleep 30 & exit 0").run(tmp_path, "up", watch=CommandWatch(seconds=60), variables={})

    assert ended.ok
    assert time.monotonic() - started < 20


def test_a_stack_that_is_locked_is_distinguished(engine: Make, tmp_path: Path) -> None:
    script = "echo 'error: the stack is currently locked by 1 lock(s).' >&2; exit 1"

    with pytest.raises(Locked, match="currently locked", check=coded(Code.STATE_LOCKED)):
        engine(script).ask(tmp_path, "stack", "import")
    with pytest.raises(EngineError, match="pulumi stack export failed:\nno", check=coded(Code.ENGINE_FAILED)):
        engine("echo no >&2; exit 1").ask(tmp_path, "stack", "export")


def test_an_engine_that_is_missing_or_of_another_major_is_reported(
    engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"4\.0\.0; .*Pulumi 3", check=coded(Code.TOOL_MISSING)):
        engine("echo v4.0.0").version()
    assert engine("echo v3.1.2").version() == "3.1.2"
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="not on PATH", check=coded(Code.TOOL_MISSING)):
        Engine.found("file:///state")


def test_a_program_gets_todays_virtualenv_where_it_asks_for_the_same(engine: Make, tmp_path: Path) -> None:
    today, folder = tmp_path / "today", tmp_path / "tree"
    (today / ".venv" / "bin").mkdir(parents=True)
    folder.mkdir()
    for place in (today, folder):
        (place / "requirements.txt").write_text("-r more.txt\n")
        (place / "more.txt").write_text("pulumi\n")
    project = {"runtime": {"name": "python", "options": {"virtualenv": ".venv"}}}

    variables = provide(engine(""), project, folder, today)

    assert variables == {}
    assert (folder / ".venv" / "bin").resolve() == (today / ".venv" / "bin").resolve()
    assert (folder / ".venv" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("runtime", ["nodejs", {"name": "python", "options": {"toolchain": "uv"}}])
def test_other_runtimes_and_toolchains_install_theirs_themselves(
    engine: Make, tmp_path: Path, runtime: Any
) -> None:
    provide(engine('echo "$@" > asked'), {"runtime": runtime}, tmp_path, tmp_path)

    assert (tmp_path / "asked").read_text() == "install --non-interactive\n"
    with pytest.raises(UsageError, match="no such package", check=coded(Code.DEPENDENCIES_UNAVAILABLE)):
        provide(engine("echo no such package; exit 1"), {"runtime": runtime}, tmp_path, tmp_path)
