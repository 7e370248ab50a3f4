"""Nothing is built, downloaded or installed in a test: `make tools` has done it, and tests find it."""

from __future__ import annotations

import ast
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localaws.emulator import server
from localaws.errors import LocalError
from localaws.paths import ROOT
from localaws.toolchain.tools import ALL, CHROMIUM, NECESSARY, TERRAFORM, Tool, missing, prepare
from tests import prepared

_PROGRAMS = ("go", "npm", "npx", "node", "uv", "pip", "pip3", "python", "python3", "curl", "apt-get")
# What makes something, and the tests of those.
_MAKES = re.compile(r"(.*\b(ensure_\w+|shell\.tools|gotool\.ensure)|[A-Z_]+\.(ensure|make)|tools\.prepare)$")
_OWN = ("tests/unit/localaws/toolchain", "tests/permissions/test_simulator.py", str(Path(__file__).name))
# It writes two scripts of a line each.
_WRITES = ("ensure_plugins", "build.ensure_plugins")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine that has nothing; each program that could make something leaves a line in the file if it is run."""
    ran, folder = tmp_path / "ran", tmp_path / "bin"
    folder.mkdir()
    for name in _PROGRAMS:
        (folder / name).write_text(f"#!/bin/sh\necho {name} >> '{ran}'\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    # An interpreter has uv beside it, too.
    monkeypatch.setattr("sys.executable", str(folder / "python"))
    monkeypatch.setattr("subprocess.Popen", _no_process)
    return ran


def _no_process(*command: object, **_: object) -> None:
    raise AssertionError(f"a test starts {command}")


@pytest.mark.parametrize("tool", ALL, ids=lambda tool: tool.name)
def test_where_nothing_is_prepared_a_test_ends_at_once_and_names_what_it_misses(
    bare: Path, tool: Tool
) -> None:
    with pytest.raises((pytest.skip.Exception, pytest.fail.Exception)) as ended:
        prepared.prepared(tool)

    assert ended.type is (pytest.fail.Exception if tool in NECESSARY else pytest.skip.Exception)
    assert tool.name in str(ended.value)
    assert tool.get in str(ended.value)
    assert not bare.exists()


def test_neither_does_an_emulator_that_is_started_install_itself(bare: Path) -> None:
    with pytest.raises(LocalError, match="make tools"):
        server.start(None, auth=True)

    assert not bare.exists()


def test_no_test_calls_what_makes_a_tool() -> None:
    calls = {
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node.func)}"
        for path in (ROOT / "tests").rglob("*.py")
        if not str(path.relative_to(ROOT)).startswith(_OWN[:-1]) and path.name != _OWN[-1]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and _MAKES.match(called := ast.unparse(node.func))
        and called not in _WRITES
    }

    assert not calls


# -- the list -------------------------------------------------------------------------------------------------


def tool(name: str, there: dict[str, str], why: str = "", *, compiled: bool = False) -> Tool:
    """One that is there once it has been made, unless something (`why`) is in the way."""

    def make(progress: object) -> None:
        assert callable(progress)
        progress(f"making {name}")
        if why:
            raise LocalError(why)
        there[name] = "made"

    return Tool(
        name=name,
        find=lambda: Path(name) if name in there else None,
        make=make,
        tests=f"tests of {name}",
        compiled=compiled,
    )


def test_what_cannot_be_had_keeps_nothing_else_from_being_made() -> None:
    there: dict[str, str] = {"c": "before"}
    tools = [
        tool("a", there, "There is no compiler.\nInstall one.", compiled=True),
        tool("b", there, compiled=True),
        tool("c", there, "it is not made again"),
        tool("d", there),
    ]
    lines: list[str] = []

    failed = prepare(tools, lines.append)

    assert there == {"b": "made", "c": "before", "d": "made"}
    assert [one.name for one, _ in failed] == ["a"]
    assert missing(*failed[0]) == (
        "Not prepared: a. Not tried: tests of a. There is no compiler. Install one."
    )
    assert len(lines) == 3
    assert all(line.startswith("preparing tools, once for each machine: ") for line in lines)


def test_what_is_there_is_left_alone_and_nothing_is_shown() -> None:
    lines: list[str] = []

    assert prepare([tool("a", {"a": "before"}, "it is made again")], lines.append) == []
    assert lines == []


def test_the_lines_of_an_installer_that_failed_are_shown() -> None:
    error = LocalError("It could not be downloaded.\nno route to host\nCheck the network.")

    assert missing(TERRAFORM, error).splitlines()[1:] == ["no route to host", "Check the network."]


def test_without_a_browser_one_line_has_how_to_get_one(bare: Path) -> None:
    ((found, error),) = prepare([CHROMIUM], lambda _: None)

    assert found is CHROMIUM
    assert len(missing(found, error).splitlines()) == 1
    assert CHROMIUM.get in missing(found, error)
    assert not bare.exists()


def test_an_interrupt_ends_what_is_being_made_and_nothing_else_begins() -> None:
    begun: list[str] = []

    def makes(name: str) -> Tool:
        def until_it_is_stopped(progress: Callable[[str], None]) -> None:
            begun.append(name)
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                progress("goes on")

        return Tool(name=name, find=lambda: None, make=until_it_is_stopped, tests="", compiled=True)

    with pytest.raises(KeyboardInterrupt):
        prepare([makes(name) for name in "abc"], lambda _: None)

    assert begun == ["a"]
