"""The Pulumi engine, driven through the Automation API (https://www.pulumi.com/docs/iac/automation-api/).

Every command goes through a `GatedCommand`: its process is known before it acts, and its environment is filtered.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rollback.engines.pulumi import installation
from rollback.engines.pulumi.installation import INSTALLER
from rollback.util.errors import Code, RollbackError, UsageError
from rollback.util.extras import extra
from rollback.util.process_identity import SHORT_LIVED, Process

with extra("pulumi"):
    from pulumi.automation import CommandError
    from pulumi.automation.errors import InvalidVersionError

    from rollback.engines.gated.pulumi_command import (
        Event,
        GatedCommand,
        Hooks,
        QuietStack,
        QuietWorkspace,
        message,
    )

_MAJOR = 3
# What the storage of the state says of a bucket that nobody has made yet.
_NO_BUCKET = "NoSuchBucket"
# Only those of the caller's PULUMI_ variables are passed on that define identity, location of states and plugins,
# and secrets. PULUMI_OPTION_…, PULUMI_SKIP_CHECKPOINTS, PULUMI_DEBUG_GRPC and others would
# change the plan, or write secrets to files.
_KEPT = re.compile(
    r"PULUMI_(HOME|ACCESS_TOKEN|API|ORG|BACKEND_URL|CONFIG_PASSPHRASE(_FILE)?|PYTHON_CMD|SELF_MANAGED_STATE_\w+"
    r"|DISABLE_AUTOMATIC_PLUGIN_ACQUISITION|IGNORE_AMBIENT_PLUGINS|PLUGIN_DOWNLOAD_URL_OVERRIDES)"
)
_LAST_LINES = 12
_EVENT = ("sequence", "timestamp")
# https://www.pulumi.com/docs/iac/cli/environment-variables/
_NO_DOWNLOADS = "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"
_BUILT_IN = "pulumi"

Facts = Mapping[str, Any]
T = TypeVar("T")


class EngineError(RollbackError):
    """A command of the engine failed; the message has its last lines."""

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

    `began` receives its process, `event` each engine event: its kind (`resOutputsEvent`) and its JSON
    (`{"metadata": …}`). `stopping` is polled, and may raise: then the engine is stopped
    gracefully first. `seconds` is the time limit.
    """

    seconds: float
    began: Callable[[Process], None] = lambda _: None
    event: Callable[[str, Facts], None] = lambda *_: None
    stopping: Callable[[], bool] = lambda: False


