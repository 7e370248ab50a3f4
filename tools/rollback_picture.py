"""`python -m tools.rollback_picture`: checks that the pictures of a rollback are drawn from its recording.

`--write` draws them, a light and a dark one. `--record` first makes a new recording, in about two minutes: it types
the first steps (`localaws.first_steps`) on a new local account, in a clone of the commit that is checked out, and
keeps what the last command leaves on a terminal. As in `screens`, a picture needs no other file and no network.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from demo.screen import left
from localaws.first_steps import FIRST_STEPS
from localaws.paths import ROOT, cache
from tools.screens import TEMPLATE

PLACE = ROOT / "docs" / "pictures"
RECORDING = PLACE / "rollback.ansi"
ROWS, COLUMNS = 50, 88
COMMAND = FIRST_STEPS[-1][1][-1]
_PYTHON = ".venv/bin/python"
# Fonts that the reader's machine has.
_FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, Liberation Mono, monospace"
_THEMES = {
    "light": TerminalTheme(
        (246, 248, 250),
        (31, 35, 40),
        [(36, 41, 47), (207, 34, 46), (17, 99, 41), (125, 78, 0), (9, 105, 218), (130, 80, 223), (0, 98, 122),
         (87, 96, 106)],
    ),
    "dark": TerminalTheme(
        (22, 27, 34),
        (230, 237, 243),
        [(72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34), (88, 166, 255), (188, 140, 255),
         (57, 197, 207), (177, 186, 196)],
    ),
}  # fmt: skip
_EDGES = {"light": "rgba(31,35,40,0.2)", "dark": "rgba(255,255,255,0.2)"}
# Left out of the pictures, to keep them short: the functions of later services.
_OMITTED = re.compile(r"^\nteam_service +v.*?(?=^\n^! )", re.MULTILINE | re.DOTALL)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# What differs from run to run → what takes its place in a comparison.
_VARYING = (
    (re.compile(r"\b01[0-9A-HJKMNP-TV-Z]{24}\b"), "ID"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "DIGEST"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), lambda found: re.sub(r"\d", "0", found[0])),
    # pytest adds the minutes of a minute and more.
    (
        re.compile(r"\b\d+\.\d+(?= ?s\b)(s \(\d+:\d\d:\d\d\))?"),
        lambda found: "SECONDSs" if found[1] else "SECONDS",
    ),
    (re.compile(r"\b\d+:\d\d:\d\d\b"), "DURATION"),
)


def main(arguments: Sequence[str]) -> int:
    """0 if the pictures are up to date or were drawn, 1 if not."""
    if "--record" in arguments:
        PLACE.mkdir(exist_ok=True)
        RECORDING.write_text("".join(f"{line}\n" for line in recorded()), encoding="utf-8")
    lines = recording()
    stale = False
    for theme in _THEMES:
        page, made = PLACE / f"rollback-{theme}.svg", drawn(lines, theme)
        if {"--record", "--write"} & set(arguments):
            page.write_text(made, encoding="utf-8")
        elif not page.is_file() or page.read_text(encoding="utf-8") != made:
            stale = True
            print(f"{page} is out of date. Run: python -m tools.rollback_picture --write", file=sys.stderr)
    return int(stale)


def recording() -> list[str]:
    """The lines that the command left on the terminal, with their colours."""
    return RECORDING.read_text(encoding="utf-8").splitlines()


def form(lines: Iterable[str]) -> list[str]:
    """Lines without colours, and without what differs from run to run. Pure."""
    plain = []
    for line in lines:
        text = _COLOURS.sub("", line).rstrip()
        for pattern, instead in _VARYING:
            text = pattern.sub(instead, text)
        plain.append(text)
    return plain


def drawn(lines: Sequence[str], theme: str) -> str:
    """A picture as SVG: the same for the same lines. Pure."""
    console = Console(
        file=io.StringIO(),
        record=True,
        width=COLUMNS,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(Text.assemble(("$ ", "dim"), (COMMAND, "bold")), soft_wrap=True)
    for line in _shortly(lines):
        text = Text.from_ansi(line)
        text.rstrip()
        console.print(text, soft_wrap=True)
    template = TEMPLATE.replace("Fira Code, monospace", _FONTS)
    made = console.export_svg(
        title="", theme=_THEMES[theme], code_format=template, unique_id=f"rollback-{theme}"
    )
    return made.replace("rgba(255,255,255,0.35)", _EDGES[theme])


def _shortly(lines: Sequence[str]) -> list[str]:
    """The lines, of which those of later services are left out, as one line says."""
    plain = "".join(f"{line}\n" for line in form(lines))
    found = _OMITTED.search(plain)
    if found is None:
        return list(lines)
    first, count = plain.count("\n", 0, found.start()), found[0].count("\n")
    return [*lines[:first], f"\x1b[2m… {count} more lines\x1b[0m", *lines[first + count :]]


def recorded() -> list[str]:
    """What the last of the first steps leaves on a terminal, after all others were typed."""
    commands = [command.format(python=_PYTHON) for _, step in FIRST_STEPS for command in step]
    with tempfile.TemporaryDirectory(prefix="picture-") as folder:
        clone, home, log = (Path(folder, name) for name in ("clone", "home", "log"))
        home.mkdir()
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        (clone / ".venv").symlink_to(ROOT / ".venv")
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_CACHE_HOME": str(cache().parent),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
        }
        script = [
            "set -e",
            "{",
            f"{_PYTHON} -m localaws up",
            *commands[:-1],
            f"}} >{log} 2>&1 </dev/null",
            f"exec {commands[-1]}",
        ]
        try:
            code, shown = _on_a_terminal(["bash", "--norc", "-c", "\n".join(script)], clone, variables)
        finally:
            stop = [_PYTHON, "-m", "localaws", "down"]
            subprocess.run(stop, cwd=clone, env=variables, check=True, stdout=subprocess.DEVNULL)
        if code:
            raise SystemExit(f"{log.read_text(encoding='utf-8')}\n{shown}")
    return left(shown)


def _on_a_terminal(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> tuple[int, str]:
    """The exit code of a command, and all that it has written."""
    ours, others = pty.openpty()
    fcntl.ioctl(others, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=variables,
        stdin=others,
        stdout=others,
        stderr=others,
        start_new_session=True,
    )
    os.close(others)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux reports the end of a pseudo-terminal
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    return process.wait(), shown.decode().replace("\r\n", "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
