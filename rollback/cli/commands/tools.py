"""`rollback tools`: the programs that this command drives."""

from __future__ import annotations

from rollback.cli.options import Json
from rollback.cli.runtime import answering
from rollback.integrations.pulumi import installation
from rollback.views import rich_layout


def install(json: Json = False) -> None:
    """Install the Pulumi engine, by Pulumi's own installer, for this command alone."""
    with answering(None, json) as ui:
        ui.start(f"Installing Pulumi {installation.pinned()}", 0)
        try:
            program = installation.install()
        finally:
            ui.finish()
        document = {"pulumi": {"version": installation.pinned(), "path": str(program)}}
        ui.show(rich_layout.text(f"Pulumi {installation.pinned()} is at {program}."), document)
