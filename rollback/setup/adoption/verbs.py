"""`rollback adopt`: the declared resources that an account already has, and how the stack imports them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollback.cli.options import Env, Json
from rollback.cli.runtime import verb
from rollback.setup.adoption import view as adoption
from rollback.views import json_output


def adopt(
    env: Env,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write", metavar="DIR", help="The folder for the import file and the lines for Terraform."
        ),
    ] = None,
    foundation: Annotated[
        bool,
        typer.Option("--foundation", help="Adopt what an administrator declares: ledger, archive, roles."),
    ] = False,
    json: Json = False,
) -> None:
    """List declared resources that already exist, and how to import them into the stack; changes nothing."""
    with verb(env, json, reads=True) as (opened, ui):
        adopting = opened.adoption
        if write:
            adopting.check_folder(write)
        found = adopting.find(foundation=foundation)
        nothing = not (found.adopted or found.replaced or found.held)
        refused = bool(found.replaced)
        files = adopting.write(found, write) if write and not (refused or nothing) else ()
        typed = () if refused else adopting.commands(found, write, foundation=foundation)
        document = {
            "environment": opened.name,
            "account": opened.settings.account,
            "status": "REFUSED" if refused else "NOTHING_TO_ADOPT" if nothing else "TO_ADOPT",
            "resources": adoption.resources(found),
            "held_by_terraform": found.held,
            "files": [str(file) for file in files],
            "import": found.imports if found.adopted and not refused else {},
            "next": json_output.typed(typed),
            "commands": list(typed),
        }
        ui.show(adoption.view(found, opened.settings.names.stem, nothing=nothing), document)
        adopting.check(found)
        for file in files:
            ui.notice(f"Written: {file}")
        if files and write and opened.root in write.resolve().parents:
            ui.notice(f"Remove {write} before pulumi up: with it, the checkout differs from its commit.")
        ui.next("\n".join(typed))
