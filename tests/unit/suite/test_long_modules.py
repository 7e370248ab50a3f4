"""A module of the product that is longer than 400 lines says why it is one."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.syntax import parsed

ROOT = Path(__file__).parents[3]
_LONG = 400
_REASON = f"It is longer than {_LONG} lines: "


def test_a_module_of_more_than_400_lines_says_in_its_docstring_why_it_is_one() -> None:
    silent = []
    for path in sorted((ROOT / "rollback").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        says = _REASON in (ast.get_docstring(parsed(text)) or "")
        if (len(text.splitlines()) > _LONG) is not says:
            silent.append(f"{path.relative_to(ROOT)}: {len(text.splitlines())} lines")

    assert silent == []
