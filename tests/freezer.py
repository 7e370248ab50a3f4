"""A machine that stands still now and then: runs a command, and freezes what it has started, as if suspended.

    python -m tests.freezer [--seed N] [--every SECONDS] [--seconds SECONDS] -- .venv/bin/python -m pytest -n 2 tests/e2e

Each part is frozen in turn, in an order by the seed, and then all parts at once. A part is what one worker of
pytest-xdist has started, or another command's child: with all its processes, in whichever session they are. What a
test has stopped itself stays stopped. It exits as the command does. Only on Linux.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

# prctl's option: who has lost its parent becomes our child, so that all that the command has started is found.
_SUBREAPER = 36
_LOOK = 0.05
# The states of what runs no more: stopped, traced, or ended.
_STANDS = "TtZX"


@dataclass(frozen=True, slots=True)
class Seen:
    """A process as /proc has it. `began` tells it from a later one with its number."""

    pid: int
    parent: int
    state: str
    began: str


def processes() -> dict[int, Seen]:
    """All processes by their number."""
    found = (seen(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return {one.pid: one for one in found if one is not None}


def seen(pid: int) -> Seen | None:
    """One process; None if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent, *rest = stat.rpartition(")")[2].split()
    return Seen(pid=pid, parent=int(parent), state=state, began=rest[17])


def tree(root: int, among: dict[int, Seen]) -> list[Seen]:
    """A process and all that it has started, parents first."""
    found = [among[root]] if root in among else []
    for one in found:
        found.extend(child for child in among.values() if child.parent == one.pid)
    return found


def parts(root: int, among: dict[int, Seen]) -> list[int]:
    """What is frozen in turn: the children of the first process that has several."""
    while True:
        children = sorted(one.pid for one in among.values() if one.parent == root and one.state != "Z")
        if len(children) != 1:
            return children or [root]
        (root,) = children


@contextmanager
def frozen(root: int) -> Iterator[list[Seen]]:
    """Stops a process and all that it has started, but what is stopped already; lets them go on at the end."""
    stopped: dict[tuple[int, str], Seen] = {}
    try:
        # Until nothing of it runs any more: what runs may start others meanwhile.
        while running := [one for one in tree(root, processes()) if one.state not in _STANDS]:
            for one in running:
                stopped[one.pid, one.began] = one
                _send(one, signal.SIGSTOP)
            time.sleep(0)
        yield list(stopped.values())
    finally:
        for one in reversed(stopped.values()):
            _send(one, signal.SIGCONT)


def _send(one: Seen, number: int) -> None:
    now = seen(one.pid)
    if now is not None and now.began == one.began:
        with suppress(ProcessLookupError):
            os.kill(one.pid, number)


def run(
    command: Sequence[str],
    *,
    choices: random.Random,
    every: float,
    seconds: float,
    say: Callable[[str], None],
) -> int:
    """Runs the command to its end; its exit code, as a shell gives it."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(command)
    times = 0

    def ended(number: int, frame: FrameType | None) -> None:
        child.terminate()

    def passes(length: float) -> bool:
        """Lets time pass; whether the command still runs."""
        until = time.monotonic() + length
        while (running := _runs(child.pid)) and time.monotonic() < until:
            time.sleep(_LOOK)
        return running

    before = signal.signal(signal.SIGTERM, ended)
    turns: list[int | None] = []
    try:
        while passes(every * choices.uniform(0.5, 1.5)):
            if not turns:
                turns = [None, *choices.sample(found := parts(child.pid, processes()), len(found))]
            part = turns.pop()
            with frozen(child.pid if part is None else part) as stopped:
                if stopped:
                    times += 1
                    passes(seconds)
    except KeyboardInterrupt:
        pass  # a terminal sends it to the command, too, which ends by it
    finally:
        code = child.wait()
        signal.signal(signal.SIGTERM, before)
    say(f"frozen {times} times")
    return code if code >= 0 else 128 - code


def _runs(command: int) -> bool:
    """Whether the command still runs. What it has left behind, and has ended, is taken away as by a machine's init."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return True
        if ended.si_pid == command:
            return False
        os.waitpid(ended.si_pid, 0)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.freezer", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--seed", type=int, default=None, help="the order of an earlier run")
    parser.add_argument("--every", type=float, default=20, help="seconds between two freezes, more or less")
    parser.add_argument("--seconds", type=float, default=5, help="how long each lasts")
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args(arguments)
    seed = secrets.randbelow(1_000_000) if asked.seed is None else asked.seed

    def say(text: str) -> None:
        print(f"freezer: {text}, --seed {seed}", file=sys.stderr, flush=True)  # noqa: T201 - a command's output

    say("begins")
    return run(asked.command, choices=random.Random(seed), every=asked.every, seconds=asked.seconds, say=say)  # noqa: S311 - no secret


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
