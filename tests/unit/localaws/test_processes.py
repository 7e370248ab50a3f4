"""Processes are known by pid and start time, so that a recycled pid is never ended."""

import os
import subprocess
import sys

from localaws import processes
from rollback.util.process_identity import alive, began


def _sleeper(code: str = "import sys; sys.stdin.read()") -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_a_process_is_ended_by_pid_and_start_time() -> None:
    with _sleeper() as process:
        begun = began(process.pid)
        assert begun
        assert alive(process.pid, begun)

        processes.end(process.pid, begun)

        assert not alive(process.pid, begun)


def test_a_process_that_began_at_another_time_is_left_alone() -> None:
    with _sleeper() as process:
        begun = began(process.pid)
        processes.end(process.pid, "1")

        assert alive(process.pid, begun), "another process that took the pid was ended"
        process.terminate()


def test_a_process_that_ignores_the_signal_is_ended_by_force() -> None:
    deaf = (
        "import signal, sys; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); sys.stdin.read()"
    )
    with _sleeper(deaf) as process:
        assert process.stdout is not None
        process.stdout.readline()
        begun = began(process.pid)
        processes.end(process.pid, begun, grace=0.1)

        assert not alive(process.pid, begun)


def test_there_is_no_start_time_for_no_process() -> None:
    with _sleeper() as process:
        process.terminate()
    assert not began(process.pid)
    assert began(os.getpid())


def test_what_is_reported_before_the_wait_for_it_ends_the_wait() -> None:
    """A plugin whose engine is done with it before it has begun to wait."""
    text = (
        "import os, signal; from localaws.processes import until_notified; told = until_notified(os.getppid()); "
        "os.kill(os.getpid(), signal.{}); told(); print('ended')"
    )
    for name in ("SIGINT", "SIGTERM"):
        done = subprocess.run(
            [sys.executable, "-c", text.format(name)], capture_output=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout) == (0, b"ended\n"), done.stderr


def test_a_plugin_ends_with_its_parent_however_that_ends() -> None:
    child = (
        "import os, sys; from localaws.processes import until_notified; told = until_notified(os.getppid()); "
        "print('began', file=sys.stderr, flush=True); told(); print('ended')"
    )
    parent = (
        "import os, subprocess, sys; "
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stderr=subprocess.PIPE); "
        "child.stderr.readline(); os._exit(9)"
    )

    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (9, b"ended\n"), done.stderr
