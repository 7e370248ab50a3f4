"""Shell completion: names from the checkout's settings files, and ids and releases that earlier commands showed.

Nothing is read from AWS: completion must answer at once, and there may be no
credentials. Where the settings cannot be read, it offers nothing and shows no error: the verb itself will
report it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import typer

from rollback.cli import known_names
from rollback.config import settings
from rollback.util.errors import RollbackError


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
    """`last`, and the ids that earlier commands showed; typed in capital or small letters."""
    found = _starting(incomplete, ["last"])
    return found + _starting(incomplete.upper(), _met(ctx, lambda names: names.ids))


def releases(ctx: typer.Context, incomplete: str) -> list[str]:
    """The releases that earlier commands showed."""
    return _starting(incomplete, _met(ctx, lambda names: names.releases))


def targets(ctx: typer.Context, incomplete: str) -> list[str]:
    """`previous`, and the releases that earlier commands showed."""
    return _starting(incomplete, ["previous", *_met(ctx, lambda names: names.releases)])


def sides(ctx: typer.Context, incomplete: str) -> list[str]:
    """What `diff` can compare."""
    return _starting(
        incomplete, ["previous", "recorded", "deployed", *_met(ctx, lambda names: names.releases)]
    )


def previous(incomplete: str) -> list[str]:
    """The word that a commit can be given by, without calling git."""
    return _starting(incomplete, ["previous", "HEAD"])


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    # Nothing with characters that a shell would interpret is offered.
    return [name for name in names if name.startswith(incomplete) and name.isprintable()]


def _names() -> list[str]:
    try:
        return settings.environments(settings.find_root(Path.cwd()))
    except (RollbackError, OSError):
        return []


def _of(ctx: typer.Context, read: Callable[[settings.Settings], Iterable[str]]) -> list[str]:
    """What `read` returns for the typed environment, or for all environments where none is typed."""
    typed = ctx.params.get("env")
    found: dict[str, None] = {}
    for name in [typed] if typed else _names():
        try:
            found |= dict.fromkeys(read(settings.load(settings.find_root(Path.cwd()), name)))
        except (RollbackError, OSError):
            continue
    return list(found)


def _met(ctx: typer.Context, read: Callable[[known_names.Names], Iterable[str]]) -> list[str]:
    """What `read` returns for the known names of the typed environment, or of all where none is typed."""
    typed = ctx.params.get("env")
    try:
        root = settings.find_root(Path.cwd())
    except (RollbackError, OSError):
        return []
    names = [typed] if typed else _names()
    return list(dict.fromkeys(name for one in names for name in read(known_names.known(root, one))))
