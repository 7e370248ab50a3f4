"""The simulation's processes end with it: none is left to work on for nobody."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localaws.paths import ROOT

_PROGRAM = """
import os, time
from tests.simulation.pool import pool
if __name__ == "__main__":
    with pool() as running:
        busy = [running.submit(time.sleep, 600) for _ in range(4 * os.cpu_count())]
        while not busy[0].running():
            pass
        print("busy", flush=True)
        [one.result() for one in busy]
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_however_it_ends_its_processes_end(number: signal.Signals, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    with subprocess.Popen(
        [sys.executable, program],
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"busy\n"

        # Python misses an interrupt that arrives between its last check and the wait for a lock, until the next one:
        # it is sent again, as a person presses Ctrl-C again.
        for _ in range(30):
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)
                break

        # All of them hold its output: this returns when they have ended.
        assert process.stdout.read() == b""
        assert process.returncode not in (None, 0)
