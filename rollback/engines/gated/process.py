"""Runs a command in a process whose pid is known before it acts, and that never outlives its caller.

The gate is a shell that waits for a line on its input and then executes the command. So its
pid can be recorded first, and a lock found later can be traced to it. It has its own session:
Ctrl-C on a terminal reaches it only through this module, and only once, because a second interrupt would abort
running operations. If one interrupt does not end it in time, its process group is killed.

This module imports nothing of this project.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_GATE = 'read -r go && exec "$@"'
# Seconds allowed for a graceful end, in which running cloud calls finish. A person who
# presses Ctrl-C twice does not want to wait.
GRACE, AT_ONCE = 60.0, 3.0


@dataclass(kw_only=True)
class Running:
    """A process that leads its own session.

    `stopped`: it was interrupted because of `stopping`; `late`: because of its time limit.
    """

    process: subprocess.Popen[bytes]
    stopped: bool = False
    late: bool = False

    @property
    def interrupted(self) -> bool:
        return self.stopped or self.late

    def follow(self, *, seconds: float, stopping: Callable[[], bool], look: Callable[[], bool]) -> int:
        """Follows the command to its end and returns its exit code.

        `look` passes on new output, waits a moment, and returns whether to be called again.
        `stopping` is called before each `look`. The command is interrupted once if `stopping` says so or `seconds` are
        over, and killed if that has not ended it within `GRACE` seconds.
        """
        deadline = time.monotonic() + seconds
        while True:
            if not self.interrupted:
                self.late, self.stopped = time.monotonic() > deadline, stopping()
                if self.interrupted:
                    self.process.send_signal(signal.SIGINT)
                    deadline = time.monotonic() + GRACE
            elif time.monotonic() > deadline:
                self.kill()
            if not look():
                return self.process.wait()

    def end(self, why: BaseException) -> None:
        """Ends a command that an error left running: with one interrupt, or else by force."""
        if self.process.poll() is not None:
            return
        at_once = isinstance(why, KeyboardInterrupt)
        if at_once or not self.interrupted:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(AT_ONCE if at_once else GRACE)
        except subprocess.TimeoutExpired:
            self.kill()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Kills the process and its process group."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[Running]:
    """Ends a process if an error leaves the block."""
    running = Running(process=process)
    try:
        yield running
    except BaseException as error:
        running.end(error)
        raise


@contextmanager
def gated(
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdout: int | IO[Any],
    stderr: int | IO[Any],
    began: Callable[[int], object],
    pass_fds: Sequence[int] = (),
) -> Iterator[Running]:
    """Runs a command after `began`, which receives its pid, has returned; ends it if an error leaves the block.

    If `began` raises, the command never runs. `env` is the complete environment of the command (variable →
    value); the other parameters are those of `subprocess.Popen`.
    """
    process = subprocess.Popen(
        ["/bin/sh", "-c", _GATE, "sh", *arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        pass_fds=pass_fds,
    )
    assert process.stdin is not None  # noqa: S101 - it was asked for
    with ended(process) as running:
        try:
            with process.stdin as gate:  # closed without a line, it ends the shell
                began(process.pid)
                with suppress(BrokenPipeError):
                    gate.write(b"go\n")
                    gate.flush()
        except BaseException:
            for pipe in filter(None, (process.stdout, process.stderr)):
                pipe.close()
            raise
        yield running
