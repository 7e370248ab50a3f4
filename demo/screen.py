"""What a terminal shows after a command's output, and a shortened form of long output."""

from __future__ import annotations

import re
from collections.abc import Sequence

# ECMA-48's control sequences (https://ecma-international.org/publications-and-standards/standards/ecma-48/).
_CONTROL = re.compile(r"\x1b\[([0-?]*)[ -/]*([@-~])|\r|\n|[^\x1b\r\n]+|\x1b.?")


def left(written: str) -> list[str]:
    """The lines that remain visible, without overwritten text, with colours."""
    lines, at = [""], 0
    for token in _CONTROL.finditer(written):
        text, final = token[0], token[2]
        if text == "\n":
            at += 1
            if at == len(lines):
                lines.append("")
        elif text == "\r" or final == "K":
            lines[at] = ""
        elif final == "A":
            at = max(0, at - int(token[1] or 1))
        elif final == "m" or not text.startswith("\x1b"):
            lines[at] += text
    shown = [line.rstrip() for line in lines]
    while shown and not shown[-1]:
        shown.pop()
    return shown


def shortly(lines: Sequence[str], most: int) -> list[str]:
    """At most `most` lines: the first ones, the number of lines omitted, and the last ones."""
    if len(lines) <= most:
        return list(lines)
    last = most // 2
    first = most - last - 1
    return [*lines[:first], f"  … {len(lines) - first - last} more lines", *lines[-last:]]
