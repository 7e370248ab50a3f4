"""A `PulumiCommand` for the Automation API whose process its caller knows, follows and ends gracefully.

The SDK's own `PulumiCommand` starts `pulumi` with the whole environment, hides its process, and reads its output
through pipes (https://www.pulumi.com/docs/iac/automation-api/; asked for in
https://github.com/pulumi/pulumi/issues/9103). This one has the same interface, and:

- starts the engine behind a gate: `Hooks.began` receives its pid before it does anything, and may refuse;
- gives it exactly the given environment, and what the workspace adds;
- puts it in its own session, so that Ctrl-C on a terminal does not reach it; `Hooks.stopping` is called all the
  time and interrupts it once, which the engine takes as a request to end gracefully;
- lets it write to files, so that it never waits for a reader that has stopped; if this process dies, a
  small watcher interrupts it once;
- passes the engine's events (`Hooks.event`) on in the caller's thread, as they are written.

For example:

    command = GatedCommand("/usr/bin/pulumi", env=os.environ, hooks=Hooks(began=print))
    workspace = QuietWorkspace(work_dir=folder, pulumi_command=command)
    stack = QuietStack("dev", workspace)
    stack.preview(plan="plan.json")
    stack.up(plan="plan.json")

`QuietWorkspace` and `QuietStack` leave out what the SDK reads around an operation: outputs and history with
secrets in plain text, and `stack select`. Exports keep their secrets encrypted.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from pulumi.automation import Deployment, LocalWorkspace, OutputMap, Stack, UpdateSummary
from pulumi.automation._cmd import CommandResult, PulumiCommand
from pulumi.automation._stack import ImportResult, StackInitMode
from pulumi.automation.errors import InvalidVersionError, create_command_error
from pulumi.automation.events import EngineEvent
from semver import VersionInfo

from .process import gated

_TICK = 0.05
# The engine marks colours in messages like this: `<{%fg 1%}>`.
_COLOUR = re.compile(r"<\{%.*?%\}>")
# Interrupts the process $1 when the other end of its input closes without a line.
_WATCH = 'read -r done || kill -INT "$1"'

# One event of the engine, as `apitype.EngineEvent` in JSON, e.g. `{"sequence": 3, "resourcePreEvent": {…}}`
# (https://pkg.go.dev/github.com/pulumi/pulumi/sdk/v3/go/common/apitype#EngineEvent). Secrets are masked.
Event = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Callbacks of one command, called in the thread that runs it. An exception ends the engine gracefully
    first, and is then raised.

    `began` receives its pid; `event` each event; `stopping` is polled for whether to interrupt it; after
    `seconds` it is interrupted anyway.
    """

    began: Callable[[int], object] = lambda _: None
    event: Callable[[Event], object] = lambda _: None
    stopping: Callable[[], bool] = lambda: False
    seconds: float = float("inf")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended. `stopped`: `Hooks.stopping` ended it; `late`: the time limit did."""

    arguments: tuple[str, ...]
    code: int
    output: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    stopped: bool = False
    late: bool = False


class GatedCommand(PulumiCommand):
    """Runs the engine at `command`, a path, with exactly the environment `env`.

    `ended` is how its last command ended; None before the first. It runs one command at a time.
    """

    def __init__(self, command: str, *, env: Mapping[str, str], hooks: Hooks | None = None) -> None:
        # Not the SDK's `__init__`, which starts `pulumi version` with this process's whole environment.
        self.command = command
        self.version: VersionInfo | None = None
        self.env = dict(env)
        self.hooks = hooks or Hooks()
        self.ended: Ended | None = None
        self._logs: list[tuple[Path, Callable[[Event], object]]] = []

    def check_version(self, major: int = 3) -> VersionInfo:
        """Reads the engine's version. Raises `InvalidVersionError` for another major version than `major`, and
        `CommandError` where it prints none.
        """
        printed = self.run(["version"], os.curdir, {"PULUMI_SKIP_UPDATE_CHECK": "true"}).stdout.strip()
        try:
            self.version = VersionInfo.parse(printed.removeprefix("v"))
        except ValueError:
            raise InvalidVersionError(f"{self.command} reports version {printed[:80]!r}") from None
        if self.version.major != major:
            raise InvalidVersionError(f"{self.command} is version {self.version}")
        return self.version

    def follow(self, log: Path, event: Callable[[Event], object]) -> None:
        """Follows the next command's event log: `event` receives each of its lines."""
        self._logs.append((log, event))

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], Any] | None = None,
        on_error: Callable[[str], Any] | None = None,
    ) -> CommandResult:
        """Runs one command, as `PulumiCommand.run` does. Raises `CommandError` where it fails, and what a hook
        raises.
        """
        end = args.index("--") if "--" in args else len(args)
        if "--non-interactive" not in args[:end]:
            args = ["--non-interactive", *args]
        logs, self._logs = self._logs, []
        output, errors = list[str](), list[str]()
        with tempfile.TemporaryDirectory(prefix="pulumi-output-") as folder, ExitStack() as files:
            out, err = Path(folder, "out"), Path(folder, "err")
            written = tuple(files.enter_context(path.open("wb")) for path in (out, err))
            readers = [(out, _both(output.append, on_output)), (err, _both(errors.append, on_error))]
            readers += [(log, _parsed(event)) for log, event in logs]
            tails = [_Tail(files.enter_context(path.open("rb")), line) for path, line in readers]
            code, stopped, late = self._followed(args, cwd, additional_env, written, tails)
        self.ended = Ended(
            arguments=tuple(args),
            code=code,
            output=tuple(output),
            errors=tuple(errors),
            stopped=stopped,
            late=late,
        )
        result = CommandResult(stdout="\n".join(output), stderr="\n".join(errors), code=code)
        if code:
            raise create_command_error(result)
        return result

    def _followed(
        self,
        args: Sequence[str],
        cwd: str,
        additional_env: Mapping[str, str],
        files: Sequence[BinaryIO],
        tails: Sequence[_Tail],
    ) -> tuple[int, bool, bool]:
        """Runs it to its end; returns its exit code, and whether it was stopped, or late."""
        with ExitStack() as watched:

            def began(pid: int) -> None:
                self.hooks.began(pid)
                watched.enter_context(_not_orphaned(pid))

            running = watched.enter_context(
                gated(
                    [self.command, *args],
                    cwd=Path(cwd),
                    env={**self.env, **additional_env, "PULUMI_AUTOMATION_API": "true"},
                    stdout=files[0],
                    stderr=files[1],
                    began=began,
                )
            )

            def look() -> bool:
                with suppress(subprocess.TimeoutExpired):
                    running.process.wait(_TICK)
                lives = running.process.poll() is None
                for tail in tails:
                    tail.read(last=not lives)
                return lives

            code = running.follow(seconds=self.hooks.seconds, stopping=self.hooks.stopping, look=look)
        return code, running.stopped, running.late


