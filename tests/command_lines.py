"""Whether the command line takes a line, without doing what it says."""

from __future__ import annotations

import shlex
from typing import Any

import typer

from rollback.cli.app import app


def parsed(line: str, *, whole: bool = True) -> None:
    """Raises `typer.TyperException` or `ValueError` where the command line does not take a line.

    Of a line that is not `whole`, as a sentence has them, verb and options have to be there, and it may lack what the
    verb needs.
    """
    command: Any = typer.main.get_command(app)
    program, *arguments = shlex.split(line, comments=True)
    assert program == "rollback"
    context = command.make_context("rollback", [], resilient_parsing=True)
    while hasattr(command, "resolve_command") and arguments and not arguments[0].startswith("-"):
        name, command, arguments = command.resolve_command(context, arguments)
        if command is None:
            raise ValueError(f"there is no {name}")
        context = command.make_context(command.name, [], resilient_parsing=True)
    if whole and not hasattr(command, "resolve_command"):
        command.make_context(command.name, arguments)
        return
    there = {name for one in context.command.params for name in one.opts}
    if missing := [word for word in arguments if word.startswith("-") and word not in there]:
        raise ValueError(f"there is no {', '.join(missing)}")
