"""Shell completion: names from the settings files of the checkout, and `previous`.

Nothing is read from AWS: a person who presses the tab key wants an answer at once, and may have no
credentials. Where the settings cannot be read nothing is offered and no error is shown: the verb itself will
show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import typer

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


def previous(incomplete: str) -> list[str]:
    """What can be said without knowing what was released."""
    return _starting(incomplete, ["previous"])


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
