"""A test that only a soak runs names the test that keeps its promise in every run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
_MARKED = re.compile(r"^@pytest\.mark\.soak  # (.+)$", re.MULTILINE)
_NAMED = re.compile(r"(?<![\w/])((?:\w+/)*test_\w+)(\.py)?")
_TEST = re.compile(r"((?:^@.*\n(?:^[ \])].*\n)*)*)^def (test_\w+)", re.MULTILINE)


def reasons() -> Iterator[tuple[Path, str]]:
    for path in sorted(TESTS.rglob("test_*.py")):
        for why in _MARKED.findall(path.read_text(encoding="utf-8")):
            yield path, why


def in_every_run(path: Path) -> set[str]:
    """The tests of a file that `make test` runs, with all of their parameters or with some."""
    return {
        name
        for marks, name in _TEST.findall(path.read_text(encoding="utf-8"))
        if not re.search(r"^@pytest\.mark\.soak", marks, re.MULTILINE)
    }


def places(name: str, beside: Path) -> list[Path]:
    """The files that a comment may mean: of the whole path, of the end of one, or beside it."""
    found = [path for path in TESTS.rglob(f"{Path(name).name}.py") if str(path).endswith(f"/{name}.py")]
    return [path for path in found if path.parent == beside.parent] or found


@pytest.mark.parametrize(
    ("path", "why"), [*reasons()], ids=lambda one: one.name if isinstance(one, Path) else one
)
def test_what_a_soaks_comment_names_is_there_and_in_every_run(path: Path, why: str) -> None:
    named = _NAMED.findall(why)

    assert named
    for name, is_file in named:
        if is_file:
            found = places(name, path)
            assert len(found) == 1, f"{name}: {found}"
            assert in_every_run(found[0]), f"{name} has nothing that every run runs"
        else:
            assert name in in_every_run(path), f"{name} is not in every run"


def test_a_mark_is_seen_above_and_below_other_marks(tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    soak = "@pytest.mark.soak  # that one\n"
    many = '@pytest.mark.parametrize(\n    "one",\n    [1],\n)\n'
    file.write_text(
        f"{soak}{many}def test_a() -> None: ...\n\n\n{many}{soak}def test_b() -> None: ...\n\n\n"
        f"{many}def test_c() -> None: ...\n"
    )

    assert in_every_run(file) == {"test_c"}
