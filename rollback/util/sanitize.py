"""Makes text from outside safe to show on a terminal and to store.

Reasons, names, commit subjects and responses of AWS and of tools may contain anything: escape sequences that
move the cursor or set a title, bidirectional marks, zero-width characters. Escape
sequences are removed; every other unprintable character is shown as a Python escape, so that a reader
sees it.
"""

from __future__ import annotations

import re

# CSI; OSC, up to BEL or ST; DCS, SOS, PM and APC up to ST (ECMA-48, xterm's control sequences).
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[PX^_][^\x1b]*\x1b\\"
)


class _Shown(dict[int, str]):
    """Code point → its replacement, computed on first use."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        self[code] = char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        if char.isspace() and char > "\x7f":
            # A no-break space becomes a space; line separators are escaped.
            self[code] = " " if char not in "\x85\u2028\u2029" else self[code]
        return self[code]


_LINE = _Shown({ord("\t"): " "})
_LINES = _Shown({ord("\t"): "\t", ord("\n"): "\n"})


def line(text: str) -> str:
    """`text` on one line: line breaks are escaped."""
    return text if text.isprintable() else _SEQUENCE.sub("", text).translate(_LINE)


def lines(text: str) -> list[str]:
    """The lines of a text, each cleaned."""
    return clean(text).split("\n")


def clean(text: str) -> str:
    """`text` with line breaks and tabs, and no other control characters."""
    return _SEQUENCE.sub("", text.replace("\r\n", "\n")).translate(_LINES).rstrip("\n")
