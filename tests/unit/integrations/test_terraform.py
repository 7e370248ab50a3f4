"""Running the tool: its environment, its time, and how it is stopped. The tool is a shell script here."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rollback.engines.gated import process as subprocess_gate
from rollback.engines.terraform import (
    Diagnostic,
    Done,
    ToolFailed,
    find,
    follow,
    run,
)
from rollback.ledger.lease import LeaseLost
from rollback.util.errors import Code, UsageError
from rollback.util.process_identity import Process
from tests.coded import coded

SLOW = """
trap 'echo "{\\"type\\":\\"asked\\"}"; kill $! 2>/dev/null; exit 1' INT
echo '{"type":"began"}'
sleep 30 & wait
"""


def script(folder: Path, body: str, name: str = "terraform") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def followed(folder: Path, body: str, **how: Any) -> tuple[Done, bool]:
    asked: dict[str, Any] = {
        "environment": {},
        "cwd": folder,
        "printed": folder / "printed",
        "seconds": 30,
        "inherits": (),
        "started": lambda _: None,
        "on_lines": lambda _: None,
        "stopping": lambda: False,
    }
    return follow([script(folder, body)], **{**asked, **how})


def test_what_would_change_a_plan_or_show_it_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TF_LOG", "TF_LOG_PATH", "TF_CLI_ARGS", "TF_CLI_ARGS_plan", "TF_VAR_prefix", "TF_WORKSPACE"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "mirror")

    completed = run(
        [script(tmp_path, "env"), "x"], environment={"TF_DATA_DIR": "d"}, cwd=tmp_path, seconds=10
    ).out

    names = {line.partition("=")[0] for line in completed.splitlines() if line.startswith("TF_")}
    assert names == {"TF_CLI_CONFIG_FILE", "TF_DATA_DIR", "TF_IN_AUTOMATION", "TF_INPUT"}


def test_a_tool_that_hangs_is_stopped_and_named(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="terraform plan", check=coded(Code.TERRAFORM_FAILED)):
        run([script(tmp_path, SLOW), "plan"], environment={}, cwd=tmp_path, seconds=0.3)


def test_without_the_tool_it_is_reported_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UsageError, check=coded(Code.TOOL_MISSING)) as raised:
        find()

    assert "opentofu.org" in raised.value.next


@pytest.mark.parametrize("version", ["1.9.8", "0.15.5"])
def test_a_tool_that_is_too_old_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    script(tmp_path, f'echo \'{{"terraform_version": "{version}", "platform": "linux_amd64"}}\'')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    with pytest.raises(UsageError, match=r"1\.10", check=coded(Code.TOOL_MISSING)):
        find()

    script(tmp_path, 'echo \'{"terraform_version": "1.12.6", "platform": "linux_amd64"}\'', "tofu")

    assert find().facts == {"tool": "tofu", "version": "1.12.6", "platform": "linux_amd64"}


def test_lines_are_handed_on_as_they_come(tmp_path: Path) -> None:
    messages: list[str] = []
    body = 'echo \'{"type":"one"}\'; echo no json; printf \'{"type":\'; sleep 0.2; echo \'"two"}\''

    done, asked = followed(
        tmp_path, body, on_lines=lambda lines: messages.extend(line["type"] for line in lines)
    )

    assert messages == ["one", "two"]
    assert (done.code, asked) == (0, False)


def test_nothing_runs_before_it_is_written_down_who_it_is(tmp_path: Path) -> None:
    def started(process: Process) -> None:
        assert process.alive()
        raise LeaseLost("somebody else has it")

    with pytest.raises(LeaseLost):
        followed(tmp_path, f"touch {tmp_path}/ran", started=started)

    assert not (tmp_path / "ran").exists()


def test_a_request_to_stop_is_passed_on_once_and_waited_for(tmp_path: Path) -> None:
    seen: list[str] = []

    def on_lines(lines: Sequence[Any]) -> None:
        seen.extend(line["type"] for line in lines)

    done, asked = followed(tmp_path, SLOW, on_lines=on_lines, stopping=lambda: "began" in seen)

    assert seen == ["began", "asked"]
    assert (done.code, asked) == (1, True)


def test_a_lost_lease_stops_it_gracefully(tmp_path: Path) -> None:
    def on_lines(lines: Sequence[Any]) -> None:
        if any(line["type"] == "began" for line in lines):
            raise LeaseLost("somebody else has it")

    with pytest.raises(LeaseLost):
        followed(tmp_path, SLOW, on_lines=on_lines)

    assert "asked" in (tmp_path / "printed").read_text()


def test_its_time_is_limited(tmp_path: Path) -> None:
    began = threading.Event()

    done, asked = followed(tmp_path, SLOW, seconds=0.5, on_lines=lambda lines: lines and began.set())

    assert began.is_set()
    assert (done.code, asked) == (1, True)


def test_one_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess_gate, "GRACE", 0.2)

    done, _ = followed(tmp_path, "trap '' INT\nsleep 30", seconds=0.2)

    assert done.code == -9


def test_errors_are_read_from_the_lines_and_else_from_the_last_lines() -> None:
    line = (
        '{"type":"diagnostic","diagnostic":{"severity":"error","summary":"No","detail":"for\\n  a reason"}}'
    )
    warning = line.replace('"error"', '"warning"')

    assert Done(code=1, out=f"{line}\n{warning}").diagnostics == [
        Diagnostic(summary="No", detail="for\n  a reason")
    ]
    assert str(Done(code=1, out=line).diagnostics[0]) == "No: for a reason"
    assert str(Done(code=1, out="", errors="it broke\nat last\n").diagnostics[0]) == "at last"


def test_a_process_is_known_by_more_than_its_number(tmp_path: Path) -> None:
    me = Process.of(os.getpid())

    assert me.alive()
    assert me.is_here
    assert not Process(user=me.user, host=me.host, pid=me.pid, began="another", space=me.space).alive()
    assert not Process(user=me.user, host=me.host, pid=me.pid, began=me.began, space="container").is_here
