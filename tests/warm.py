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

What others start has it as well, by a folder that goes first on their PATH: `warm.scripts` has `rollback`,
`warm.plugins` the plugins that the engine starts, `warm.interpreters` a `python` for what imports other people's
packages, which are there, and ours, which it finds by itself. Each is a small program that hands its arguments,
variables, folder and streams over, hands signals on, and ends as the fork ends; killed, it takes the fork along.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import itertools
import json
import marshal
import os
import pkgutil
import queue
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import boto3

from localaws import shell
from localaws.paths import ROOT
from tests.models_once import read_models_once

_SCRIPT = ROOT / ".venv" / "bin" / "rollback"
# Without what an interpreter imports by itself it starts in a third of the time.
_SHIM = """#!{python} -IS
import _signal, _socket, marshal, os, sys, posix
connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
asked = [{kind!r}, sys.argv[1:], dict(os.environ), os.getcwd(), os.getpid(), os.getppid()]
body = marshal.dumps(asked)
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
try:
    connection.connect({address!r})
    connection.sendmsg([len(body).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
except OSError as error:
    sys.exit(f"no fork of {kind}: {{error}}")
connection.sendall(body)
pid = int.from_bytes(connection.recv(4), "big")
for number in (1, 2, 3, 15):
    _signal.signal(number, lambda number, _: os.kill(pid, number))
code = int.from_bytes(connection.recv(4), "big", signed=True)
if code < 0:
    if -code in (1, 2, 3, 15):
        _signal.signal(-code, _signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""
# Which program of `localaws` each plugin is.
_PLUGINS = {
    "pulumi-language-python": "localaws.toolchain.language_host",
    "pulumi-resource-aws": "localaws.provider.main",
}
_OURS = ("components", "demo", "localaws", "rollback", "tests", "tools")
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
        folder = Path(self._folder.name)
        # It listens already while the server still imports: shims wait for it.
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(folder / "socket"))
            listening.listen(64)
            self._server = subprocess.Popen(
                [sys.executable, __file__, str(listening.fileno()), str(folder)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
                pass_fds=[listening.fileno()],
            )
        self.scripts = _shims(folder, "scripts", {"rollback": "rollback"})
        self.plugins = _shims(folder, "plugins", _PLUGINS)
        self.interpreters = _shims(folder, "interpreters", dict.fromkeys(("python", "python3"), "python"))
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

    @contextlib.contextmanager
    def in_place_of_plugins(self) -> Iterator[None]:
        """Engines that are started in the block find our plugins' shims, where they would find these plugins."""
        before, shell.BIN = shell.BIN, self.plugins
        for name in _PLUGINS:
            if not (before / name).exists():  # an official one counts more
                (self.plugins / name).unlink()
        yield
        shell.BIN = before

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


def _shims(folder: Path, name: str, kinds: Mapping[str, str]) -> Path:
    place = folder / name
    place.mkdir()
    for program, kind in kinds.items():
        text = _SHIM.format(python=sys.executable, kind=kind, address=str(folder / "socket"))
        (place / program).write_text(text, encoding="utf-8")
        (place / program).chmod(0o755)
    return place


def _serve() -> None:
    """Forks a child for each line on standard input and for each shim, and tells them which began and ended.

    Goes on to its end in the server, once nobody asks any more, and in each child.
    """
    import rollback  # noqa: PLC0415 - the server's own

    own = {str(Path(__file__).parent), str(ROOT)}
    path = [one for one in sys.path if one not in own]
    for package in (rollback, *map(importlib.import_module, ("components", "localaws.provider"))):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith(".__main__"):
                importlib.import_module(found.name)
    for plugin in _PLUGINS.values():
        importlib.import_module(plugin)
    _read_models()
    script = compile(_SCRIPT.read_text(encoding="utf-8"), _SCRIPT, "exec")
    gc.collect()
    gc.freeze()  # what is here already is nobody's garbage
    asked = _Server(socket.socket(fileno=int(sys.argv[1]))).asked_of_a_child()
    if asked is None:
        return
    folder = Path(sys.argv[2])
    _become(asked)
    if asked["kind"] == "rollback":
        exec(script, {"__name__": "__main__"})  # noqa: S102 - the console script
    elif asked["kind"] == "python":
        _interpret(asked["words"][1:], path)
    else:
        _host_forks(folder / "interpreters" / "python")
        importlib.import_module(asked["kind"]).main()


def _read_models() -> None:
    read_models_once()
    session = boto3.Session("none", "none", region_name="eu-west-1")
    for service in ("sts", "lambda", "dynamodb", "ssm", "s3"):
        session.client(service)


