"""A page of the documentation as a reader takes it: line by line, as the person it names, on a terminal of their own.

What a page says in fenced blocks counts: `sh` (each line is typed) and `console` (lines after `$ `, the rest is what
came). An invisible comment right before a block says who types it, or where its lines are put:

    <!-- test: typed by alice -->
    <!-- test: alice puts it into ~/.aws/config -->
    <!-- test: the administrator puts it into Pulumi.dev.yaml, under config -->
    <!-- test: the table is lost -->            something that happens, or holds, by then: a function of the test

A line's comment may say how it ends (`# exit 10: waits for another person`); otherwise it ends with 0. A word in
capitals is a placeholder: a value of the test, or what the last screen showed that had such a thing (`SHOWN`).
"""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from localaws.paths import ROOT
from tests import planted

PATIENCE = 180.0
_LANGUAGES = {"sh", "console", "yaml", "ini", "text", "json", "python", "mermaid", "terraform"}
_FENCE = re.compile(r"^( *)```(\S*)\s*$")
_HINT = re.compile(r"^ *<!-- test: (.+) -->$")
# A comment of the shell: what follows a `#` after two blanks.
_COMMENT = re.compile(r"(?: {2,}|^)#.*$")
_EXIT = re.compile(r"#\s*exit (\d+)")
# What a person reads off the screen; the newest counts.
SHOWN = {
    "ID": re.compile(r"\b01[0-9A-HJKMNP-TV-Z]{24}\b"),
    "D": re.compile(r"Digest\s+([0-9a-f]{64})"),
    "FILE": re.compile(r"(/[^\s']+/emergency-[^\s']+?\.jsonl)(?![.\w])"),
    "ARN": re.compile(r"arn:aws:kms:\S+:key/[0-9a-f-]+"),
}
# What a person answers on a terminal.
_ANSWERS = [
    (re.compile(r"MFA code (?:of|for) .*: ?$"), "123456\n"),
    (re.compile(r"\[y/N\] $"), "y\n"),
    (re.compile(r"Use arrows to move, type to filter\]"), "yes\r"),
    (re.compile(r"by typing `([\w-]+)`: ?$"), r"\1\n"),
]
_ROWS, _COLUMNS = 50, 240
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]|\r")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One command of a page: what is typed, and the exit code that the page says."""

    page: str
    number: int
    command: str
    code: int = 0

    def __str__(self) -> str:
        return f"{self.page}:{self.number}: {self.command}"


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block, with the hints that come before it since the last one."""

    page: str
    number: int
    language: str
    lines: tuple[str, ...]

    def commands(self) -> Iterator[Line]:
        """What is typed of it. A line that ends in a backslash goes on in the next one."""
        parts: list[str] = []
        for offset, text in enumerate(self.lines, 1):
            prompted = text.startswith("$ ")
            if self.language == "console" and not (prompted or parts):
                continue
            bare = _COMMENT.sub("", text[2:] if prompted else text).strip()
            if not bare and not parts:
                continue
            parts.append(bare.removesuffix("\\").strip())
            if not bare.endswith("\\"):
                told = _EXIT.search(text)
                yield Line(
                    page=self.page,
                    number=self.number + offset,
                    command=" ".join(parts),
                    code=int(told[1]) if told else 0,
                )
                parts = []
        assert not parts, f"{self.page}:{self.number}: the block ends in the middle of a line"


@dataclass(frozen=True, kw_only=True)
class Hint:
    page: str
    number: int
    text: str


def read(page: Path) -> list[Hint | Block]:
    """A page's hints and blocks in their order. Code that is only indented, or in no known language, is a defect."""
    name, found = str(page.relative_to(ROOT)), list[Hint | Block]()
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    before = ""
    for number, text in lines:
        if fence := _FENCE.match(text):
            assert fence[2] in _LANGUAGES, f"{name}:{number}: a block of code has to name its language"
            content = [
                line.removeprefix(fence[1])
                for _, line in itertools.takewhile(lambda one: not _FENCE.match(one[1]), lines)
            ]
            found.append(Block(page=name, number=number, language=fence[2], lines=tuple(content)))
        elif hint := _HINT.match(text):
            found.append(Hint(page=name, number=number, text=hint[1]))
        else:
            assert before or not text.startswith("    "), f"{name}:{number}: code belongs into a fenced block"
        before = text
    return found


def commands(page: Path) -> list[Line]:
    """All command lines of a page."""
    blocks = (one for one in read(page) if isinstance(one, Block) and one.language in ("sh", "console"))
    return [line for block in blocks for line in block.commands()]


@dataclass(kw_only=True)
class Terminal:
    """Somebody's shell: commands that are typed see what earlier ones have exported. `written` is what the last one
    has sent to the terminal, and `screen` the same without control sequences.
    """

    home: Path
    cwd: Path
    variables: dict[str, str]
    columns: int = _COLUMNS
    written: str = field(default="", init=False)
    screen: str = field(default="", init=False)

    def type(self, command: str) -> int:
        """Types a command and returns its exit code when it has ended; `screen` is what it showed."""
        ours, others = pty.openpty()
        fcntl.ioctl(others, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, self.columns, 0, 0))
        after = self.home / ".variables"
        # A session without a terminal gets the first one that it opens.
        script = (
            f"exec 0<>{os.ttyname(others)} 1>&0 2>&0\n{command}\n"
            f"code=$?; env -0 >{shlex.quote(str(after))}; exit $code\n"
        )
        process = subprocess.Popen(
            ["bash", "--norc", "-c", script],
            cwd=self.cwd,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            shown = _watched(ours, process)
        finally:
            os.close(ours)
            os.close(others)
        self.written, self.screen = shown.decode(errors="replace"), _plain(shown)
        planted.heard(command, self.screen)
        pairs = (one.partition("=") for one in after.read_text().split("\0") if one)
        self.variables = {name: value for name, _, value in pairs if name not in ("_", "SHLVL")}
        return process.returncode


def _watched(terminal: int, process: subprocess.Popen[bytes]) -> bytes:
    """What a process shows until it ends, its questions answered."""
    shown, answered, deadline = b"", 0, time.monotonic() + PATIENCE
    while True:
        ended = process.poll() is not None
        ready, _, _ = select.select([terminal], [], [], 0 if ended else 0.05)
        if ready:
            shown += os.read(terminal, 65536)
        elif ended:
            return shown
        for question, answer in _ANSWERS:
            if found := question.search(_plain(shown[answered:])):
                answered = len(shown)
                os.write(terminal, found.expand(answer).encode())
        if time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"it did not end within {PATIENCE:.0f} s\n{_plain(shown)[-4000:]}")


def _plain(shown: bytes) -> str:
    return _ESCAPES.sub("", shown.decode(errors="replace"))


@dataclass(kw_only=True)
class Reader:
    """What the people of a page have read so far, and the values that placeholders stand for."""

    values: dict[str, str]
    literal: Mapping[str, str] = field(default_factory=dict)

    def filled(self, text: str) -> str:
        """A line with its placeholders replaced, and what the page has as an example by what is here."""
        for example, here in self.literal.items():
            text = text.replace(example, here)
        if not self.values:
            return text
        words = "|".join(map(re.escape, sorted(self.values, key=len, reverse=True)))
        return re.sub(rf"(?<![\w$./-])({words})(?![\w=/-])", lambda one: self.values[one[1]], text)

    def sees(self, screen: str) -> None:
        for name, pattern in SHOWN.items():
            if found := list(pattern.finditer(screen)):
                self.values[name] = found[-1][found[-1].re.groups]
