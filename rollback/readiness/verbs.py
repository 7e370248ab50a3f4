"""`rollback can`: whether a change could be rolled back. Nothing is changed, and no lease is taken."""

from __future__ import annotations

from typing import Annotated

import typer

from rollback.cli.options import Env, Json
from rollback.cli.runtime import verb
from rollback.readiness import view as reversibility
from rollback.util.errors import Code, Refused, UsageError
from rollback.util.stdio import write_out


def can(
    env: Env,
    commit: Annotated[
        str,
        typer.Option(
            "--commit",
            metavar="COMMIT",
            help="The commit to deploy; default: the one that is checked out.",
        ),
    ] = "HEAD",
    github: Annotated[
        bool, typer.Option("--github", help="Also require that GitHub lists the required reviewers.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As Markdown, for a job's summary or a pull request.")
    ] = False,
    json: Json = False,
) -> None:
    """Check whether a release could be rolled back: exit 0, or 3 with each reason."""
    with verb(env, json, reads=True) as (opened, ui):
        if markdown and json:
            raise UsageError(
                "--markdown and JSON both write to standard output.",
                code=Code.OPTION_INVALID,
                next="Remove one of the two.",
            )
        verdict = opened.can(commit, github=github)
        if markdown:
            write_out(reversibility.markdown(verdict).removesuffix("\n"))
        else:
            ui.show(reversibility.view(verdict), reversibility.document(verdict))
        if not verdict.reversible:
            raise Refused(
                verdict.sentence,
                code=Code.NOT_REVERSIBLE,
                next=f"rollback can --env {opened.name}  # after fixing that",
            )
