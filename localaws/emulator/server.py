"""Start and stop the emulator: loopback only, its own port, ended by pid and never by name."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localaws import processes
from localaws.emulator import copying, idle, outage
from localaws.emulator.calls import FOLDER
from localaws.emulator.tool import find_tool
from localaws.errors import LocalError
from localaws.paths import ROOT
from rollback.util import process_identity

_LAUNCH = "import sys; sys.path.insert(0, sys.argv.pop(1)); from localaws.emulator.launch import main; main()"
_READY_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Emulator:
    """A running emulator. `begun` is its process's start time, which makes the pid safe to use."""

    endpoint: str
    pid: int
    port: int
    log: Path
    begun: str
    auth: bool
    state_dir: Path | None = None
    _process: subprocess.Popen[str] | None = field(default=None, compare=False, repr=False)

    def alive(self) -> bool:
        """Whether that very process still runs."""
        return process_identity.alive(self.pid, self.begun)

    def to_json(self) -> str:
        """The record that `from_json` reads back in another process."""
        known = {k: str(v) if isinstance(v, Path) else v for k, v in _fields(self).items()}
        return json.dumps(known, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Emulator:
        """Read what `to_json` wrote. Raises ValueError if it is something else."""
        try:
            known = json.loads(text)
            state = known["state_dir"]
            return cls(**{**known, "log": Path(known["log"]), "state_dir": Path(state) if state else None})
        except (KeyError, TypeError) as error:
            raise ValueError(f"no emulator record: {error}") from None


def start(
    state_dir: Path | None,
    *,
    auth: bool,
    port: int = 0,
    detached: bool = False,
    log: Path | None = None,
    calls: Path | None = None,
) -> Emulator:
    """Start an emulator and return when it answers.

    `state_dir` keeps the account over restarts; None forgets it. `auth` evaluates IAM policies and
    trust. `port` is taken if it is free, else another one. A `detached` one outlives this process;
    any other ends with it, however it ends. `log` defaults to a file that ends with the emulator. Each
    call that is judged is written down once in the folder `calls`, if given (`localaws.emulator.calls`).
    Raises `LocalError` with the log's last lines if it does not come up.
    """
    interpreter = find_tool()
    if interpreter is None:
        raise LocalError("The local AWS account is not installed. Run: make tools")
    scratch = Path(tempfile.mkdtemp(prefix="account-"))
    log = log or scratch / "emulator.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [str(interpreter), "-c", _LAUNCH, str(ROOT), "--port", str(port), "--scratch", str(scratch)]
    command += ["--detach"] if detached else ["--parent", str(os.getpid())]
    with log.open("a") as sink:
        process = subprocess.Popen(
            command,
            env={
                **_environment(state_dir, scratch, auth=auth),
                **({FOLDER: str(calls)} if calls else {}),
            },
            cwd=scratch,
            stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            text=True,
            # Ctrl-C is for the one at the terminal, who then ends this one gracefully.
            start_new_session=True,
        )
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    line = process.stdout.readline()
    process.stdout.close()
    if detached or not line:
        process.wait()
    bound = json.loads(line) if line else {}
    begun = process_identity.began(bound["pid"]) if bound else ""
    if not begun:
        if process.stdin:
            process.stdin.close()
        process.wait()
        last = "\n".join(_tail(log))
        raise LocalError(f"The local AWS account did not start (exit {process.returncode}).\n{last}")
    emulator = Emulator(
        endpoint=f"http://127.0.0.1:{bound['port']}",
        pid=bound["pid"],
        port=bound["port"],
        log=log,
        begun=begun,
        auth=auth,
        state_dir=state_dir,
        _process=None if detached else process,
    )
    try:
        _answers(emulator)
    except OSError as error:
        last = "\n".join(_tail(log))
        stop(emulator)
        raise LocalError(f"The local AWS account does not answer: {error}\n{last}") from None
    return emulator


def stop(emulator: Emulator) -> None:
    """End the emulator and return when it is gone; nothing happens if it is gone already."""
    processes.end(emulator.pid, emulator.begun)
    if emulator._process is not None:  # noqa: SLF001 - this module's own
        if emulator._process.stdin:  # noqa: SLF001
            emulator._process.stdin.close()  # noqa: SLF001
        emulator._process.wait()  # noqa: SLF001


@contextlib.contextmanager
def running(
    state_dir: Path | None = None,
    *,
    auth: bool,
    port: int = 0,
    calls: Path | None = None,
) -> Iterator[Emulator]:
    """An emulator for as long as the block lasts, and never longer than this process."""
    emulator = start(state_dir, auth=auth, port=port, calls=calls)
    try:
        yield emulator
    finally:
        stop(emulator)


def copy_account(endpoint: str, source: str, target: str, services: Sequence[str]) -> None:
    """Gives account `target` what an emulator keeps of `source` in `services` (`localaws.emulator.copying`)."""
    _ask(endpoint, copying.PATH, {"from": source, "to": target, "services": list(services)})


def make_idle(
    endpoint: str,
    account: str,
    region: str,
    function: str,
    version: str,
    *,
    seconds: float = 0.5,
    ends: str = "Active",
) -> None:
    """Makes a version Inactive, which takes `seconds` to wake and `ends` in a state (`localaws.emulator.idle`)."""
    asked = {"account": account, "region": region, "function": function, "version": version}
    _ask(endpoint, idle.PATH, asked | {"seconds": seconds, "ends": ends})


def take_away_dynamodb(endpoint: str, account: str, *, away: bool) -> None:
    """Takes DynamoDB of an account out of reach, or ends that; its data stay (`localaws.emulator.outage`)."""
    _ask(endpoint, outage.PATH, {"account": account, "away": away})


def _ask(endpoint: str, path: str, asked: Mapping[str, object]) -> None:
    """A request of our own to an emulator."""
    body = json.dumps(asked).encode()
    request = urllib.request.Request(f"{endpoint}{path}", data=body, method="POST")  # noqa: S310 - loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_READY_SECONDS) as answer:
        answer.read()


def _environment(state_dir: Path | None, scratch: Path, *, auth: bool) -> dict[str, str]:
    """All that the emulator sees: nothing of the caller's AWS or Python settings."""
    keep = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "LC_ALL") if k in os.environ}
    state = state_dir or scratch
    state.mkdir(parents=True, exist_ok=True)
    return {
        **keep,
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "AUTH": "true" if auth else "false",
        "LOG_LEVEL": "WARNING",
        "TMPDIR": str(scratch),
        "PERSIST_STATE": "1" if state_dir else "0",
        "STATE_DIR": str(state / "services"),
        "S3_PERSIST": "1" if state_dir else "0",
        "S3_DATA_DIR": str(state / "s3"),
        # A host that has no docker must not be asked for one.
        "DOCKER_HOST": f"unix://{scratch}/no-docker.sock",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _answers(emulator: Emulator) -> None:
    """Returns when the emulator has answered; it is bound, so that the request waits for it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{emulator.endpoint}/_ministack/health", timeout=_READY_SECONDS) as answer:
        answer.read()


def _tail(log: Path, lines: int = 15) -> list[str]:
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def _fields(emulator: Emulator) -> dict[str, object]:
    plain = {k: getattr(emulator, k) for k in emulator.__dataclass_fields__ if not k.startswith("_")}
    return dict(plain)
