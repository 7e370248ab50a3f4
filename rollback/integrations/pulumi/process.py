"""Runs one command of the Pulumi engine, in a process whose pid is known before it acts."""

from __future__ import annotations

import io
import json
import os
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rollback.core.errors import Code, RollbackError, UsageError
from rollback.core.process_identity import SHORT_LIVED, Process
from rollback.integrations.subprocess_gate import Running, gated

INSTALLER = "https://www.pulumi.com/docs/install/"
_MAJOR = "3"
# Of the caller's own PULUMI_ variables only those have a say that tell who they are, where states and plugins
# are, and how secrets are read. PULUMI_OPTION_…, PULUMI_SKIP_CHECKPOINTS, PULUMI_DEBUG_GRPC and the like would
# change what is planned, or write down what is secret.
_KEPT = re.compile(
    r"PULUMI_(HOME|ACCESS_TOKEN|API|ORG|BACKEND_URL|CONFIG_PASSPHRASE(_FILE)?|PYTHON_CMD|SELF_MANAGED_STATE_\w+"
    r"|DISABLE_AUTOMATIC_PLUGIN_ACQUISITION|IGNORE_AMBIENT_PLUGINS|PLUGIN_DOWNLOAD_URL_OVERRIDES)"
)
# Seconds between two looks, and how many in which nothing is said are enough of a dead one.
_TICK, _QUIET = 0.1, 20
_LAST_LINES = 12
_EVENT = ("sequence", "timestamp")

Facts = Mapping[str, Any]
_Lines = queue.Queue[tuple[str | None, bool]]


class EngineError(RollbackError):
    """A command of the engine's failed; the message has its last lines."""

    code_default = Code.ENGINE_FAILED


class Locked(EngineError):
    """Another update holds the stack's lock: nothing was done."""

    code_default = Code.STATE_LOCKED


class Denied(EngineError):
    """The caller may not read the state: nothing was done."""

    code_default = Code.ACCESS_DENIED


@dataclass(frozen=True, kw_only=True)
class CommandWatch:
    """Callbacks of a running command.

    `began` gets its process, `event` each engine event: its kind (`resOutputsEvent`) and its JSON
    (`{"metadata": …}`). `stopping` is asked all the time, and may raise: then the engine is stopped
    gracefully first. `seconds` is how long it may take.
    """

    seconds: float
    began: Callable[[Process], None] = lambda _: None
    event: Callable[[str, Facts], None] = lambda *_: None
    stopping: Callable[[], bool] = lambda: False


