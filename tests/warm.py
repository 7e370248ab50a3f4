"""Commands at the price of a fork: run in processes forked from one that has imported all of the console script.

    with Warm() as warm:
        run = warm.run(["status", "--env", "dev"], variables, cwd)
        child = warm.start(["lambda", "--env", "dev"], variables, cwd)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()

Each command is a process of its own, with its own variables, folder and streams, runs the very file that `pip` has
installed, and ends as any Python program does; only the importing is spared, which is most of its time. What the
interpreter takes from its surroundings when it starts (its streams' encodings, say) must be tested with the
script itself.
"""

from __future__ import annotations

import functools
import gc
import importlib
import itertools
import json
import os
import pkgutil
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.loaders import JSONFileLoader

from localaws.paths import ROOT

_SCRIPT = ROOT / ".venv" / "bin" / "rollback"
# Seconds until a command that hangs is ended: nobody waits that long on a quiet machine.
PATIENCE = 180.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one command did. An error that it gave as JSON is `error`, and in words at the end of `err`."""

    code: int
    out: str
    err: str
    error: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, code: int, out: str, err: str, arguments: Sequence[str] = ()) -> Run:
        """A run by what it has written. JSON has to be what the schema of the verb in `arguments` says."""
        from tests import outputs  # noqa: PLC0415 - no import of the commands that the server forks

        if code >= 0:
            outputs.check(arguments, out)
        before, _, last = err.rstrip("\n").rpartition("\n")
        if not last.startswith('{"code": '):
            return cls(code=code, out=out, err=err)
        error = json.loads(last)
        parts = [error["message"], f"[{error['code']}]", error["changed"], error["hint"]]
        return cls(code=code, out=out, err="\n".join([*filter(None, [before, *parts]), ""]), error=error)

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)

    @property
    def screen(self) -> str:
        """What a person at a terminal sees: both streams."""
        return f"{self.out}\n{self.err}"

    @property
    def id(self) -> str:
        return str(self.json["rollback_id"])

    def __str__(self) -> str:
        return f"exit {self.code}\n{self.err}\n{self.out}"


class Child:
    """A command that has been started."""

    def __init__(self, pid: int, out: Path, err: Path, arguments: Sequence[str] = ()) -> None:
        self.pid = pid
        self._arguments = arguments
        self._out, self._err = out, err
        self._ended: queue.Queue[int] = queue.Queue()
        self._run: Run | None = None

    def ends(self, code: int) -> None:
        self._ended.put(code)

    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._run is not None or not self._ended.empty()

    def wait(self, timeout: float = PATIENCE) -> Run:
        """What it did. A negative code is the signal that ended it."""
        if self._run is None:
            try:
                code = self._ended.get(timeout=timeout)
            except queue.Empty:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(
                    f"it did not end within {timeout:.0f} s\n{self._err.read_text()}\n{self._out.read_text()}"
                ) from None
            self._run = Run.of(code, self._out.read_text(), self._err.read_text(), self._arguments)
            self._out.unlink()
            self._err.unlink()
        return self._run

    def kill(self) -> Run:
        """SIGKILL, as when the power goes."""
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()


class Warm:
    """The process that forks, as long as the block lasts. Threads may start commands at the same time."""

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        self._asked: queue.Queue[tuple[Path, Path, Sequence[str], queue.Queue[Child]]] = queue.Queue()
        self._folder = tempfile.TemporaryDirectory(prefix="warm-")
        self._numbers = itertools.count()
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
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

    def run(
        self, arguments: Sequence[str], variables: Mapping[str, str], cwd: Path, *, timeout: float = PATIENCE
    ) -> Run:
        """`rollback WORDS` to its end."""
        return self.start(arguments, variables, cwd).wait(timeout)

    def start(self, arguments: Sequence[str], variables: Mapping[str, str], cwd: Path) -> Child:
        """`rollback WORDS` in `cwd` with exactly these variables."""
        made: queue.Queue[Child] = queue.Queue()
        with self._lock:
            number = next(self._numbers)
            out, err = (Path(self._folder.name) / f"{number}.{name}" for name in ("out", "err"))
            asked = {
                "words": [str(_SCRIPT), *arguments],
                "variables": dict(variables),
                "cwd": str(cwd),
                "streams": [os.devnull, str(out), str(err)],
            }
            self._asked.put((out, err, arguments, made))
            assert self._server.stdin is not None
            self._server.stdin.write(f"{json.dumps(asked)}\n")
            self._server.stdin.flush()
        return made.get(timeout=PATIENCE)

    def _read(self) -> None:
        """The server tells of children in the order in which they were asked for."""
        children: dict[int, Child] = {}
        assert self._server.stdout is not None
        for line in self._server.stdout:
            message = json.loads(line)
            if "started" in message:
                out, err, arguments, made = self._asked.get()
                child = children[message["started"]] = Child(message["started"], out, err, arguments)
                made.put(child)
            else:
                children.pop(message["ended"]).ends(message["code"])


def _serve() -> None:
    """Forks a child for each line on standard input, and tells on standard output which began and ended.

    Goes on to its end in the server, once nobody asks any more, and in each child.
    """
    import rollback  # noqa: PLC0415 - the server's own

    for found in pkgutil.walk_packages(rollback.__path__, "rollback."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)
    _read_models()
    script = compile(_SCRIPT.read_text(encoding="utf-8"), _SCRIPT, "exec")
    gc.collect()
    gc.freeze()  # what is here already is nobody's garbage
    asked = _asked_of_a_child()
    if asked is not None:
        _become(asked)
        exec(script, {"__name__": "__main__"})  # noqa: S102 - the console script


def _read_models() -> None:
    """Reads the services' models once: a process that makes clients spends most of its time on them."""
    read = functools.cache(JSONFileLoader().load_file)
    JSONFileLoader.load_file = lambda _, path: read(path)
    session = boto3.Session("none", "none", region_name="eu-west-1")
    for service in ("sts", "lambda", "dynamodb", "ssm", "s3"):
        session.client(service)


def _asked_of_a_child() -> dict[str, Any] | None:
    """In a child: what is asked of it. In the server: None, once nobody asks any more."""
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
                _send({"ended": ended[0], "code": os.waitstatus_to_exitcode(ended[1])})
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
            _send({"started": pid})


def _send(what: Mapping[str, int]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _become(asked: Mapping[str, Any]) -> None:
    """What an exec would have set up."""
    os.setsid()
    os.environ.clear()
    os.environ.update(asked["variables"])
    os.chdir(asked["cwd"])
    tempfile.tempdir = None  # may have been looked up
    sys.argv = asked["words"]
    for number, path in enumerate(asked["streams"]):
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)


if __name__ == "__main__":
    _serve()
