"""The simulation's processes end with it: none is left to work on for nobody."""

from __future__ import annotations

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

        process.send_signal(number)

        # All of them hold its output: this returns when they have ended.
        assert process.stdout.read() == b""
        assert process.wait() != 0