@dataclass(kw_only=True)
class CommandResult:
    """How a command ended. `stopped` says that we asked it to end, `late` that its time was up."""

    code: int = 0
    output: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    stopped: bool = False
    late: bool = False

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def locked(self) -> bool:
        return not self.ok and any("the stack is currently locked by" in line for line in self.output)

    @property
    def denied(self) -> bool:
        # The words of the engine's backend for a store that answers 403, whichever store it is.
        return not self.ok and any("(code=PermissionDenied)" in line for line in self.output)

    @property
    def why(self) -> str:
        """The last lines of what went wrong."""
        lines = [line for text in (self.errors or self.output) for line in text.strip().splitlines()]
        entries = [line for line in lines if line.strip() and not line.startswith("warning: using pulumi-")]
        return "\n".join(entries[-_LAST_LINES:]) or f"it ended with exit code {self.code}"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The `pulumi` on PATH, with the environment `variables` that its commands get. `backend` is the state's
    URL.
    """

    program: str
    backend: str
    variables: Mapping[str, str]

    @classmethod
    def found(cls, backend: str) -> Engine:
        """The engine on PATH. Raises `UsageError` where there is none."""
        program = shutil.which("pulumi")
        if program is None:
            raise UsageError(
                "pulumi is not on PATH.", code=Code.TOOL_MISSING, next=f"Install it: {INSTALLER}"
            )
        ours = {
            "PULUMI_BACKEND_URL": backend,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",
            "NO_COLOR": "1",
        }
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PULUMI_") or _KEPT.fullmatch(name)
        }
        return cls(program=program, backend=backend, variables={**SHORT_LIVED, **kept, **ours})

    def version(self) -> str:
        """Its version. Raises `UsageError` for another major one than this command knows."""
        completed = subprocess.run(
            [self.program, "version"],
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        version = completed.stdout.strip().removeprefix("v")
        if version.partition(".")[0] != _MAJOR:
            raise UsageError(
                f"{self.program} is version {version or '?'}; this command needs Pulumi {_MAJOR}.",
                code=Code.TOOL_MISSING,
                next=f"Install it: {INSTALLER}",
            )
        return version

    def ask(self, folder: Path, *arguments: str, feed: str = "") -> str:
        """What a short command prints. Raises `EngineError`, or `Locked`, where it fails."""
        done = subprocess.run(
            [self.program, *arguments, "--non-interactive"],
            cwd=folder,
            env=self.variables,
            input=feed,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            start_new_session=True,
        )
        if done.returncode:
            raise failed(
                f"pulumi {' '.join(arguments[:2])}",
                CommandResult(code=done.returncode, output=done.stderr.splitlines()),
            )
        return done.stdout

    def run(
        self, folder: Path, *arguments: str, watch: CommandWatch, variables: Mapping[str, str]
    ) -> CommandResult:
        """Runs a command that changes something or takes its time, and passes on its events as they come.

        `variables` are environment variables beside the engine's own. Raises what `watch` raises, once the
        engine has ended.
        """
        command = [self.program, *arguments, "--json", "--non-interactive"]
        with gated(
            command,
            cwd=folder,
            env={**self.variables, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            began=lambda pid: watch.began(Process.of(pid)),
        ) as running:
            return _watched(running, watch)


def failed(what: str, ended: CommandResult, *, changed: str | None = None, next: str = "") -> EngineError:  # noqa: A002 - the word of RollbackError
    """The error for a command that failed."""
    kind = Locked if ended.locked else Denied if ended.denied else EngineError
    return kind(f"{what} failed:\n{ended.why}", changed=changed, next=next)


def _watched(running: Running, watch: CommandWatch) -> CommandResult:
    ended, lines = CommandResult(), _lines(running.process)
    open_pipes, quiet = 2, 0

    def look() -> bool:
        nonlocal open_pipes, quiet
        try:
            line, result = lines.get(timeout=_TICK)
        except queue.Empty:
            quiet += 1
        else:
            quiet = 0
            if line is None:
                open_pipes -= 1
            elif result:
                _notify(line, ended, watch)
            else:
                ended.output.append(line)
        # What the engine has left behind may hold its pipes open for ever.
        return open_pipes > 0 and (quiet < _QUIET or running.process.poll() is None)

    ended.code = running.follow(seconds=watch.seconds, stopping=watch.stopping, look=look)
    ended.stopped, ended.late = running.stopped, running.late
    return ended


def _notify(line: str, ended: CommandResult, watch: CommandWatch) -> None:
    """One line of standard output: an event."""
    try:
        event = json.loads(line)
        kind = next(name for name in event if name not in _EVENT)
    except (ValueError, TypeError, StopIteration):
        return
    if kind == "diagnosticEvent" and event[kind].get("severity") == "error":
        ended.errors.append(event[kind]["message"])
    watch.event(kind, event[kind])


def _lines(process: subprocess.Popen[bytes]) -> _Lines:
    """The lines of both pipes as they come, those of standard output marked; None at the end of each."""
    found: _Lines = queue.Queue()

    def read(pipe: IO[bytes], is_shown: bool) -> None:  # noqa: FBT001 - a thread's arguments
        with io.TextIOWrapper(pipe, encoding="utf-8", errors="replace") as text:
            for line in text:
                found.put((line.rstrip("\n"), is_shown))
        found.put((None, is_shown))

    for pipe, shown in ((process.stdout, True), (process.stderr, False)):
        threading.Thread(target=read, args=(pipe, shown), daemon=True).start()
    return found
