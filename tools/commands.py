"""`python -m tools.commands`: checks that `docs/reference/commands.md` matches every command's `--help`.

`--write` updates the page; without it, exit 1 reports a difference.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

from typer.main import get_command

from localaws.paths import ROOT
from rollback.cli.app import app
from rollback.cli.help_texts import EXAMPLES
from rollback.cli.lazy import described
from tools.generated import in_step

PAGE = ROOT / "docs" / "reference" / "commands.md"
# Options of all commands, which the page lists once.
EVERYWHERE = frozenset({"--help", "--output", "--json", "--quiet", "--verbose", "--debug"})
MARKERS = ("<!-- commands:begin -->", "<!-- commands:end -->")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 up to date (or written), 1 not."""
    return in_step(
        arguments,
        module="tools.commands",
        page=PAGE,
        markers=MARKERS,
        content=reference,
        what="the current commands",
    )


def reference() -> str:
    """A heading for each command, with its usage and a table of its options."""
    return "\n".join(_group(get_command(app), "rollback"))


def _group(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        here = f"{path} {name}"
        if hasattr(command, "commands"):
            yield f"## {here}\n\n{_sentences(command.help)}\n"
            yield from _group(command, here)
        else:
            yield from _command(command, here)


def _command(command: Any, path: str) -> Iterator[str]:
    context = command.make_context(path, [], resilient_parsing=True)
    found = context.command
    yield f"{'#' * (path.count(' ') + 1)} {path}\n\n{_sentences(found.help)}\n"
    if examples := EXAMPLES.get(path.partition(" ")[2], ()):
        yield "```text\n" + "\n".join(examples) + "\n```\n"
    rows = [row for one in found.get_params(context) if (row := _row(one, context))]
    if rows:
        yield "\n".join(["| option | means | default |", "|---|---|---|", *rows]) + "\n"


def _row(parameter: Any, context: Any) -> str:
    """A parameter as a line of a table; empty if it is hidden, or if every command has it."""
    if getattr(parameter, "hidden", False) or EVERYWHERE & set(parameter.opts):
        return ""
    name, _ = described(parameter, context)
    default = parameter.default
    shown = "required" if parameter.required else "" if _unset(default) else f"`{_text(default)}`"
    # The group of the help under which it is, such as what is for an emergency.
    group = f"{panel}: " if (panel := getattr(parameter, "rich_help_panel", None)) else ""
    return f"| `{_cell(name)}` | {_cell(group + (parameter.help or ''))} | {_cell(shown)} |"


def _unset(default: Any) -> bool:
    return not default or callable(default) or not isinstance(default, str | int | StrEnum)


def _text(default: Any) -> str:
    return str(default.value if isinstance(default, StrEnum) else default)


def _sentences(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", inspect.cleandoc(text or "").partition("\n\n")[0])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
