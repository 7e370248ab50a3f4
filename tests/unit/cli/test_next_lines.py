"""What errors say to type next can be typed: each line that begins as a command is one that the command line takes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from rollback.views.json_output import commands
from tests import syntax
from tests.command_lines import parsed

ROOT = Path(__file__).parents[3]
_COMMAND = re.compile(r"^(?:[A-Z_]+=\S+ )?(?:rollback|pulumi|git|aws) ")

_FILLED = "x1"
# What a sentence has and a command has not, outside of quotes.
_WORDS = re.compile(r"[,;](?: |$)|\.$|…| (?:of|the|a|from|which|shows|ends|declares|and|then) ")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def texts(node: ast.expr) -> Iterator[str]:
    """The texts that an expression may be, what is filled in replaced by a word."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else _FILLED for part in node.values)
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)


def advised() -> Iterator[tuple[str, str]]:
    """Where, and a line of what is said to type next, of all of the product's own."""
    for path in sorted((ROOT / "rollback").rglob("*.py")):
        for node in ast.walk(syntax.parsed(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            given = [
                keyword.value for keyword in node.keywords if keyword.arg in ("next", "remedy", "command")
            ]
            if isinstance(node.func, ast.Attribute) and node.func.attr == "next":
                given += node.args
            for value in given:
                for text in texts(value):
                    for line in text.splitlines():
                        yield f"{path.relative_to(ROOT)}:{value.lineno}", line


def test_each_line_that_begins_as_a_command_of_ours_is_taken_by_the_command_line() -> None:
    wrong = []
    for place, line in advised():
        if line.startswith("rollback ") and _FILLED not in line.split()[1]:
            try:
                parsed(line)
            except (typer.TyperException, ValueError) as error:
                if _FILLED in str(error):
                    continue  # one of a few words that are filled in
                wrong.append(f"{place}: {line}: {error}")

    assert not wrong, "\n".join(wrong)


def test_no_command_is_hidden_in_a_sentence() -> None:
    """Whoever copies the line gets the words around it."""
    hidden = [
        f"{place}: {line}"
        for place, line in advised()
        if "rollback " in line.partition("  #")[0][1:]
        and not _COMMAND.match(line)
        and not line.startswith("#")
    ]

    assert not hidden, "\n".join(hidden)


@pytest.mark.finding("U12")
def test_a_line_that_begins_as_a_command_is_one_to_its_end_or_to_its_comment() -> None:
    """JSON has these lines as commands: nobody types a sentence."""
    sentences = [
        f"{place}: {line}"
        for place, line in advised()
        if commands(line) and _WORDS.search(_QUOTED.sub("", commands(line)[0]))
    ]

    assert not sentences, "\n".join(sentences)


def test_a_reason_to_fill_in_is_quoted() -> None:
    """Unquoted it is taken as it is, and a reason has more than one word."""
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((ROOT / "rollback").rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"--reason …", line)
    ]

    assert not bare


@pytest.mark.parametrize("line", ["rollback statsu --env dev", "rollback status says what stands"])
def test_what_is_no_command_is_found_out(line: str) -> None:
    with pytest.raises((typer.TyperException, ValueError)):
        parsed(line)
