"""A page with a generated part between two markers: writes it, or checks that it is up to date."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from localaws.errors import LocalError


def in_step(
    arguments: Sequence[str] | None,
    *,
    module: str,
    page: Path,
    markers: tuple[str, str],
    content: Callable[[], str],
    what: str,
) -> int:
    """Checks that a page has `content` between its markers, or writes it with `--write`. Returns the exit code, 0 or 1."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=sys.modules["__main__"].__doc__)
    parser.add_argument("--write", action="store_true", help="replace the text between the markers")
    write = parser.parse_args(arguments).write
    return show(page, markers, content, what=what, write=write, fix=f"python -m {module} --write")


def show(
    page: Path, markers: tuple[str, str], content: Callable[[], str], *, what: str, write: bool, fix: str
) -> int:
    """The same without arguments; `fix` is the command to name if the page is out of date."""
    text = page.read_text(encoding="utf-8")
    try:
        wanted = between(text, markers, content())
    except LocalError as error:
        print(f"{page.name}: {error}", file=sys.stderr)
        return 1
    if write:
        page.write_text(wanted, encoding="utf-8")
    elif wanted != text:
        print(f"{page.name} does not show {what}. Run: {fix}", file=sys.stderr)
        return 1
    return 0


def between(text: str, markers: tuple[str, str], section: str) -> str:
    """A page's text with `section` between two markers. Raises `LocalError` if they are missing."""
    first, last = markers
    head, begin, rest = text.partition(first)
    _, end, tail = rest.partition(last)
    if not begin or not end:
        raise LocalError(f"The page has no lines {first} and {last} around the generated part.")
    return f"{head}{begin}\n{section}{end}{tail}"
