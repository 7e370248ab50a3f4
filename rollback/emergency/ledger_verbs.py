"""`rollback ledger …`: the ledger after an emergency or a restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollback.cli.options import Env, Json, Reason
from rollback.cli.runtime import verb
from rollback.util.canonical import plain
from rollback.views import documents, records, rich_layout


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An emergency's journal.")],
    env: Env,
    although_moved: Annotated[
        bool,
        typer.Option("--although-moved", help="Import it even if aliases were changed since."),
    ] = False,
    json: Json = False,
) -> None:
    """Import the journal of an emergency, once the ledger is available again."""
    with verb(env, json) as (opened, ui):
        adopted = opened.ledger.import_journal(file, although_moved=although_moved)
        seen = adopted.seen
        ui.notice(
            f"{'Imported' if adopted.new else 'Already imported:'} {seen.record.rollback_id}; {opened.name} is "
            f"at {adopted.deployed}."
        )
        ui.show(
            records.record_view(seen), {**documents.record_document(seen, adopted.outcomes), "imported": True}
        )
        ui.next(adopted.next)


def mend(env: Env, reason: Reason = "", json: Json = False) -> None:
    """Restore from the archive the entries that a restored or new table lacks."""
    with verb(env, json) as (opened, ui):
        repaired = opened.ledger.mend(reason)
        document = {"environment": opened.name, **plain(repaired)}
        if not repaired.entries:
            ui.show(
                rich_layout.text("Nothing to restore: the ledger has every entry of the archive."),
                document,
            )
            return
        ui.show(
            rich_layout.text(
                f"Restored: {repaired.entries} entries of the timeline, {len(repaired.releases)} releases "
                f"({', '.join(repaired.releases) or 'none'})."
            ),
            document,
        )
        if repaired.lost:
            ui.notice(f"Records that could not be restored: {', '.join(repaired.lost[:20])}.")
        ui.next(
            f"pulumi up --stack {opened.settings.names.foundation_stack}  # protects the table again\n"
            f"rollback status --env {opened.name}\n"
            f'rollback lambda --env {opened.name} --adopt-current --to V --reason "…"  # the next rollback, if a lost record moved aliases'
        )
