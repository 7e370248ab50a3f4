"""`rollback tools`: the programs that this command runs."""

from __future__ import annotations

from rollback.cli.options import Json
from rollback.cli.runtime import answering
from rollback.setup import engine
from rollback.views import rich_layout


def install(json: Json = False) -> None:
    """Install the Pulumi engine with Pulumi's official installer, for this command only."""
    with answering(None, json) as ui:
        ui.start(f"Installing Pulumi {engine.wanted()}", 0)
        try:
            program = engine.install()
        finally:
            ui.finish()
        document = {"pulumi": {"version": engine.wanted(), "path": str(program)}}
        ui.show(rich_layout.text(f"Pulumi {engine.wanted()} is installed: {program}."), document)
