"""How much a verb shows: `--quiet`, `--verbose` and `--debug`, before the verb or after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.main import get_command

from rollback.cli.output import OUTPUT


@dataclass(kw_only=True)
class Chosen:
    """The options typed for this process's verb; of several, the most verbose one counts."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False


chosen = Chosen()


def begin() -> None:
    """Resets the options: a process may run several verbs."""
    chosen.quiet = chosen.verbose = chosen.debug = False


def _option(name: str) -> Any:
    def take(value: bool) -> bool:  # noqa: FBT001 - typer's
        # Options before the verb count, too.
        setattr(chosen, name, value or getattr(chosen, name))
        return value

    return take


Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        callback=_option("quiet"),
        rich_help_panel=OUTPUT,
        help="Show only results, questions and errors.",
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        callback=_option("verbose"),
        rich_help_panel=OUTPUT,
        help="Show each step with its time.",
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        callback=_option("debug"),
        rich_help_panel=OUTPUT,
        help="Also show each AWS call, without secrets.",
    ),
]


def added(command: Any) -> Any:
    """Adds the three options to a verb's command."""

    def verb(quiet: Quiet = False, verbose: Verbose = False, debug: Debug = False) -> None:
        """Never called: only its options are used."""

    alone = typer.Typer(add_completion=False)
    alone.command()(verb)
    for option in get_command(alone).params:
        option.expose_value = False
        command.params.append(option)
    return command
