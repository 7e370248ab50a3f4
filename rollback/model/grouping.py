"""Groups equal sentences about several subjects into one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_NAMED = 3
# A number that is not part of a release or a name.
_NUMBER = re.compile(r"(?<![\w.-])\d+(?![\w-]|\.\d)")


def together(found: Iterable[tuple[str, str]]) -> list[str]:
    """One line per distinct sentence of (subject, sentence), in order of first appearance.

    Sentences that differ only in numbers count as equal: the first one is shown, and how many are similar.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for subject, sentence in found:
        groups.setdefault(_NUMBER.sub("#", sentence), []).append((subject, sentence))
    return [line for group in groups.values() for line in _lines(group)]


def _lines(group: Sequence[tuple[str, str]]) -> list[str]:
    subjects = [subject for subject, _ in group]
    first, sentence = group[0]
    if len({each for _, each in group}) == 1:
        return [f"{some(subjects)}: {sentence}" if any(subjects) else sentence]
    if len(group) <= _NAMED:
        return [f"{subject}: {each}" for subject, each in group]
    return [f"{first}: {sentence}; and {len(group) - 1} more like it ({some(subjects[1:])})"]


def some(names: Sequence[str], most: int = _NAMED) -> str:
    """The first names, and how many more."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def number(count: int, noun: str) -> str:
    """`1 function`, `2 functions`, `0 entries`. Pure."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun.removesuffix('y') + 'ies' if noun.endswith('y') else f'{noun}s'}"
