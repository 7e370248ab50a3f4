"""What the freezer freezes, what it leaves alone, and that it says how the command has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localaws.paths import ROOT
from tests import freezer

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")

# A process, and in a session of its own another; each writes its number and then waits to be killed.
_FAMILY = """
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; print(1, flush=True); signal.pause()"],
                         stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
signal.pause()
"""
# Ends with 7 once it, and what it has started, went on after having been stopped.
_WAITS = """
import signal, subprocess, sys
signal.signal(signal.SIGCONT, lambda *_: None)
if sys.argv[1:]:
    signal.pause()
else:
    # The parent's handler is in place before the child begins; a worker's child is what is frozen alone.
    children = [subprocess.Popen([sys.executable, __file__, "child"], start_new_session=True) for _ in range(2)]
    signal.pause()
    sys.exit(7 + sum(child.wait() for child in children))
"""


@pytest.fixture
def family() -> Iterator[tuple[int, int]]:
    """Two processes, parent and child."""
    with subprocess.Popen([sys.executable, "-c", _FAMILY], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        yield parent.pid, child
        for pid in (child, parent.pid):
            os.kill(pid, signal.SIGKILL)


def state(pid: int) -> str:
    found = freezer.seen(pid)
    assert found is not None
    return found.state


def stop(pid: int) -> None:
    """As a test of crash points does."""
    os.kill(pid, signal.SIGSTOP)
    while state(pid) != "T":
        os.sched_yield()


def test_what_is_frozen_is_a_process_with_all_that_it_started_until_the_block_ends(
    family: tuple[int, int],
) -> None:
    with freezer.frozen(family[0]) as stopped:
        within = [state(pid) for pid in family]
    afterwards = [state(pid) for pid in family]

    assert sorted(one.pid for one in stopped) == sorted(family)
    assert within == ["T", "T"]
    assert "T" not in afterwards


def test_what_a_test_has_stopped_itself_stays_stopped(family: tuple[int, int]) -> None:
    parent, child = family
    stop(child)

    with freezer.frozen(parent) as stopped:
        pass

    assert [one.pid for one in stopped] == [parent]
    assert state(child) == "T"


def test_a_process_that_has_taken_the_number_of_another_is_left_alone(family: tuple[int, int]) -> None:
    parent, child = family
    stop(child)

    freezer._send(freezer.Seen(pid=child, parent=parent, state="S", began="1"), signal.SIGCONT)

    assert state(child) == "T"


def test_the_parts_are_the_children_of_the_first_process_that_has_several() -> None:
    def one(pid: int, parent: int, state: str = "S") -> freezer.Seen:
        return freezer.Seen(pid=pid, parent=parent, state=state, began="1")

    make, pytest_, first, second, emulator = one(10, 1), one(11, 10), one(12, 11), one(13, 11), one(14, 12)
    among = {
        seen.pid: seen for seen in (make, pytest_, first, second, emulator, one(15, 10, "Z"), one(99, 1))
    }

    assert freezer.parts(10, among) == [12, 13]
    assert [seen.pid for seen in freezer.tree(10, among)] == [10, 11, 15, 12, 13, 14]
    assert freezer.parts(14, among) == [14]


def test_a_command_is_frozen_with_what_it_has_started_and_its_exit_code_is_passed_on(tmp_path: Path) -> None:
    program = tmp_path / "waits.py"
    program.write_text(_WAITS, encoding="utf-8")
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.freezer",
            "--seed",
            "1",
            "--every",
            "0.5",
            "--seconds",
            "0.1",
            "--",
            sys.executable,
            str(program),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 7, ran.stderr
    assert "frozen " in ran.stderr