class QuietWorkspace(LocalWorkspace):
    """A `LocalWorkspace` that reveals no secret and leaves no file behind. `options` go to every command."""

    def __init__(
        self, *, work_dir: str, pulumi_command: GatedCommand, options: Sequence[str] = (), **more: Any
    ) -> None:
        super().__init__(work_dir=work_dir, pulumi_command=pulumi_command, **more)
        self.gated = pulumi_command
        self.options = options

    @property
    def pulumi_version(self) -> str:  # type: ignore[override] # as it is in the SDK
        """The engine's version if it was read, otherwise the SDK's."""
        return str(self.gated.version or VersionInfo(3))

    def serialize_args_for_op(self, stack_name: str) -> list[str]:  # noqa: ARG002 - the SDK's
        """The options of every command of a stack."""
        return list(self.options)

    def export_stack(self, stack_name: str) -> Deployment:
        """The stack's complete exported state, with encrypted secrets."""
        printed = self._run_pulumi_cmd_sync(["stack", "export", "--stack", stack_name]).stdout
        found = Deployment()
        # Everything is kept, so that `import_stack` writes it unchanged, including `features` of newer engines.
        found.__dict__.update(json.loads(printed))
        return found

    def import_stack(self, stack_name: str, state: Deployment) -> None:
        """Replaces the stack's state; its temporary file is always removed."""
        with tempfile.TemporaryDirectory(prefix="pulumi-state-") as folder:
            file = Path(folder, "state.json")
            file.write_text(json.dumps(state.__dict__), encoding="utf-8")
            self._run_pulumi_cmd_sync(["stack", "import", "--file", str(file), "--stack", stack_name])

    def install_all(self) -> None:
        """Runs `pulumi install` without a version check: an engine older than 3.91 reports an error itself."""
        self._run_pulumi_cmd_sync(["install"])

    def stack_outputs(self, stack_name: str) -> OutputMap:  # noqa: ARG002 - the SDK's
        """Returns nothing: the SDK reads outputs after each update, with secrets in plain text."""
        return {}