class _Server:
    """Forks a child for each line on standard input, and for each shim that comes to `listening`."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # The shim of each child that one has asked for. Closed once it is gone.
        self._alive: dict[int, socket.socket | None] = {}
        self._left = b""

    def asked_of_a_child(self) -> dict[str, Any] | None:
        """In a child: what is asked of it. In the server: None, once nobody asks any more."""
        while True:
            shims = {shim: pid for pid, shim in self._alive.items() if shim and shim.fileno() >= 0}
            ready, _, _ = select.select([0, self._woken, self._listening, *shims], [], [])
            for shim in shims.keys() & {*ready}:
                # It says nothing more: it is gone, and its child goes as well.
                shim.close()
                os.kill(shims[shim], signal.SIGKILL)
            if self._woken in ready:
                self._reap()
            if self._listening in ready:
                shim, _ = self._listening.accept()
                asked = _heard(shim)
                if asked and self._forked(asked, shim):
                    return asked
            if 0 in ready:
                lines = self._lines()
                if lines is None:
                    return None
                for line in lines:
                    asked = {"kind": "rollback", **json.loads(line)}
                    if self._forked(asked, None):
                        return asked

    def _reap(self) -> None:
        os.read(self._woken, 4096)
        while self._alive and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pid, code = ended[0], os.waitstatus_to_exitcode(ended[1])
            shim = self._alive.pop(pid)
            if shim is None:
                _send({"ended": pid, "code": code})
                continue
            with shim, contextlib.suppress(OSError):
                shim.sendall(code.to_bytes(4, "big", signed=True))

    def _lines(self) -> list[bytes] | None:
        """What has been asked on standard input; None at its end, which all children end with."""
        read = os.read(0, 1 << 16)
        if not read:
            for pid in self._alive:
                os.kill(pid, signal.SIGKILL)
            return None
        *lines, self._left = (self._left + read).split(b"\n")
        return lines

    def _forked(self, asked: Mapping[str, Any], shim: socket.socket | None) -> bool:
        """Whether this is the child."""
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for held in (self._listening, shim, *self._alive.values()):
                if held is not None:
                    held.close()
            os.close(self._wake)
            os.close(self._woken)
            return True
        self._alive[pid] = shim
        if shim is None:
            _send({"started": pid})
            return False
        for stream in asked["streams"]:
            os.close(stream)
        with contextlib.suppress(OSError):
            shim.sendall(pid.to_bytes(4, "big"))
        return False


def _heard(shim: socket.socket) -> dict[str, Any] | None:
    """What a shim hands over; None where it is gone before it has said it."""
    try:
        size, streams, _, _ = socket.recv_fds(shim, 4, 3)
        with shim.makefile("rb") as handed:
            body = handed.read(int.from_bytes(size, "big"))
        kind, words, variables, cwd, pid, parent = marshal.loads(body)  # noqa: S302 - our own shim's
    except (OSError, EOFError, ValueError):
        shim.close()
        return None
    return {
        "kind": kind,
        "words": [str(_SCRIPT), *words],
        "variables": variables,
        "cwd": cwd,
        "streams": streams,
        "parent": (pid, parent),
    }


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
    for number, stream in enumerate(asked["streams"]):
        opened = stream if isinstance(stream, int) else os.open(stream, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    if "parent" in asked:
        os.getppid = functools.partial(_parent, *asked["parent"])
        for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
            stream = open(number, mode, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115 - as long as the process
            if mode == "w":
                stream.reconfigure(line_buffering=number == 2 or os.isatty(number))
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _parent(pid: int, parent: int) -> int:
    """The parent of the shim `pid`, which was `parent` when it began."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 1 if Path("/proc/self").exists() else parent


def _host_forks(python: Path) -> None:
    """The language host starts a program with this interpreter by its shim."""
    from localaws.toolchain import language_host  # noqa: PLC0415 - the server's own

    class Forking:
        def __getattr__(self, name: str) -> Any:
            return getattr(subprocess, name)

        def Popen(self, command: Sequence[str], **how: Any) -> Any:  # noqa: N802 - as there
            started, *arguments = command
            ours = Path(started).parent.resolve() == Path(sys.executable).parent.resolve()
            return subprocess.Popen([str(python) if ours else started, *arguments], **how)

    language_host.subprocess = Forking()  # type: ignore[assignment]


def _interpret(arguments: list[str], path: Sequence[str]) -> None:
    """What an interpreter with these arguments does. Other people's packages are imported, ours are not, nor found at all."""
    safe, unbuffered, rest = False, False, list(arguments)
    while rest and rest[0] in ("-P", "-u"):
        safe, unbuffered = safe or rest[0] == "-P", unbuffered or rest[0] == "-u"
        del rest[0]
    if not rest or (rest[0].startswith("-") and rest[0] != "-c") or Path(rest[0]).is_dir():
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - as it was called
    inline = rest[0] == "-c"
    program = Path(rest[0])
    # A program of these tests finds what is imported.
    if inline or ROOT / "tests" not in program.resolve().parents:
        for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
            del sys.modules[name]
    begin = [] if safe else [""] if inline else [str(program.resolve().parent)]
    more = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    sys.path[:] = [*begin, *more, *path]
    if unbuffered:
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    main = sys.modules["__main__"] = ModuleType("__main__")
    if inline:
        sys.argv = ["-c", *rest[2:]]
        code = compile(rest[1], "<string>", "exec")
    else:
        sys.argv = rest
        main.__file__ = str(program)
        code = compile(program.read_bytes(), str(program), "exec")
    exec(code, main.__dict__)  # noqa: S102 - what the interpreter is for


if __name__ == "__main__":
    _serve()
