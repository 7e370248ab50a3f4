"""Every error has a code that says what went wrong, and every code is an error's."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import rollback
from rollback.util.errors import (
    AwaitingApproval,
    Code,
    Refused,
    Reverted,
    RollbackError,
    UsageError,
)
from tests.syntax import parsed

PACKAGE = Path(rollback.__file__).parent
GENERAL = {"RollbackError", "UsageError", "Refused"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        yield name, parsed(path.read_text(encoding="utf-8"))


def names(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def has_code(call: ast.Call) -> bool:
    return any(text.arg == "code" for text in call.keywords)


def without_code(tree: ast.Module) -> Iterator[int]:
    """The lines where a general error is made, raised as a bare class, or derived from, without a code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            general = names(node.func) in GENERAL and not has_code(node)
        elif isinstance(node, ast.Raise):
            general = node.exc is not None and names(node.exc) in GENERAL
        elif isinstance(node, ast.ClassDef):
            defaults = any(
                isinstance(each, ast.Assign) and names(each.targets[0]) == "code_default"
                for each in node.body
            )
            passes = any(isinstance(each, ast.Call) and has_code(each) for each in ast.walk(node))
            general = any(names(base) in GENERAL for base in node.bases) and not (defaults or passes)
        else:
            continue
        if general:
            yield node.lineno


def test_no_general_error_is_made_without_a_code() -> None:
    missing = [f"{name}:{line}" for name, tree in modules() for line in without_code(tree)]

    assert missing == []


def test_an_error_without_a_code_is_found() -> None:
    text = (
        "raise Refused('a')\n"
        "raise errors.UsageError('b', next='c')\n"
        "error = RollbackError('d')\n"
        "raise Refused\n"
        "class Held(Refused): pass\n"
        "raise Refused('e', code=Code.FROZEN)\n"
    )

    assert sorted(without_code(parsed(text))) == [1, 2, 3, 4, 5]


def test_every_code_is_used() -> None:
    used = {
        node.attr
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and names(node.value) == "Code"
    }

    assert used == {code.name for code in Code}


def test_a_code_is_spelled_as_its_name() -> None:
    assert [code.value for code in Code] == [code.name for code in Code]
    assert all(code.isupper() and code.isascii() and code.isidentifier() for code in Code)


def test_an_error_has_its_class_code_unless_it_is_given_one() -> None:
    assert [kind("x").code for kind in (RollbackError, UsageError, Refused, Reverted, AwaitingApproval)] == [
        Code.FAILED,
        Code.OPTION_INVALID,
        Code.REFUSED,
        Code.REVERTED,
        Code.AWAITING_APPROVAL,
    ]
    assert Refused("x", code=Code.FROZEN).code is Code.FROZEN


def test_every_code_shows_when_it_is_given() -> None:
    lines = (PACKAGE / "util" / "errors.py").read_text(encoding="utf-8").splitlines()
    bare = [
        code.name
        for code in Code
        if not any(line.startswith(f"    {code.name} = auto()  # ") for line in lines)
    ]

    assert bare == []
