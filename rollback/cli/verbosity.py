"""How much a verb shows: `--quiet`, `--verbose` and `--debug`, before the verb or after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.main import get_command

from rollback.cli.output import OUTPUT


@dataclass(kw_only=True)
class Chosen:
    """What was typed for the verb of this process. Of several the one that shows most counts."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False


chosen = Chosen()


def begin() -> None:
    """Forgets what was typed for another verb of this process."""
    chosen.quiet = chosen.verbose = chosen.debug = False


def _option(name: str) -> Any:
    def take(value: bool) -> bool:  # noqa: FBT001 - typer's
        # What is typed before the verb counts, too.
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
    """The command of a verb, which takes the three options beside its own."""

    def verb(quiet: Quiet = False, verbose: Verbose = False, debug: Debug = False) -> None:
        """Never called: only its options are used."""

    alone = typer.Typer(add_completion=False)
    alone.command()(verb)
    for option in get_command(alone).params:
        option.expose_value = False
        command.params.append(option)
    return command
