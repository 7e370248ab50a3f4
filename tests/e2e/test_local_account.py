"""README's quick start, typed as it is printed: from a fresh clone to a release that was rolled back, in one shell."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from localaws.first_steps import first_steps
from localaws.paths import ROOT
from tests.e2e.docs_as_typed import Block, Hint, Terminal, commands, read

_UP = "make up"
_HERE = "typed by anybody, on this machine"
# What `make up` runs, without the virtualenv, which is that of this run.
_INSTEAD = ".venv/bin/python -m localaws up"
_DOWN = ".venv/bin/python -m localaws down"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Terminal]:
    """A login shell in a clone whose program is what lies here, committed."""
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
    terminal = Terminal(home=home, cwd=clone, variables=variables)
    try:
        yield terminal
    finally:
        terminal.type(_DOWN)


def test_the_quick_start_has_exactly_the_lines_that_are_printed() -> None:
    first, _, rest = "\n".join(quick_start().lines).partition("\n")

    assert first == _UP
    assert rest.strip() == first_steps(".venv/bin/python")


@pytest.mark.slow
def test_every_line_of_the_quick_start_works_as_printed_and_the_release_is_rolled_back(
    shell: Terminal,
) -> None:
    assert shell.type(_INSTEAD) == 0, shell.screen
    printed = shell.screen

    for line in [*quick_start().commands()][1:]:
        assert line.command in printed
        assert shell.type(line.command) == line.code, f"{line}\n{shell.screen[-4000:]}"
    assert "COMPLETE" in shell.screen

    for line in commands(ROOT / "docs" / "local-account.md"):
        assert shell.type(line.command) == line.code, f"{line}\n{shell.screen[-4000:]}"


def quick_start() -> Block:
    """The block of README that is typed on this machine."""
    parts = read(ROOT / "README.md")
    (found,) = (
        block
        for hint, block in itertools.pairwise(parts)
        if isinstance(hint, Hint) and isinstance(block, Block) and hint.text == _HERE
    )
    return found
