"""Shell completion: names from the settings files of the checkout, and ids and releases that verbs have met.

Nothing is read from AWS: a person who presses the tab key wants an answer at once, and may have no
credentials. Where the settings cannot be read nothing is offered and no error is shown: the verb itself will
show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import typer

from rollback.cli import known_names
from rollback.config import settings
from rollback.core.errors import RollbackError


def environments(incomplete: str) -> list[str]:
    """The environments of the checkout."""
    return _starting(incomplete, _names())


def services(ctx: typer.Context, incomplete: str) -> list[str]:
    """`all`, or services with commas between them."""
    before, comma, last = incomplete.rpartition(",")
    known = _of(ctx, lambda its: its.services)
    if not comma:
        return _starting(last, ["all", *known])
    return [f"{before},{name}" for name in _starting(last, known) if name not in before.split(",")]


def functions(ctx: typer.Context, incomplete: str) -> list[str]:
    """The catalogue's functions, by their short names."""
    return _starting(
        incomplete,
        _of(ctx, lambda its: its.entries()),
    )


def tables(ctx: typer.Context, incomplete: str) -> list[str]:
    """The tables that can be restored."""
    return _starting(incomplete, _of(ctx, lambda its: its.restorable))


def records(ctx: typer.Context, incomplete: str) -> list[str]:
    """`last`, and the ids that verbs have met, as they are or in small letters."""
    found = _starting(incomplete, ["last"])
    return found + _starting(incomplete.upper(), _met(ctx, lambda names: names.ids))


def releases(ctx: typer.Context, incomplete: str) -> list[str]:
    """The releases that verbs have met."""
    return _starting(incomplete, _met(ctx, lambda names: names.releases))


def targets(ctx: typer.Context, incomplete: str) -> list[str]:
    """`previous`, and the releases that verbs have met."""
    return _starting(incomplete, ["previous", *_met(ctx, lambda names: names.releases)])


def sides(ctx: typer.Context, incomplete: str) -> list[str]:
    """What two things `diff` compares."""
    return _starting(
        incomplete, ["previous", "recorded", "deployed", *_met(ctx, lambda names: names.releases)]
    )


def previous(incomplete: str) -> list[str]:
    """What can be said of commits without asking git."""
    return _starting(incomplete, ["previous", "HEAD"])


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    # What a shell would act upon is no name of anything here.
    return [name for name in names if name.startswith(incomplete) and name.isprintable()]


def _names() -> list[str]:
    try:
        return settings.environments(settings.find_root(Path.cwd()))
    except (RollbackError, OSError):
        return []


def _of(ctx: typer.Context, read: Callable[[settings.Settings], Iterable[str]]) -> list[str]:
    """What `read` gives of the environment that has been typed, or of all where none has been."""
    typed = ctx.params.get("env")
    found: dict[str, None] = {}
    for name in [typed] if typed else _names():
        try:
            found |= dict.fromkeys(read(settings.load(settings.find_root(Path.cwd()), name)))
        except (RollbackError, OSError):
            continue
    return list(found)


def _met(ctx: typer.Context, read: Callable[[known_names.Names], Iterable[str]]) -> list[str]:
    """What `read` gives of what is known of the environment that has been typed, or of all where none has been."""
    typed = ctx.params.get("env")
    try:
        root = settings.find_root(Path.cwd())
    except (RollbackError, OSError):
        return []
    names = [typed] if typed else _names()
    return list(dict.fromkeys(name for one in names for name in read(known_names.known(root, one))))
