"""Where the console script `rollback` begins: little is imported before Ctrl-C has an answer."""

from __future__ import annotations

from rollback.cli import interrupts


def main() -> None:
    """Runs the command line; see `rollback.cli.app.main`."""
    interrupts.before_it_begins()
    from rollback.cli import app  # noqa: PLC0415 - as above

    app.main()
