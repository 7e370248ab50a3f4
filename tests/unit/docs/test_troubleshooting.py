"""Each error code is explained once, and what a page for the person on call says to type is a command that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from rollback.util import errors
from rollback.util.errors import Code
from tests.command_lines import parsed

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "troubleshooting.md"
# Pages whose every command is looked at, in blocks and in sentences.
PAGES = [
    *(DOCS / f"{name}.md" for name in ("concepts", "faq", "glossary", "runbook", "troubleshooting")),
    *sorted((DOCS / "how-to").glob("*.md")),
]
_ENTRY = re.compile(r"^### `([^`]+)`$", re.MULTILINE)
_BLOCK = re.compile(r"^ *```(?:sh|console|text)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(rollback [^`]+)`")


def entries() -> dict[str, str]:
    """Code → the text of its entry, of a page on which none has two."""
    _, *parts = _ENTRY.split(PAGE.read_text(encoding="utf-8"))
    return dict(zip(parts[::2], parts[1::2], strict=True))


def commands_in_blocks(page: Path) -> Iterator[str]:
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            if "rollback " in line and (
                found := re.match(r"(?:\$ )?(?:\w+=\S+ )*(rollback .*)", line.strip())
            ):
                yield found[1]


def wrong(lines: Iterator[str], *, whole: bool) -> list[str]:
    found = []
    for line in lines:
        try:
            parsed(line, whole=whole)
        except (typer.TyperException, ValueError) as error:
            found.append(f"{line}: {error}")
    return found


def test_every_code_has_exactly_one_entry_and_every_entry_has_a_code() -> None:
    found = _ENTRY.findall(PAGE.read_text(encoding="utf-8"))

    assert found == [str(code) for code in Code]  # in the order in which they are declared


@pytest.mark.parametrize("code", list(Code))
def test_an_entry_says_what_it_means_why_it_happens_and_what_to_do(code: Code) -> None:
    text = re.sub(r"^## .*", "", entries()[code], flags=re.MULTILINE | re.DOTALL)
    meaning, cause, fix = re.fullmatch(r"(.*?)\*\*Cause:\*\*(.*?)\*\*Fix:\*\*(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr] # it fails where it does not match

    assert all(part.strip() for part in (meaning, cause, fix))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_line_of_a_block_is_taken_by_the_command_line(page: Path) -> None:
    assert not wrong(commands_in_blocks(page), whole=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_a_sentence_is_there_with_its_options(page: Path) -> None:
    assert not wrong(iter(_INLINE.findall(page.read_text(encoding="utf-8"))), whole=False)


@pytest.mark.parametrize("page", sorted((DOCS / "how-to").glob("*.md")), ids=lambda page: page.name)
def test_a_guide_names_codes_that_there_are(page: Path) -> None:
    rows = re.findall(r"^\| (`[A-Z][^|]+) \|", page.read_text(encoding="utf-8"), re.MULTILINE)

    assert {code for row in rows for code in re.findall(r"`(\w+)`", row)} <= set(Code)


@pytest.mark.parametrize("name", ["runbook", "reference/exit-codes"])
def test_the_table_of_exit_codes_has_each_that_there_is(name: str) -> None:
    kinds = [errors.RollbackError, *errors.RollbackError.__subclasses__()]
    ours = {kind.exit_code for kind in kinds if kind.__module__ == errors.__name__}

    rows = re.findall(r"^\| (\d+) \|", (DOCS / f"{name}.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert [int(row) for row in rows] == sorted({0, *ours})


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        ("rollback lambda --to v1.1.0", True),
        ("rollback lambda --backwards", False),
        ("rollback backwards --env prod", False),
        ("rollback release undo v1.1.0 --env prod", True),
    ],
)
def test_what_is_no_command_is_found_out(line: str, whole: bool) -> None:
    assert wrong(iter([line]), whole=whole)
