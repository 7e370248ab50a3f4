"""The options that several verbs share, and functions that parse their values."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from rollback.cli import completion
from rollback.cli.output import Json
from rollback.util.errors import Code, UsageError

__all__ = ["Json"]

# The environment where --env is not given.
ENVIRONMENT = "ROLLBACK_ENV"

Env = Annotated[
    str,
    typer.Option(
        "--env",
        "-e",
        metavar="ENV",
        envvar=ENVIRONMENT,
        help="The environment, as in Pulumi.ENV.yaml.",
        autocompletion=completion.environments,
    ),
]
MaybeEnv = Annotated[
    str | None,
    typer.Option(
        "--env",
        "-e",
        metavar="ENV",
        envvar=ENVIRONMENT,
        help="The environment; default: the one of your AWS account.",
        autocompletion=completion.environments,
    ),
]
Reason = Annotated[
    str,
    typer.Option(
        "--reason", "-r", metavar="TEXT", help="The reason, on one line; required for every change."
    ),
]


def _identifier(meant: str) -> Any:
    return typer.Argument(metavar="ID", help=meant, autocompletion=completion.records)


Identifier = Annotated[str, _identifier("A rollback's id, its first 6 or more characters, or last.")]
WholeIdentifier = Annotated[
    str, _identifier("A rollback's id; under the approver role the whole id, of 26 characters.")
]
Services = Annotated[
    str,
    typer.Option(
        "--services", "-s", metavar="NAMES", help="all, or some: a,b", autocompletion=completion.services
    ),
]
Release = Annotated[
    str,
    typer.Option(
        "--to", metavar="VERSION", help="A release, or previous.", autocompletion=completion.targets
    ),
]
Version = Annotated[
    str,
    typer.Option(
        "--version",
        metavar="VERSION",
        help="The release's version, e.g. v1.2.0.",
        autocompletion=completion.releases,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan without applying it.")]
Yes = Annotated[
    bool,
    typer.Option(
        "--yes", "-y", help="Confirm the plan in advance (not in production; does not replace an approval)."
    ),
]


def _not_empty(ctx: typer.Context, param: typer.CallbackParam, value: str) -> str:
    """The value, unless it was given as nothing: a shell variable without a value must not remove a limit."""
    source = ctx.get_parameter_source(param.name or "")
    if not value and source is not None and source.name == "COMMANDLINE":
        raise typer.BadParameter("it is empty; give a time, for example 30m.")
    return value


Wait = Annotated[
    str,
    typer.Option(
        "--wait",
        metavar="TIME",
        callback=_not_empty,
        help="Wait up to this long for another person's approval, for example 30m, and continue once it is given.",
    ),
]
Timeout = Annotated[
    str,
    typer.Option(
        "--timeout",
        metavar="TIME",
        callback=_not_empty,
        help="Start nothing new after this time, for example 90s or 10m; calls already made are finished.",
    ),
]
ConfirmDead = Annotated[
    str,
    typer.Option(
        "--confirm-dead",
        metavar="HOLDER",
        help="Confirm that the process holding the engine's lock is dead: HOST:PID, or the lock's id.",
    ),
]
Commit = Annotated[str, typer.Option("--commit", metavar="COMMIT", help="The commit that was deployed.")]


# The longest duration: hours have at most three digits, minutes five, seconds six.
_LONGEST = "at most 999h"


def minutes_in(duration: str, option: str) -> int:
    """`45m`, `2h` or `1h30m` in minutes. Raises `UsageError`, which names the `option`, for anything else."""
    found = re.fullmatch(r"(?:(\d{1,3})h)?(?:(\d{1,5})m)?", duration.strip())
    if not found or not any(found.groups()):
        raise UsageError(
            f"{option}: {duration[:40]!a} is not a duration such as 45m, 2h or 1h30m, {_LONGEST}.",
            code=Code.OPTION_INVALID,
        )
    hours, minutes = (int(part or 0) for part in found.groups())
    return hours * 60 + minutes


def seconds_in(duration: str, option: str = "--timeout") -> int:
    """`90s`, `10m` or `1h30m` in seconds. Raises `UsageError`, which names the `option`, for anything else."""
    found = re.fullmatch(r"(?:(\d{1,3})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?", duration.strip())
    hours, minutes, seconds = (int(part or 0) for part in (found.groups() if found else (0, 0, 0)))
    if not (total := hours * 3600 + minutes * 60 + seconds):
        raise UsageError(
            f"{option}: {duration[:40]!a} is not a duration such as 90s, 10m or 1h30m, {_LONGEST}.",
            code=Code.OPTION_INVALID,
        )
    return total


def minutes_if(duration: str, option: str = "--wait") -> int:
    """`minutes_in` for an option that may be left out; then 0."""
    return minutes_in(duration, option) if duration else 0


def names_in(services: str) -> tuple[str, ...]:
    """The services of `all` or `a,b`; empty for all. Raises `UsageError` where no service is named."""
    names = tuple(name.strip() for name in services.split(",") if name.strip())
    if not names:
        raise UsageError(
            "--services names no service.", code=Code.OPTION_INVALID, next="--services all, or --services a,b"
        )
    return () if names == ("all",) else names
