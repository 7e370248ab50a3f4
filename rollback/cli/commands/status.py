"""`rollback status` and `verify`: what is deployed, and whether it is healthy."""

from __future__ import annotations

from typing import Annotated

import typer

from rollback.cli.options import Env, Json, MaybeEnv
from rollback.cli.runtime import end, verb
from rollback.core.canonical import plain
from rollback.core.errors import Code, VerificationFailed
from rollback.views import documents, records, rich_layout


def status(
    env: Env,
    exact: Annotated[bool, typer.Option("--exact", help="Read weights, however many functions.")] = False,
    commit: Annotated[
        str | None,
        typer.Option("--commit", help="Only ask whether this commit may be deployed: exit 3 if not."),
    ] = None,
    json: Json = False,
) -> None:
    """What is deployed, what is in flight, and what to type next."""
    with verb(env, json) as (opened, ui):
        # An empty one is a pipeline's variable that nobody has set: it opens no gate.
        if commit is not None:
            sha = opened.may_deploy(commit)
            ui.show(
                rich_layout.text(f"Commit {sha[:12]} is not quarantined in {opened.name}."),
                {"environment": opened.name, "commit": sha, "quarantined": False},
            )
            return
        with ui.rewriting() as screen:
            # What is known within a second is shown, and rewritten once weights are read, too.
            view = opened.status(
                exact=exact, early=screen and (lambda view: screen(records.overview_view(view)))
            )
        ui.show(records.overview_view(view), documents.overview_document(view))


def verify(
    identifier: Annotated[str | None, typer.Argument(metavar="[ID]")] = None,
    env: MaybeEnv = None,
    json: Json = False,
) -> None:
    """Verify what is deployed; or, with an ID, a rollback whose verification failed."""
    with verb(env, json) as (opened, ui):
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
                "What is deployed did not verify.",
                code=Code.VERIFICATION_FAILED,
                changed="Nothing was changed.",
                next=f"rollback status --env {opened.name}",
            )
