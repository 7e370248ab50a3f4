"""A command of the Automation API's, with a script in the engine's place: known before it acts, ended in good order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pulumi.automation import CommandError, ConcurrentUpdateError, Deployment, StackNotFoundError
from pulumi.automation.errors import InvalidVersionError

from rollback.engines.gated import process
from rollback.engines.gated.pulumi_command import (
    Ended,
    GatedCommand,
    Hooks,
    QuietStack,
    QuietWorkspace,
    ignored,
    message,
)
from rollback.util.process_identity import began

Make = Callable[..., GatedCommand]
# Finds the event log that the SDK names, and writes events into it.
LOG = """
while [ $# -gt 0 ]; do [ "$1" = --event-log ] && log=$2; shift; done
event() { printf '%s\\n' "$1" >> "$log"; }
"""
SUMMARY = """event '{"sequence":9,"summaryEvent":{"maybeCorrupt":false,"durationSeconds":1,"resourceChanges":{"same":2},"policyPacks":{}}}'\n"""
# Works until it is interrupted, and ends in good order then.
PATIENT = """
trap 'echo ended; kill $!; exit 7' INT
echo begun
sleep 60 & wait
"""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a command of a shell script; `env` is all that it gets."""

    def command(script: str, hooks: Hooks | None = None, **env: str) -> GatedCommand:
        place = tmp_path / "pulumi"
        place.write_text(f"#!/bin/sh\n{script}\n")
        place.chmod(0o755)
        return GatedCommand(str(place), env={"PATH": os.environ["PATH"], **env}, hooks=hooks)

    return command


def stack(command: GatedCommand, folder: Path) -> QuietStack:
    return QuietStack("dev", QuietWorkspace(work_dir=str(folder), pulumi_command=command))


def test_it_gets_the_given_environment_and_no_other(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_OPTION_TARGET", "junk")

    done = make("env", KEPT="yes").run(["up"], str(tmp_path), {"ADDED": "too"})

    assert {"KEPT=yes", "ADDED=too", "PULUMI_AUTOMATION_API=true"} <= {*done.stdout.splitlines()}
    assert "junk" not in done.stdout


def test_its_pid_is_known_before_it_does_anything(make: Make, tmp_path: Path) -> None:
    ran, seen = tmp_path / "ran", list[tuple[int, bool]]()
    command = make(f"echo $$ > {ran}", Hooks(began=lambda pid: seen.append((pid, ran.exists()))))

    command.run(["up"], str(tmp_path), {})

    assert seen == [(int(ran.read_text()), False)]


def test_what_its_caller_refuses_is_not_started(make: Make, tmp_path: Path) -> None:
    ran, pids = tmp_path / "ran", list[int]()

    def refuse(pid: int) -> None:
        pids.append(pid)
        raise LookupError

    with pytest.raises(LookupError):
        make(f"touch {ran}", Hooks(began=refuse)).run(["up"], str(tmp_path), {})

    assert not ran.exists()
    assert not began(pids[0])


def test_its_lines_are_handed_on_and_kept_whatever_they_are(make: Make, tmp_path: Path) -> None:
    out, err = list[str](), list[str]()
    command = make(r"printf '\303\251\377\nlast'; echo why >&2; exit 3")

    with pytest.raises(CommandError):
        command.run(["up", "--", "x"], str(tmp_path), {}, out.append, err.append)

    assert (out, err) == (["é\ufffd", "last"], ["why"])
    assert command.ended == Ended(
        arguments=("--non-interactive", "up", "--", "x"), code=3, output=("é\ufffd", "last"), errors=("why",)
    )


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("error: the stack is currently locked by 1 lock(s).", ConcurrentUpdateError),
        ("error: no stack named 'dev' found", StackNotFoundError),
    ],
)
def test_it_fails_as_the_sdks_own_command_does(
    make: Make, tmp_path: Path, said: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        make(f'echo "{said}" >&2; exit 1').run(["up"], str(tmp_path), {})


@pytest.mark.parametrize("why", ["late", "stopped"])
def test_it_is_asked_once_to_end_in_good_order(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    lines: list[str] = []
    hooks = Hooks(seconds=1000, stopping=lambda: why == "stopped" and bool(lines))
    # Its time is over as soon as it has begun.
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + (2000 if why == "late" and lines else 0))
    monkeypatch.setattr(process, "time", clock)
    command = make(PATIENT, hooks)

    with pytest.raises(CommandError):
        command.run(["up"], str(tmp_path), {}, lines.append)

    assert command.ended is not None
    assert (command.ended.code, command.ended.stopped, command.ended.late) == (
        7,
        why == "stopped",
        why == "late",
    )
    assert lines == ["begun", "ended"]


def test_what_it_leaves_behind_does_not_keep_us(make: Make, tmp_path: Path) -> None:
    started = time.monotonic()

    make("sleep 30 & exit 0").run(["up"], str(tmp_path), {})

    assert time.monotonic() - started < 20


# A driver that runs an engine and is ended itself.
DRIVER = textwrap.dedent(
    """
    import os, sys
    from rollback.engines.gated.pulumi_command import GatedCommand, Hooks
    started = lambda pid: print(pid, flush=True)
    GatedCommand(sys.argv[1], env=os.environ, hooks=Hooks(began=started)).run(["up"], sys.argv[2], {})
    """
)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_an_engine_whose_driver_dies_is_interrupted_once_and_one_whose_driver_is_stopped_goes_on(
    make: Make, tmp_path: Path, number: signal.Signals
) -> None:
    """It prints more than a pipe would hold, so that one with a stopped reader would hang."""
    told, ready, go = tmp_path / "told", tmp_path / "ready", tmp_path / "go"
    script = f"""
trap 'echo interrupted >> {told}; exit 1' INT
touch {ready}
while [ ! -e {go} ]; do sleep 0.05; done
head -c 300000 /dev/zero | tr '\\0' x
echo through >> {told}
"""
    command = make(script)
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, command.command, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        try:
            pid = int(driver.stdout.readline())
            identity = began(pid)
            _until(ready.exists)
            driver.send_signal(number)
            if number is signal.SIGKILL:
                driver.wait()
                _until(told.exists, seconds=2)
            go.touch()
            _until(lambda: began(pid) != identity or _is_dead(pid))
        finally:
            driver.kill()
            driver.send_signal(signal.SIGCONT)

    assert told.read_text().split() == (["interrupted"] if number is signal.SIGKILL else ["through"])


def test_an_engine_of_another_major_or_of_none_is_refused(make: Make) -> None:
    assert str(make("echo v3.1.2").check_version()) == "3.1.2"
    for said in ("v4.0.0", "what?"):
        with pytest.raises(InvalidVersionError):
            make(f"echo {said}").check_version()


def test_events_come_whole_and_in_the_thread_that_asks(make: Make, tmp_path: Path) -> None:
    events: list[Any] = []
    script = f"""{LOG}
event '{{"sequence":1,"timestamp":1,"preludeEvent":{{"config":{{}}}}}}'
event 'no event'
event '{{"sequence":2,"diagnosticEvent":{{"severity":"error","message":"<{{%fg 1%}}>no<{{%reset%}}>","color":"raw"}}}}'
{SUMMARY}"""
    command = make(script, Hooks(event=events.append))

    done = stack(command, tmp_path).preview(on_event=ignored)

    assert [sorted({*event} - {"sequence", "timestamp"}) for event in events] == [
        ["preludeEvent"],
        ["diagnosticEvent"],
        ["summaryEvent"],
    ]
    assert message(events[1]["diagnosticEvent"]["message"]) == "no"
    assert done.change_summary == {"same": 2}


def test_an_error_of_the_caller_ends_the_engine_in_good_order_first(make: Make, tmp_path: Path) -> None:
    pids, ended = list[int](), tmp_path / "ended"

    def fail(_event: Any) -> None:
        raise LookupError

    script = f"""{LOG}
trap 'touch {ended}; kill $!; exit 1' INT
event '{{"sequence":1,"preludeEvent":{{}}}}'
sleep 60 & wait"""
    command = make(script, Hooks(began=pids.append, event=fail))

    with pytest.raises(LookupError):
        stack(command, tmp_path).up(on_event=ignored)

    assert ended.exists()
    assert not began(pids[0])


def test_an_operation_is_one_command_and_asks_for_no_secret(make: Make, tmp_path: Path) -> None:
    """The SDK selects the stack before it, and asks for outputs and history with secrets after it."""
    asked = tmp_path / "asked"
    one = stack(make(f'echo "$@" >> {asked}\n{LOG}{SUMMARY}'), tmp_path)

    one.preview(on_event=ignored)
    one.up(on_event=ignored)
    one.refresh(on_event=ignored)

    lines = asked.read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["preview", "up", "refresh"]
    assert "--show-secrets" not in asked.read_text()
    assert all("--stack dev" in line for line in lines)


def test_a_state_is_exported_as_it_is_and_imported_with_all_it_had_and_no_file_is_left(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    state = {"version": 4, "features": ["new"], "deployment": {"resources": [{"urn": "a"}]}}
    kept = tmp_path / "state.json"
    kept.write_text(json.dumps(state))
    script = f"""
case "$*" in
  *--show-secrets*) exit 9;;
  *"stack export"*) cat {kept};;
  *"stack import"*) while [ "$1" != --file ]; do shift; done; cp "$2" {kept};;
esac"""
    one = stack(make(script), tmp_path)

    found = one.export_stack()
    kept.unlink()
    one.import_stack(found)

    assert isinstance(found, Deployment)
    assert (found.version, found.deployment) == (4, state["deployment"])
    assert json.loads(kept.read_text()) == state
    assert list(place.iterdir()) == []


def test_an_import_has_events_too(make: Make, tmp_path: Path) -> None:
    events: list[Any] = []
    command = make(f'{LOG}event \'{{"sequence":1,"preludeEvent":{{}}}}\'', Hooks(event=events.append))

    stack(command, tmp_path).import_resources(resources=[], protect=False, generate_code=False)

    assert len(events) == 1


def _until(so: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end
        time.sleep(0.02)


def _is_dead(pid: int) -> bool:
    """Whether it has ended and nobody has asked how: its parent is stopped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
