"""`rollback history` and `show`: the recorded releases and rollbacks."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from rollback.cli.options import Env, Identifier, Json, MaybeEnv
from rollback.cli.runtime import verb
from rollback.util.errors import Code, UsageError
from rollback.views import documents, records


class HistoryKind(StrEnum):
    """The kinds that `history --kind` takes."""

    release = "release"
    aliases = "aliases"
    stack = "stack"
    terraform = "terraform"
    table = "table"
    cutover = "cutover"
    full = "full"
    drill = "drill"
    prune = "prune"


_KINDS = ", ".join(HistoryKind)


def history(
    env: Env,
    kind: Annotated[
        HistoryKind | None, typer.Option("--kind", metavar="KIND", help=f"Only these: {_KINDS}.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=10000, help="How many entries, newest first.")
    ] = 30,
    json: Json = False,
) -> None:
    """List releases, rollbacks and stack updates, newest first."""
    with verb(env, json, reads=True) as (opened, ui):
        entries = opened.history(limit, kind.value if kind else None)
        for notice in entries.notices:
            ui.notice(notice)
        view = records.history_view(entries.moments, entries.broken, kind.value if kind else "")
        ui.show(view, documents.history_document(entries))
        if entries.broken:
            raise entries.broken[0]


def show(identifier: Identifier, env: MaybeEnv = None, json: Json = False) -> None:
    """Show a rollback (plan, journal, next command), drill or stack update."""
    with verb(env, json, reads=True) as (opened, ui):
        moment = opened.moment(identifier)
        if moment is not None:
            ui.show(records.history_view([moment]), moment.document)
            return
        try:
            details = opened.show(identifier)
        except UsageError as error:
            rehearsed = opened.drill(identifier) if error.code is Code.UNKNOWN_ROLLBACK else None
            if rehearsed is None:
                raise
            from rollback.views import drill  # noqa: PLC0415 - of this alone

            ui.show(drill.one(rehearsed), drill.one_document(rehearsed))
            return
        ui.show(records.opened_view(details), documents.details_document(details))
