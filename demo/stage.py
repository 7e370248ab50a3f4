"""The output of the demo: narration, commands with their real output, and checked claims."""

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

from demo.screen import left, shortly
from rollback.util.sanitize import clean

# Maximum lines of a chapter: a little more than two screens.
MOST = 60
# Maximum lines of a command's output; the rest is omitted.
SHOWN = 10
_GRACE = 10.0
_READ = 65536


class ClaimError(Exception):
    """A claim of the demo does not hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoResult:
    """A command that was shown: its exit code, its output (without colours), and its duration."""

    code: int
    output: str
    seconds: float


@dataclass(kw_only=True, slots=True)
class Act:
    """A chapter, as the summary shows it."""

    title: str
    begun: float
    seconds: float = 0.0
    claims: list[str] = field(default_factory=list)
    proved: str = ""
    lines: int = 0


@dataclass(kw_only=True)
class DemoStage:
    """The terminal, or a plain stream. Colours and a live display only on a terminal."""

    console: Console = field(
        default_factory=lambda: Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    )
    acts: list[Act] = field(default_factory=list)
    # Whether commands may draw: false for what runs in the background and is shown later.
    drawing: bool = True
    _identity: str = ""
    _running: subprocess.Popen[bytes] | None = None
    _over: bool = False
    # Whether something other than narration was shown last.
    _apart: bool = False
    # Whether that was a command which printed nothing.
    _silent: bool = False

    @property
    def where(self) -> str:
        return f"chapter {len(self.acts)}" if self.acts else "the beginning"

    @property
    def live(self) -> bool:
        return self.console.is_terminal and self.drawing

    def behind(self) -> DemoStage:
        """A stage in the background: `replay` shows its output later."""
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

    def claimed(self, other: DemoStage) -> None:
        """Shows the claims that held on a background stage."""
        self._identity = other._identity
        for claim in (claim for act in other.acts for claim in act.claims):
            self.prove(claim, holds=True)

    def whole(self, other: DemoStage) -> None:
        """Shows everything from a background stage."""
        assert isinstance(other.console.file, io.StringIO)  # noqa: S101 - `behind` made it
        self._show(Text.from_ansi(other.console.file.getvalue()), soft_wrap=True)

    def end(self) -> None:
        """Ends the running command, if any, and starts no other."""
        self._over = True
        if self._running is not None:
            _end(self._running)

    # -- narration ---------------------------------------------------------------------------------------

    def opening(self, title: str, what: str) -> None:
        self._show(Text(title, style="bold"))
        self.narrate(what)

    def chapter(self, title: str) -> None:
        self.close()
        self.acts.append(Act(title=title, begun=time.monotonic()))
        self._identity = ""
        self._apart = self._silent = False
        self._show()
        self._show(Rule(Text(f" {len(self.acts)}. {title} ", style="bold cyan"), align="left", style="cyan"))

    def close(self, proved: str = "") -> None:
        """End the chapter; `proved` is its line in the summary. Raises `ClaimError` if it is longer than `MOST` lines."""
        if self.acts:
            act = self.acts[-1]
            act.seconds = act.seconds or time.monotonic() - act.begun
            act.proved = proved or act.proved
            if act.lines > MOST and self.drawing:
                raise ClaimError(f"The chapter has {act.lines} lines, but the maximum is {MOST}.")

    def _show(self, shown: Text | Padding | Rule | RenderableType = "", *, soft_wrap: bool = False) -> None:
        """Print it, and count its lines to the chapter's."""
        width = self.console.width
        if soft_wrap and isinstance(shown, Text):
            count = sum(-(-max(1, line.cell_len) // width) for line in shown.split(allow_blank=True))
        else:
            count = len(self.console.render_lines(shown, pad=False))
        if self.acts:
            self.acts[-1].lines += count
        self.console.print(shown, soft_wrap=soft_wrap)

    def narrate(self, text: str) -> None:
        if self._apart:
            self._show()
        self._apart = self._silent = False
        self._show(Text(text))

    def note(self, text: str) -> None:
        self._show(Text(text, style="yellow"))

    def hint(self, command: str, what: str) -> None:
        self._show(Text.assemble("  ", (f"{command:<30}", "cyan"), (what, "dim")), soft_wrap=True)

    def table(self, table: RenderableType) -> None:
        self._show()
        self._show(table)

    def failed(self, *lines: str) -> None:
        self._show()
        for index, line in enumerate(lines):
            style = "bold red" if index == 0 else ""
            self._show(Text(f"{'✗ ' if index == 0 else '  '}{line}", style=style))

    # -- claims ------------------------------------------------------------------------------------------

    def prove(self, claim: str, holds: bool, seen: object = "") -> None:  # noqa: FBT001 - reads as a sentence
        """Shows that `claim` holds. Raises `ClaimError` with what was found instead if it does not."""
        if not holds:
            seen_instead = f"\n  Found instead: {seen}" if seen != "" else ""
            raise ClaimError(f"This does not hold: {claim[0].lower()}{claim[1:]}.{seen_instead}")
        self.acts[-1].claims.append(claim)
        self._apart, self._silent = True, False
        self._show(Padding(Text.assemble(("✓ ", "bold green"), (claim, "green")), (0, 0, 0, 2)))

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
        most: int = SHOWN,
    ) -> DemoResult:
        """Shows a command (as it was `typed`, for a shell) and its output, and checks its exit code.

        Shows the first and the last lines of the output, `most` together; or, with `show`, the lines that it makes
        of it. If the exit code is not as expected it shows everything. `credentials` is named if it differs from
        before; `assign` are variables in front of the command. `pipe` keeps the command
        from drawing for a terminal. Without `wrap` the lines of `show` are cut at the terminal's width.
        """
        self._apart = True
        # No blank line between commands that print nothing.
        if not self._silent or (credentials and credentials != self._identity):
            self._show()
        if credentials and credentials != self._identity:
            self._show(Text(f"as {credentials}", style="dim"), soft_wrap=True)
            self._identity = credentials
        if typed:
            self._show(Text(f"$ {typed}", style="bold"), soft_wrap=True)
        else:
            self._typed([*(f"{name}={value}" for name, value in (assign or {}).items()), *command])
        begun = time.monotonic()
        process, reading = self._start(command, cwd, {**env, **(assign or {})}, pipe=pipe or not self.live)
        try:
            with self._waiting() if self.live else contextlib.nullcontext():
                raw = self._follow(reading)
            code = process.wait()
        except BaseException:
            _end(process)
            raise
        finally:
            self._running = None
            os.close(reading)
        output = raw.decode(errors="replace").replace("\r\n", "\n")
        lines = left(output)
        if code == expect:
            lines = show(output) if show else shortly(lines, most)
        for line in lines:
            text = Text.from_ansi(line)
            if not wrap:
                text.truncate(self.console.width, overflow="ellipsis")
            self._show(text)
        self._silent = not lines
        if code != expect:
            raise ClaimError(f"{shlex.join(command)} ended with exit code {code}, not {expect}.")
        if expect:
            self._show(Text(f"(exit code {code})", style="dim"))
        return DemoResult(code=code, output=clean(output), seconds=time.monotonic() - begun)

    def _waiting(self) -> Progress:
        """A running counter of seconds while a command's output is not shown yet."""
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
            self._show(Text(part, style="bold"), soft_wrap=True)

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
        # In a session of its own: Ctrl-C reaches only this process, which ends the command gracefully.
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

    @staticmethod
    def _follow(reading: int) -> bytes:
        parts: list[bytes] = []
        while True:
            try:
                part = os.read(reading, _READ)
            except OSError:  # how Linux reports the end of a pseudo-terminal
                part = b""
            if not part:
                return b"".join(parts)
            parts.append(part)


def _quoted(argument: str) -> str:
    """As a person would type it: with double quotes if a shell expands nothing in them."""
    plain = shlex.quote(argument)
    if plain == argument or any(c in argument for c in '"$`\\!'):
        return plain
    name, equals, value = argument.partition("=")
    return f'{name}="{value}"' if equals and name.isidentifier() else f'"{argument}"'


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a command gracefully, and kills it if that fails."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            return
