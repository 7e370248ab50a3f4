"""The page about the local account, typed as it is: from a fresh clone to a release that was rolled back, in one shell."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.screen import left
from localaws.first_steps import first_steps
from localaws.paths import ROOT
from tests.e2e.docs_as_typed import Block, Hint, Line, Reader, Terminal, read
from tools import rollback_picture

_PAGE = ROOT / "docs" / "local-account.md"
_UP = "make up"
_HERE = "typed by anybody, on this machine"
# What `make up` runs, without the virtualenv, which is that of this run.
_INSTEAD = ".venv/bin/python -m localaws up"
_DOWN = ".venv/bin/python -m localaws down"


@dataclass(frozen=True, kw_only=True)
class RolledBack:
    """A shell in which the quick start was typed, and what its last line has written."""

    shell: Terminal
    written: str


@pytest.fixture(scope="module")
def rolled_back(shell: Terminal) -> RolledBack:
    assert shell.type(_INSTEAD) == 0, shell.screen
    printed = shell.screen

    for line in [*blocks()[0].commands()][1:]:
        assert line.command in printed
        types(shell, line.command, line)
    return RolledBack(shell=shell, written=shell.written.replace("\r\n", "\n"))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A login shell in a clone whose program is what lies here, committed."""
    tmp_path = tmp_path_factory.mktemp("account")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    changed = subprocess.run(
        ["git", "-C", str(ROOT), "diff", "HEAD", "--binary"], capture_output=True, check=True
    ).stdout
    if changed:
        subprocess.run(["git", "-C", str(clone), "apply"], input=changed, check=True)
    (clone / ".venv").symlink_to(ROOT / ".venv")
    home = tmp_path / "home"
    home.mkdir()
    cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_CACHE_HOME": cache,
        "LANG": "C.UTF-8",
        "TERM": "screen",
    }
    terminal = Terminal(home=home, cwd=clone, variables=variables, columns=rollback_picture.COLUMNS)
    try:
        yield terminal
    finally:
        terminal.type(_DOWN)


def test_the_quick_start_has_exactly_the_lines_that_are_printed() -> None:
    first, _, rest = "\n".join(blocks()[0].lines).partition("\n")

    assert first == _UP
    assert rest.strip() == first_steps(".venv/bin/python")


@pytest.mark.slow
def test_every_line_of_the_quick_start_works_as_printed_and_the_release_is_rolled_back(
    rolled_back: RolledBack,
) -> None:
    assert "COMPLETE" in rolled_back.written
    assert rollback_picture.form(left(rolled_back.written)) == rollback_picture.form(
        rollback_picture.recording()
    ), "README's picture is of another output: python -m tools.rollback_picture --record"


@pytest.mark.slow
def test_every_line_of_what_to_try_next_works(rolled_back: RolledBack) -> None:
    _, after, _ = blocks()

    for line in after.commands():
        types(rolled_back.shell, line.command, line)


@pytest.mark.slow
@pytest.mark.finding("A8")
def test_an_emergency_is_played_while_the_ledger_does_not_answer_and_then_becomes_a_record(
    rolled_back: RolledBack,
) -> None:
    shell, reader = rolled_back.shell, Reader(values={})
    *_, emergency = blocks()

    for line in emergency.commands():
        types(shell, reader.filled(line.command), line)
        reader.sees(shell.screen)

    assert Path(reader.values["FILE"]).is_relative_to(shell.home)
    assert shell.type("rollback history --env dev") == 0
    assert "EMERGENCY" in shell.screen


def types(shell: Terminal, command: str, line: Line) -> None:
    code = shell.type(command)

    assert code == line.code, f"{line}\n{shell.screen[-4000:]}"


def blocks() -> tuple[Block, ...]:
    """What the page has to be typed on this machine: the quick start, what to try next, and an emergency."""
    return tuple(
        block
        for hint, block in itertools.pairwise(read(_PAGE))
        if isinstance(hint, Hint) and isinstance(block, Block) and hint.text == _HERE
    )