class QuietStack(Stack):
    """An existing stack of a `QuietWorkspace`: it is neither selected nor created."""

    workspace: QuietWorkspace

    def __init__(self, name: str, workspace: QuietWorkspace) -> None:
        # Not the SDK's `__init__`, which runs `pulumi stack select`: every command names its stack.
        self.name = name
        self.workspace = workspace
        self._mode = StackInitMode.SELECT

    def info(self, show_secrets: bool = True) -> UpdateSummary:  # noqa: ARG002, FBT001, FBT002 - the SDK's
        """The result of the last operation, without reading the history, which contains secrets."""
        ended = self.workspace.gated.ended
        result = "succeeded" if ended is not None and not ended.code else "failed"
        return UpdateSummary(
            kind="", start_time=datetime.now(UTC), message="", environment={}, config={}, result=result
        )

    def rename_resource(self, urn: str, name: str) -> None:
        """Renames a resource in the state; the SDK has no operation for that."""
        self._run_pulumi_cmd_sync(["state", "rename", urn, name, "--yes"])

    def import_resources(self, *args: Any, **options: Any) -> ImportResult:
        """Like the SDK's, with events."""
        log, _, _, folder, _ = self._setup_event_log("import", ignored, self.workspace.pulumi_version)
        with folder:
            self.workspace.options = (*self.workspace.options, "--event-log", log)
            return super().import_resources(*args, **options)

    def _setup_event_log(
        self,
        command: str,
        on_event: Callable[[EngineEvent], Any],
        pulumi_version: str,  # noqa: ARG002 - the SDK's
    ) -> Any:
        """Uses a file instead of the SDK's gRPC server, so that the engine never waits for this process."""
        folder = tempfile.TemporaryDirectory(prefix=f"pulumi-events-{command}-")
        log = Path(folder.name, "events.jsonl")
        log.touch()
        hook = self.workspace.gated.hooks.event

        def seen(event: Event) -> None:
            hook(event)
            on_event(EngineEvent.from_json(dict(event)))

        self.workspace.gated.follow(log, seen)
        return str(log), None, None, folder, None


def ignored(event: EngineEvent) -> None:
    """For an operation whose events are only used by `Hooks.event`."""


def message(text: str) -> str:
    """A message of the engine without colours."""
    return _COLOUR.sub("", text)


@dataclass
class _Tail:
    """Reads a file as it grows; `line` receives each line, without line break, decoded with replacements."""

    file: BinaryIO
    line: Callable[[str], object]
    _rest: bytes = b""

    def read(self, *, last: bool) -> None:
        """Passes on new lines; at the end also an incomplete one."""
        *whole, self._rest = (self._rest + self.file.read()).split(b"\n")
        if last and self._rest:
            whole.append(self._rest)
        for one in whole:
            self.line(one.decode(errors="replace").rstrip())


def _both(keep: Callable[[str], object], tell: Callable[[str], object] | None) -> Callable[[str], None]:
    def line(text: str) -> None:
        keep(text)
        if tell is not None:
            tell(text)

    return line


def _parsed(event: Callable[[Event], object]) -> Callable[[str], None]:
    def line(text: str) -> None:
        try:
            found = json.loads(text)
        except ValueError:
            return
        if isinstance(found, dict):
            event(found)

    return line


@contextmanager
def _not_orphaned(pid: int) -> Iterator[None]:
    """Interrupts a process once if this one dies inside the block, because no broken pipe would end it."""
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", _WATCH, "sh", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={},
    )
    try:
        yield
    finally:
        with suppress(BrokenPipeError):
            watcher.communicate(b"\n")
