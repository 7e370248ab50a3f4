"""Starts the command line hundreds of times at the price of a fork: each is a process of its own, to be killed.

    with Forks() as forks:
        child = forks.start(["lambda", "--env", "dev"], environment, cwd)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()

A server imports once what the console script imports, has no threads, and forks a child for each command.
The child ends as any Python program does; only the importing is spared.
"""

from __future__ import annotations

import functools
import gc
import importlib
import itertools
import json
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.loaders import JSONFileLoader

from local.paths import ROOT
from tests.e2e.estate_under_test import Run

# Nobody waits that long on a quiet machine.
PATIENCE = 180.0
_SERVE = "from tests.crashes.forks import serve; serve()"
# What the verbs import when they are typed.
_PRELOADED = (
    "rich.console",
    "rollback.cli",
    "rollback.cli_infrastructure",
    "rollback.display",
    "rollback.flow",
    "rollback.layout",
    "rollback.overview",
    "rollback.past",
    "rollback.plan_views",
    "rollback.session",
    "rollback.targets.aliases",
    "rollback.targets.cutover",
    "rollback.targets.table",
    "rollback.verify",
    "rollback.views",
)


class Child:
    """A command that has been started."""

    def __init__(self, pid: int, out: Path, err: Path) -> None:
        self.pid = pid
        self._out, self._err = out, err
        self._ended: queue.Queue[int] = queue.Queue()
        self._code: int | None = None

    def ends(self, code: int) -> None:
        self._ended.put(code)

    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._code is not None or not self._ended.empty()

    def wait(self, timeout: float = PATIENCE) -> Run:
        """What it did. A negative code is the signal that ended it."""
        if self._code is None:
            try:
                self._code = self._ended.get(timeout=timeout)
            except queue.Empty:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"it did not end within {timeout:.0f} s\n{self._texts()}") from None
        out, err = self._texts()
        return Run(code=self._code, out=out, err=err)

    def kill(self) -> Run:
        """SIGKILL, as when the power goes."""
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def _texts(self) -> tuple[str, str]:
        return self._out.read_text(), self._err.read_text()


class Forks:
    """The server, seen from outside. Threads may start commands at the same time."""

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        self._asked: queue.Queue[tuple[Path, Path, queue.Queue[Child]]] = queue.Queue()
        self._folder = tempfile.TemporaryDirectory(prefix="forks-")
        self._numbers = itertools.count()
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVE],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._reader.join()
        self._server.stdout.close()
        self._folder.cleanup()

    def start(self, words: Sequence[str], environment: Mapping[str, str], cwd: Path) -> Child:
        """`rollback WORDS` in `cwd` with exactly this environment."""
        made: queue.Queue[Child] = queue.Queue()
        with self._lock:
            number = next(self._numbers)
            out, err = (Path(self._folder.name) / f"{number}.{name}" for name in ("out", "err"))
            asked = {"words": list(words), "environment": dict(environment), "cwd": str(cwd)}
            self._asked.put((out, err, made))
            assert self._server.stdin is not None
            self._server.stdin.write(json.dumps({**asked, "out": str(out), "err": str(err)}) + "\n")
            self._server.stdin.flush()
        return made.get(timeout=PATIENCE)

    def _read(self) -> None:
        """The server tells of children in the order in which they were asked for."""
        children: dict[int, Child] = {}
        assert self._server.stdout is not None
        for line in self._server.stdout:
            told = json.loads(line)
            if "started" in told:
                out, err, made = self._asked.get()
                child = children[told["started"]] = Child(told["started"], out, err)
                made.put(child)
            else:
                children.pop(told["ended"]).ends(told["code"])


def serve() -> None:
    """Forks a child for each line on standard input, and tells on standard output which began and ended.

    Returns in no process: the server exits, and a child runs the command line to its end.
    """
    for name in _PRELOADED:
        importlib.import_module(name)
    _warm()
    gc.freeze()
    from rollback.cli import main  # noqa: PLC0415 - after what is preloaded

    asked = _serve()
    if asked is not None:
        _become(asked)
        main()


def _warm() -> None:
    """Reads the services' models once: a process that makes clients spends most of its time on them."""
    read = functools.cache(JSONFileLoader().load_file)
    JSONFileLoader.load_file = lambda _, path: read(path)
    session = boto3.Session("none", "none", region_name="eu-west-1")
    for service in ("sts", "lambda", "dynamodb", "ssm", "s3"):
        session.client(service)


def _serve() -> dict[str, Any] | None:
    """In the child: what is asked of it. In the server: None, once nobody asks any more."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    alive: set[int] = set()
    left = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            while alive and (ended := os.waitpid(-1, os.WNOHANG))[0]:
                alive.discard(ended[0])
                _tell({"ended": ended[0], "code": os.waitstatus_to_exitcode(ended[1])})
        if 0 not in ready:
            continue
        read = os.read(0, 1 << 16)
        if not read:
            for pid in alive:
                os.kill(pid, signal.SIGKILL)
            return None
        *lines, left = (left + read).split(b"\n")
        for line in lines:
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(wake)
                os.close(woken)
                return dict(json.loads(line))
            alive.add(pid)
            _tell({"started": pid})


def _tell(what: Mapping[str, int]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _become(asked: Mapping[str, Any]) -> None:
    """What an exec would have set up."""
    os.setsid()
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["cwd"])
    sys.argv = ["rollback", *asked["words"]]
    sys.path[:] = [place for place in sys.path if place]
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, asked["out"], os.O_WRONLY | os.O_CREAT),
        (2, asked["err"], os.O_WRONLY | os.O_CREAT),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
