"""`rollback status` and `verify`: what is deployed, and whether it is healthy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from rollback.cli import completion
from rollback.cli.options import Env, Json, MaybeEnv, Timeout
from rollback.cli.runtime import end, verb
from rollback.util.canonical import plain
from rollback.util.errors import Code, UsageError, VerificationFailed
from rollback.views import documents, live_status, records, rich_layout, terminal

# Seconds between two updates of --watch.
_EVERY = 2.0


def status(
    env: Env,
    exact: Annotated[
        bool, typer.Option("--exact", help="Read traffic weights, however many functions there are.")
    ] = False,
    commit: Annotated[
        str | None,
        typer.Option(
            "--commit",
            metavar="COMMIT",
            help="Only check whether this commit may be deployed: exit 3 if not.",
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            "-w",
            help="Refresh every 2 s until Ctrl-C; while a rollback runs, only the ledger is read.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Show what is deployed, what is running, and what to type next."""
    # Watching ends with Ctrl-C: as it is meant to, with exit 0.
    with verb(env, json, reads=not watch) as (opened, ui):
        if watch:
            if exact or commit is not None:
                raise UsageError(
                    "--watch cannot be combined with --exact or --commit.", code=Code.OPTION_INVALID
                )
            _follow(ui, opened.watching(_EVERY))
            return
        # An empty value is a pipeline's variable that is not set: the check must not pass for it.
        if commit is not None:
            sha = opened.may_deploy(commit)
            ui.show(
                rich_layout.text(f"Commit {sha[:12]} is not quarantined in {opened.name}."),
                {"environment": opened.name, "commit": sha, "quarantined": False},
            )
            return
        with ui.rewriting() as screen:
            # Shown without weights within a second, and rewritten once they are read.
            view = opened.status(
                exact=exact, early=screen and (lambda view: screen(records.overview_view(view)))
            )
        ui.show(records.overview_view(view), documents.overview_document(view))


def _follow(ui: terminal.Terminal, looks: Iterable[Any]) -> None:
    """On a terminal each update replaces the one before; elsewhere each change is a line, until the reader is gone."""
    last: Any = None
    with ui.filling() as screen:
        for seen in looks:
            if screen is not None:
                screen(live_status.LiveScreen(seen, _EVERY))
            elif not ui.lines(live_status.changes(last, seen), live_status.change_line):
                return
            last = seen
    if screen is not None and last is not None:
        ui.show(live_status.LiveScreen(last), {})


def verify(
    identifier: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            help="A rollback; without one, what is deployed.",
            autocompletion=completion.records,
        ),
    ] = None,
    env: MaybeEnv = None,
    timeout: Timeout = "",
    json: Json = False,
) -> None:
    """Verify what is deployed; with an ID, verify that rollback again."""
    with verb(env, json, timeout) as (opened, ui):
        if identifier is not None:
            end(ui, lambda: opened.verify_again(identifier))
            return
        verified = opened.verify()
        if not verified.ok:
            ui.output(verified.output)
        document = {
            "environment": opened.name,
            "verification": plain(verified.checks),
            **verified.traffic.document(),
        }
        ui.show(records.checks_view(verified.checks), document)
        if not verified.ok:
            raise VerificationFailed(
                "Verification of what is deployed failed.",
                code=Code.VERIFICATION_FAILED,
                changed="Nothing was changed.",
                next=f"rollback status --env {opened.name}",
            )
