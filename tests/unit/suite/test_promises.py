"""CONTRIBUTING's table of promises names tests that there are, and that every run has; so does the order of files."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from localaws.paths import ROOT
from tests.longest_first import LONGEST_FIRST

_PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
_ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in _PAGE.partition("<!-- promises:begin -->")[2]
    .partition("<!-- promises:end -->")[0]
    .splitlines()[3:]
]


def places(cell: str) -> list[Path]:
    """The files and folders of tests that a cell names."""
    return [ROOT / "tests" / name for name in re.findall(r"`([^` ]+)`", cell)]


def in_every_run(path: Path) -> bool:
    """Whether a file has a test without the mark `soak`; one that has no tests is used by all."""
    tests = [
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    return not tests or any("pytest.mark.soak" not in map(ast.unparse, test.decorator_list) for test in tests)


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: row[0])
def test_a_promise_is_kept_by_tests_that_there_are(row: list[str]) -> None:
    _, kept, more = row

    assert [place for cell in (kept, more) for place in places(cell) if not place.exists()] == []
    assert [place for place in places(kept) if place.suffix == ".py" and not in_every_run(place)] == []
    assert kept.startswith("–") or places(kept)


def test_the_files_that_begin_first_are_there() -> None:
    assert [name for name in LONGEST_FIRST if not (ROOT / name).is_file()] == []
    assert len(set(LONGEST_FIRST)) == len(LONGEST_FIRST)
