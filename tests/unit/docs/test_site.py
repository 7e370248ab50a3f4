"""The website of the pages and the docstrings: whatever is wrong with it is an error."""

from __future__ import annotations

import html
import re
import tomllib
from pathlib import Path

import pytest

from tools.docs import build

_MODULE = '"""A gate. See [`opened`][rollback.engines.gated.gate.opened]."""\n\n\n'
_FUNCTION = (
    'def opened(pid: int) -> bool:\n    """Whether it is open.\n\n    Args:\n        pid: of whom.\n    """\n'
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a page, and a module whose docstrings are described."""
    root = tmp_path / "repository"
    for name, text in {
        "README.md": "# Home\n\nSee [the guide](docs/guide.md#first).\n",
        "CONTRIBUTING.md": "# Contributing\n",
        "docs/guide.md": "# Guide\n\n## First\n\n[back](../README.md), [a file](../program.py)\n",
        "program.py": "print(1)\n",
        "components/__init__.py": '"""Parts."""\n',
        "components/part.py": '"""A part."""\n',
        "rollback/__init__.py": '"""Rolls back."""\n',
        "rollback/api/__init__.py": '"""The API."""\n',
        "rollback/util/__init__.py": "",
        "rollback/util/errors.py": '"""Errors."""\n',
        "rollback/engines/__init__.py": "",
        "rollback/engines/gated/__init__.py": '"""Gated."""\n',
        "rollback/engines/gated/gate.py": _MODULE + _FUNCTION,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_pages_and_docstrings_become_a_site_whose_components_are_called_as_they_are_installed(
    repository: Path, tmp_path: Path
) -> None:
    wrong = build(repository, tmp_path / "made")

    assert wrong == ""
    site = tmp_path / "made" / "site"
    assert {path.relative_to(site).as_posix() for path in site.rglob("*.html")} == {
        "404.html",
        "index.html",
        "docs/guide.html",
        "api/rollback.html",
        "api/rollback.api.html",
        "api/rollback.components.html",
        "api/rollback.components.part.html",
        "api/rollback.util.errors.html",
        "api/rollback.engines.gated.html",
        "api/rollback.engines.gated.gate.html",
    }
    assert (site / "program.py").is_file()
    home = (site / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r'<(?:script|link)[^>]+(?:src|href)="(https?://[^"]+)"', home), "all of it is here"
    assert "docs.css" in home
    assert "(prefers-color-scheme: dark)" in home


def test_a_long_name_in_a_table_can_be_broken_and_a_short_one_cannot(
    repository: Path, tmp_path: Path
) -> None:
    long = "tests/unit/docs/test_site.py::test_of_a_promise"
    page = f"# Guide\n\n## First\n\n| promise | its test |\n|---|---|\n| `a/b` | `{long}` |\n"
    (repository / "docs" / "guide.md").write_text(page, encoding="utf-8")

    assert build(repository, tmp_path / "made") == ""
    made = (tmp_path / "made" / "site" / "docs" / "guide.html").read_text(encoding="utf-8")
    (shown,) = re.findall(r"<code>((?:(?!</code>).)*<wbr>.*?)</code>", made)
    assert html.unescape(shown).replace("<wbr>", "") == long
    assert "<code>a/b</code>" in made


def test_what_the_person_on_call_reads_comes_first(repository: Path, tmp_path: Path) -> None:
    (repository / "docs" / "runbook.md").write_text("# Runbook\n", encoding="utf-8")

    assert build(repository, tmp_path / "made") == ""
    made = tomllib.loads((tmp_path / "made" / "zensical.toml").read_text(encoding="utf-8"))
    assert made["project"]["nav"][:3] == [
        "README.md",
        {"On call": ["docs/runbook.md"]},
        {"Guides": ["docs/guide.md"]},
    ]


def test_what_is_not_there_is_an_error(repository: Path, tmp_path: Path) -> None:
    gate, part, page = "rollback/engines/gated/gate.py", "components/part.py", "docs/guide.md"
    for file, before, after in (
        ("README.md", "guide.md#first", "guide.md#second"),
        (page, "../program.py", "gone.md"),
        (gate, "gate.opened]", "gate.closed]"),
        (gate, "pid: of whom", "process: of whom"),
        (part, "A part.", "A part. [gone][rollback.components.whole]"),
    ):
        text = (repository / file).read_text(encoding="utf-8")
        assert text.count(before) == 1
        (repository / file).write_text(text.replace(before, after), encoding="utf-8")

    wrong = build(repository, tmp_path / "made")

    # A heading, a page, names in two places, and a parameter.
    for named in ("README.md:3:", "guide.md:5:", "gate.closed", "components.whole", "'process'"):
        assert named in wrong, wrong


def test_a_docstring_alone_that_describes_another_function_is_an_error(
    repository: Path, tmp_path: Path
) -> None:
    """What only warns where docstrings are read is not forgiven when all links are whole."""
    gate = repository / "rollback/engines/gated/gate.py"
    gate.write_text((_MODULE + _FUNCTION).replace("pid: of whom", "process: of whom"), encoding="utf-8")

    assert "'process'" in build(repository, tmp_path / "made")
