"""The options of `rollback lambda` for an emergency; the room `emergency` carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rollback.util.errors import Code, UsageError

# Where `--help` shows these.
PANEL = "In an emergency"

Emergent = Annotated[
    bool,
    typer.Option(
        "--emergency",
        help="Roll back without ledger, lease and approval, under the break-glass role.",
        rich_help_panel=PANEL,
    ),
]
Resume = Annotated[
    Path | None, typer.Option("--resume", metavar="FILE", help="Resume this journal.", rich_help_panel=PANEL)
]
Undo = Annotated[
    Path | None,
    typer.Option("--undo", metavar="FILE", help="Revert what this journal moved.", rich_help_panel=PANEL),
]
AlthoughAnswers = Annotated[
    bool,
    typer.Option(
        "--although-the-ledger-answers",
        help="Even if the ledger answers; asks for the environment's name.",
        rich_help_panel=PANEL,
    ),
]
AlthoughQuarantined = Annotated[
    bool,
    typer.Option(
        "--although-quarantined",
        help="Even to a quarantined release; asks for the environment's name.",
        rich_help_panel=PANEL,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options beside the request."""

    reason: str
    resume: Path | None
    undo: Path | None
    although_answers: bool
    although_quarantined: bool
    dry_run: bool


def only_in_an_emergency(options: Options) -> None:
    """Raises `UsageError` where an option of emergencies is given without one."""
    given = {
        "--resume": options.resume,
        "--undo": options.undo,
        "--although-the-ledger-answers": options.although_answers,
        "--although-quarantined": options.although_quarantined,
    }
    if arguments := [option for option, value in given.items() if value]:
        raise UsageError(f"{', '.join(arguments)} is for --emergency only.", code=Code.OPTION_INVALID)
