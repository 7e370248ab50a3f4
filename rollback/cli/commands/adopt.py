"""`rollback adopt`: what an account already has of what the program declares, and how the stack takes it over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollback.cli.runtime import Env, Json, verb

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rollback.actions.adoption.import_ids import Adoption


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("adopt")(adopt)


def adopt(
    env: Env,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="DIR", help="Write the import file, and Terraform's lines, to here."),
    ] = None,
    json: Json = False,
) -> None:
    """List what exists already of what the program declares, and how the stack adopts it; changes nothing."""
    with verb(env, json) as (session, flow, ui):
        from rollback.actions.adoption import discovery
        from rollback.actions.adoption.import_ids import refuse

        if write:
            discovery.checked(write)
        found = discovery.look(session, ui, flow.stop.is_set)
        nothing = not (found.adopted or found.replaced or found.held)
        refused = bool(found.replaced)
        files = (
            discovery.write(found, write, session.environment) if write and not (refused or nothing) else []
        )
        typed = [] if refused else discovery.commands(session, found, write)
        document = {
            "environment": session.environment,
            "account": session.settings.account,
            "status": "REFUSED" if refused else "NOTHING_TO_ADOPT" if nothing else "TO_ADOPT",
            "resources": [
                {
                    "urn": one.declared.urn,
                    "type": one.declared.type,
                    "id": one.declared.id,
                    "standing": one.standing,
                    "properties": one.properties,
                    "then": one.then,
                }
                for one in found.found
            ],
            "held_by_terraform": found.held,
            "files": [str(file) for file in files],
            "import": found.imports if found.adopted and not refused else {},
            "commands": typed,
        }
        ui.show(_view(found, session.settings.names.stem, nothing=nothing), document)
        refuse(found)
        for file in files:
            ui.say(f"Written: {file}")
        if files and write and session.root in write.resolve().parents:
            ui.say(f"Remove {write} before pulumi up: with it the checkout is not what its commit says.")
        ui.next("\n".join(typed))


def _view(found: Adoption, stem: str, *, nothing: bool) -> RenderableType:
    from collections import Counter

    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from rollback.actions.adoption.import_ids import Standing
    from rollback.views.rich_layout import text

    styles = {Standing.exists: "green", Standing.differs: "yellow", Standing.replaced: "bold red"}
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("type", "resource", "stands", "then"):
        table.add_column(name, overflow="fold", no_wrap=name in ("type", "stands"))
    for one in found.found:
        table.add_row(
            text(one.declared.word),
            text(one.declared.name.replace(stem, "…")),
            text(one.standing, styles.get(one.standing, "dim")),
            text(one.then),
        )
    counts = Counter(one.standing for one in found.found)
    parts: list[RenderableType] = []
    if counts:
        said = ", ".join(f"{standing}: {count}" for standing, count in sorted(counts.items()))
        parts = [table, Text(), text(f"{said}. … is {stem}.")]
    if nothing:
        parts.append(text(_nothing(found)))
    if found.held:
        parts.append(text("Terraform holds, and lets go of without destroying it:"))
        parts.extend(text(f"  {address}", "yellow") for address in found.held)
        parts.append(text("Take these blocks out of its configuration, too, or it makes them anew."))
    return Group(*parts)


def _nothing(found: Adoption) -> str:
    if found.found:
        return f"Nothing to adopt: none of these {len(found.found)} exists; pulumi up makes them."
    return "Nothing to adopt: the stack has everything that the program declares."
