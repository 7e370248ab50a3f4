"""Where the story is shown: narration, commands with their real output, and claims that must hold."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn
from rich.rule import Rule
from rich.text import Text

from rollback.core.sanitize import clean

_GRACE = 10.0
_READ = 65536


class ClaimError(Exception):
    """Something that the story says is not so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoResult:
    """A command that was shown: its exit code, what it printed (without colours), and how long it took."""

    code: int
    output: str
    seconds: float


@dataclass(kw_only=True, slots=True)
class Act:
    """A chapter as the summary will show it."""

    title: str
    begun: float
    seconds: float = 0.0
    claims: int = 0
    proved: str = ""


@dataclass(kw_only=True)
class DemoStage:
    """The terminal, or a plain stream. Colours and a live display only on a terminal."""

    console: Console = field(
        default_factory=lambda: Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    )
    acts: list[Act] = field(default_factory=list)
    # Whether commands may draw: false for what happens off stage, to be shown later.
    drawing: bool = True
    _identity: str = ""
    _running: subprocess.Popen[bytes] | None = None
    _over: bool = False
    # Whether something else than narration was shown last.
    _apart: bool = False

    @property
    def where(self) -> str:
        return f"chapter {len(self.acts)}" if self.acts else "the beginning"

    @property
    def live(self) -> bool:
        return self.console.is_terminal and self.drawing

    def behind(self) -> DemoStage:
        """A stage that nobody sees yet: what happens there is shown by `replay`."""
        console = Console(
            file=io.StringIO(),
            width=self.console.width,
            height=self.console.height,
            force_terminal=self.console.is_terminal,
            highlight=False,
            markup=False,
            emoji=False,
        )
        return DemoStage(console=console, acts=[Act(title="", begun=time.monotonic())], drawing=False)

    def replay(self, other: DemoStage) -> None:
        """Show what happened on a stage behind this one."""
        assert isinstance(other.console.file, io.StringIO)  # noqa: S101 - `behind` made it
        self._write(other.console.file.getvalue().encode())
        self.acts[-1].claims += sum(act.claims for act in other.acts)
        self._identity, self._apart = other._identity, True

    def end(self) -> None:
        """End the command that runs, if one does; no other is begun."""
        self._over = True
        if self._running is not None:
            _end(self._running)

    # -- narration ---------------------------------------------------------------------------------------

    def opening(self, title: str, what: str) -> None:
        self.console.print(Text(title, style="bold"))
        self.narrate(what)

    def chapter(self, title: str) -> None:
        self.close()
        self.acts.append(Act(title=title, begun=time.monotonic()))
        self._identity = ""
        self._apart = False
        self.console.print()
        self.console.print(
            Rule(Text(f" {len(self.acts)}. {title} ", style="bold cyan"), align="left", style="cyan")
        )

    def close(self, proved: str = "") -> None:
        """End the chapter; `proved` is its line in the summary."""
        if self.acts:
            act = self.acts[-1]
            act.seconds = act.seconds or time.monotonic() - act.begun
            act.proved = proved or act.proved

    def narrate(self, text: str) -> None:
        if self._apart:
            self.console.print()
        self._apart = False
        self.console.print(Text(text))

    def note(self, text: str) -> None:
        self.console.print(Text(text, style="yellow"))

    def hint(self, command: str, what: str) -> None:
        self.console.print(Text.assemble("  ", (f"{command:<30}", "cyan"), (what, "dim")), soft_wrap=True)

    def table(self, table: RenderableType) -> None:
        self.console.print()
        self.console.print(table)

    def failed(self, *lines: str) -> None:
        self.console.print()
        for index, line in enumerate(lines):
            style = "bold red" if index == 0 else ""
            self.console.print(Text(f"{'✗ ' if index == 0 else '  '}{line}", style=style))

    # -- claims ------------------------------------------------------------------------------------------

    def prove(self, claim: str, holds: bool, seen: object = "") -> None:  # noqa: FBT001 - reads as a sentence
        """Say that `claim` holds. Raises `ClaimError` with what was seen instead if it does not."""
        if not holds:
            seen_instead = f"\n  Seen instead: {seen}" if seen != "" else ""
            raise ClaimError(f"It is not so that {claim[0].lower()}{claim[1:]}.{seen_instead}")
        self.acts[-1].claims += 1
        self._apart = True
        self.console.print(Padding(Text.assemble(("✓ ", "bold green"), (claim, "green")), (0, 0, 0, 2)))

    # -- commands ----------------------------------------------------------------------------------------

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        credentials: str = "",
        expect: int = 0,
        show: Callable[[str], list[str]] | None = None,
        assign: Mapping[str, str] | None = None,
        pipe: bool = False,
        wrap: bool = True,
        typed: str = "",
    ) -> DemoResult:
        """Show a command (as it was `typed`, where a shell is asked) and its output, and demand its exit code.

        The output is shown as it comes; or, with `show`, as the lines that it makes of all of it once
        the command has ended as expected (all of it otherwise). `credentials` is named where it is another one
        than before; `assign` are variables that belong to the command line. `pipe` keeps the command
        from drawing for a terminal. Without `wrap` the lines of `show` are cut at the width.
        """
        self._apart = True
        self.console.print()
        if credentials and credentials != self._identity:
            self.console.print(Text(f"as {credentials}", style="dim"), soft_wrap=True)
            self._identity = credentials
        if typed:
            self.console.print(Text(f"$ {typed}", style="bold"), soft_wrap=True)
        else:
            self._typed([*(f"{name}={value}" for name, value in (assign or {}).items()), *command])
        begun = time.monotonic()
        process, reading = self._start(command, cwd, {**env, **(assign or {})}, pipe=pipe or not self.live)
        try:
            with self._waiting() if show and self.live else contextlib.nullcontext():
                raw = self._follow(reading, echo=show is None)
            code = process.wait()
        except BaseException:
            _end(process)
            raise
        finally:
            self._running = None
            os.close(reading)
        output = raw.decode(errors="replace").replace("\r\n", "\n")
        if show:
            for line in show(output) if code == expect else output.splitlines():
                text = Text.from_ansi(line)
                if not wrap:
                    text.truncate(self.console.width, overflow="ellipsis")
                self.console.print(text)
        elif raw and not raw.endswith(b"\n"):
            self._write(b"\n")
        if code != expect:
            raise ClaimError(f"{shlex.join(command)} ended with exit code {code}, and not with {expect}.")
        if expect:
            self.console.print(Text(f"(exit code {code})", style="dim"))
        return DemoResult(code=code, output=clean(output), seconds=time.monotonic() - begun)

    def _waiting(self) -> Progress:
        """Seconds that run, while a command's output is not shown yet."""
        waiting = Progress(
            SpinnerColumn(), TimeElapsedColumn(), console=self.console, transient=True, redirect_stdout=False
        )
        waiting.add_task("")
        return waiting

    def _typed(self, arguments: Sequence[str]) -> None:
        lines, line = [], "$"
        for argument in map(_quoted, arguments):
            if len(line) + len(argument) + 3 > self.console.width and line.strip() not in ("$", ""):
                lines.append(f"{line} \\")
                line = "   "
            line += f" {argument}"
        for part in [*lines, line]:
            self.console.print(Text(part, style="bold"), soft_wrap=True)

    def _start(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str], *, pipe: bool
    ) -> tuple[subprocess.Popen[bytes], int]:
        if self._over:
            raise KeyboardInterrupt
        if pipe:
            reading, writing = os.pipe()
        else:
            reading, writing = pty.openpty()
            size = struct.pack("HHHH", self.console.height, self.console.width, 0, 0)
            fcntl.ioctl(writing, termios.TIOCSWINSZ, size)
        # In a session of its own: Ctrl-C reaches us alone, and we end it gracefully.
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
        )
        os.close(writing)
        self._running = process
        return process, reading

    def _follow(self, reading: int, *, echo: bool) -> bytes:
        parts: list[bytes] = []
        while True:
            try:
                part = os.read(reading, _READ)
            except OSError:  # Linux's word for the end of a pseudo-terminal
                part = b""
            if not part:
                return b"".join(parts)
            parts.append(part)
            if echo:
                self._write(part)

    def _write(self, raw: bytes) -> None:
        """What a command printed, byte for byte."""
        stream = self.console.file
        if isinstance(stream, io.StringIO):
            stream.write(raw.decode(errors="replace"))
            return
        stream.flush()
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()


def _quoted(argument: str) -> str:
    """As a person would type it: double quotes where a shell takes nothing in them for special."""
    plain = shlex.quote(argument)
    if plain == argument or any(c in argument for c in '"$`\\!'):
        return plain
    name, equals, value = argument.partition("=")
    return f'{name}="{value}"' if equals and name.isidentifier() else f'"{argument}"'


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command gracefully, and then in none."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            return