@dataclass(kw_only=True)
class CommandResult:
    """How a command ended. `stopped`: it was interrupted; `late`: by its time limit."""

    code: int = 0
    output: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    stopped: bool = False
    late: bool = False

    @classmethod
    def of(cls, command: GatedCommand, errors: Iterable[str] = ()) -> CommandResult:
        """How the last command of `command` ended; `errors` are those in its events."""
        ended = command.ended
        assert ended is not None  # noqa: S101 - it has run one
        return cls(
            code=ended.code,
            output=[*ended.errors] if any(ended.errors) else [*ended.output],
            errors=[*errors],
            stopped=ended.stopped,
            late=ended.late,
        )

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def locked(self) -> bool:
        return not self.ok and any("the stack is currently locked by" in line for line in self.output)

    @property
    def denied(self) -> bool:
        # The message of the engine's backends for status 403 of any store.
        return not self.ok and any("(code=PermissionDenied)" in line for line in self.output)

    @property
    def why(self) -> str:
        """The last lines of the error output."""
        lines = [line for text in (self.errors or self.output) for line in text.strip().splitlines()]
        entries = [line for line in lines if line.strip() and not line.startswith("warning: using pulumi-")]
        return "\n".join(entries[-_LAST_LINES:]) or f"exit code {self.code}"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The `pulumi` on PATH, with the environment `variables` of its commands. `backend` is the state's
    URL.
    """

    program: str
    backend: str
    variables: Mapping[str, str]

    @classmethod
    def found(cls, backend: str) -> Engine:
        """The engine on PATH, else the one installed by `rollback tools install`. Raises `UsageError` where
        there is none. Downloads nothing.
        """
        on_path, own = shutil.which("pulumi"), installation.found()
        program = on_path or (str(own) if own else "")
        if not program:
            raise UsageError(
                "pulumi is not on the PATH.",
                code=Code.TOOL_MISSING,
                next=f"rollback tools install  # or by hand: {INSTALLER}",
            )
        ours = {
            "PULUMI_BACKEND_URL": backend,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "NO_COLOR": "1",
        }
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PULUMI_") or _KEPT.fullmatch(name)
        }
        if own and not on_path:
            # Its language plugins are in the same folder.
            ours["PATH"] = os.pathsep.join((str(own.parent), os.environ.get("PATH", os.defpath)))
        return cls(program=program, backend=backend, variables={**SHORT_LIVED, **kept, **ours})

    def version(self) -> str:
        """Its version. Raises `UsageError` for an unsupported major version."""
        try:
            return str(self._command().check_version(_MAJOR))
        except (CommandError, InvalidVersionError) as error:
            raise UsageError(
                f"{str(error).strip().splitlines()[0]}; this command needs Pulumi {_MAJOR}.",
                code=Code.TOOL_MISSING,
                next=f"rollback tools install  # after removing the other pulumi from the PATH; or by hand: {INSTALLER}",
            ) from None

    @property
    def downloads_plugins(self) -> bool:
        """Whether it downloads missing plugins."""
        return self.variables.get(_NO_DOWNLOADS, "").casefold() not in ("1", "true")

    def has_provider(self, name: str) -> bool:
        """Whether this machine has any version of a provider: as a plugin, on PATH or beside the engine."""
        path = os.pathsep.join(
            (self.variables.get("PATH", os.defpath), str(Path(self.program).resolve().parent))
        )
        home = Path(self.variables.get("PULUMI_HOME") or Path.home() / ".pulumi")
        return (
            name == _BUILT_IN
            or shutil.which(f"pulumi-resource-{name}", path=path) is not None
            or any((home / "plugins").glob(f"resource-{name}-v*"))
        )

    def ask(self, folder: Path, stack: str, question: Callable[[QuietStack], T]) -> T:
        """The result of a short operation on a stack. Raises `EngineError`, `Locked` or `Denied` where it fails."""
        command = self._command()
        try:
            return question(QuietStack(stack, QuietWorkspace(work_dir=str(folder), pulumi_command=command)))
        except CommandError:
            ended = CommandResult.of(command)
            verb = " ".join([one for one in command.ended.arguments if not one.startswith("-")][:2])  # type: ignore[union-attr] # it has ended
            raise failed(f"pulumi {verb}", ended) from None

    def install(self, folder: Path, seconds: float) -> CommandResult:
        """Lets the engine install the dependencies of the program in `folder`, within `seconds`."""
        command = self._command(Hooks(seconds=seconds))
        with suppress(CommandError):
            QuietWorkspace(work_dir=str(folder), pulumi_command=command).install_all()
        return CommandResult.of(command)

    def run(
        self,
        folder: Path,
        stack: str,
        operation: Callable[[QuietStack], object],
        *,
        watch: CommandWatch,
        variables: Mapping[str, str],
        options: Sequence[str] = (),
    ) -> CommandResult:
        """Runs a long or changing operation, and passes on its events as they come.

        `variables` are additional environment variables, `options` additional options of the command. Raises what
        `watch` raises, once the engine has ended.
        """
        errors: list[str] = []

        def event(found: Event) -> None:
            kind = next((name for name in found if name not in _EVENT), "")
            data = found.get(kind)
            if not isinstance(data, dict):
                return
            if kind == "diagnosticEvent":
                data = {**data, "message": message(str(data.get("message", "")))}
                if data.get("severity") == "error":
                    errors.append(data["message"])
            watch.event(kind, data)

        command = self._command(
            Hooks(
                began=lambda pid: watch.began(Process.of(pid)),
                event=event,
                stopping=watch.stopping,
                seconds=watch.seconds,
            ),
            variables,
        )
        workspace = QuietWorkspace(work_dir=str(folder), pulumi_command=command, options=options)
        # The command has the result; the exception adds nothing.
        with suppress(CommandError):
            operation(QuietStack(stack, workspace))
        return CommandResult.of(command, errors)

    def _command(
        self, hooks: Hooks | None = None, variables: Mapping[str, str] | None = None
    ) -> GatedCommand:
        return GatedCommand(self.program, env={**self.variables, **(variables or {})}, hooks=hooks)


def failed(what: str, ended: CommandResult, *, changed: str | None = None, next: str = "") -> EngineError:  # noqa: A002 - the word of RollbackError
    """The error for a command that failed."""
    if ended.denied:
        # The engine's own words are those of its storage's library, and name no role.
        return Denied(
            f"{what} failed: this role may not read or write the stack's state.",
            changed=changed,
            next=next,
        )
    if _NO_BUCKET in ended.why:
        return EngineError(
            f"{what} failed: the bucket of the stack's state does not exist ({_NO_BUCKET}).",
            changed=changed,
            next=next,
        )
    kind = Locked if ended.locked else EngineError
    return kind(f"{what} failed:\n{ended.why}", changed=changed, next=next)
