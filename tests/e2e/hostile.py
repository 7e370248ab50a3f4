"""What somebody who means ill types, writes or leaves about, and what the command has to answer.

A row is one run. Rows that name several hostile values in one word say so: each of them alone is refused by
the same pattern, which unit tests try value by value (`model`, `core` and `integrations` there).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.estate_under_test import ALICE, Person, Run

# A file of this name is made by whatever is executed of what is planted.
MARK = "pwned"
SHELL = f"$(touch {MARK}); `touch {MARK}`; touch {MARK} | touch {MARK}"
CLEAR, TITLE = "\x1b[2J", f"\x1b]0;{MARK}\x07"
LINK = "\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\"
BIDI, HIDDEN = "\u202egnp.exe\u202c", "zero\u200bwidth\ufeff"
C1, LOST = "\x9b31m", "\udcff"
LONG, LONGEST = "x" * 10_000, "x" * 100_000
# What each medium would act upon; all of it is printable, and shown as it is.
MARKUP = {
    "rich": "[bold red]loud[/] [link=https://evil.example]here[/link] [/]",
    "Slack": "<!channel> <https://evil.example|here> *loud*",
    "Markdown": "[here](javascript:alert(1)) ![i](https://evil.example/i) | a | b | # loud",
    "HTML": "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;",
    "a shell": SHELL,
    "a format": "%s%n {0} {0.__class__} ${HOME} {{7*7}}",
}
_SHORT = 4000


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A run: words after `rollback`, the exit code, and what standard error has to say.

    `env` is the environment that is named, None for none; `more` sets variables, or takes away those that
    are None.
    """

    words: tuple[str, ...]
    code: int
    says: str = ""
    env: str | None = "dev"
    as_: Person = ALICE
    more: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def line(self) -> list[str]:
        return [*self.words, *(["--env", self.env] if self.env is not None else [])]


def wrong(run: Run, code: int, message: str, *, document: bool = False) -> str:
    """What is not as it has to be with a run that was refused; empty where nothing is.

    Whatever a run says has to be a few lines of what can be printed; where nothing was read yet (exit 2), nothing is on
    standard output unless a `document` was asked for.
    """
    return ", ".join(
        what
        for what, so in {
            f"exit {run.code} and not {code}": run.code != code,
            f"does not say {message!r}": message not in run.screen,
            "a traceback": "Traceback" in run.err,
            "something raw": not all(char.isprintable() or char == "\n" for char in run.out + run.err),
            "something on standard output": code == 2 and bool(run.out) and not document,
            f"{len(run.err)} characters": len(run.err) > _SHORT,
        }.items()
        if so
    )


def report(found: Mapping[str, tuple[str, Run]]) -> str:
    """The rows that went wrong, to be read."""
    return "\n".join(f"--- {name}: {why}\n{run}" for name, (why, run) in found.items())


def executed(*places: Path) -> list[Path]:
    """The marks that something planted has left."""
    return [path for place in places for path in place.rglob(f"{MARK}*")]
