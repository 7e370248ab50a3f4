"""`rollback report`: what happened, as a page for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollback.cli import completion
from rollback.cli.options import Json, MaybeEnv
from rollback.cli.runtime import verb
from rollback.reports import page
from rollback.util.errors import Code, UsageError
from rollback.util.stdio import write_out
from rollback.views import markdown as as_markdown
from rollback.views import rich_layout

_STDOUT = "-"


def report(
    identifier: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            help="One rollback; default: the whole environment.",
            autocompletion=completion.records,
        ),
    ] = None,
    env: MaybeEnv = None,
    file: Annotated[
        str,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="The file to write; default: rollback-ENV.html here. - is standard output.",
        ),
    ] = "",
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Write one rollback as Markdown, for a job's summary.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many entries, newest first.")
    ] = 100,
    json: Json = False,
) -> None:
    """Write an HTML report of one rollback, or of the whole environment."""
    with verb(env, json, reads=True) as (opened, ui):
        if markdown and identifier is None:
            raise UsageError(
                "--markdown needs the ID of one rollback.",
                code=Code.OPTION_INVALID,
                next="rollback report ID --markdown",
            )
        if json and file == _STDOUT:
            raise UsageError(
                "JSON and --file - both write to standard output.",
                code=Code.OPTION_INVALID,
                next="--file FILE",
            )
        found = opened.report(identifier or "", limit)
        # An id may have been typed in short.
        name, one = next(iter(found.records.items())) if identifier else (opened.name, None)
        document = as_markdown.summary(one) if markdown and one else page.page(found)
        if file == _STDOUT or (markdown and not file and not json):
            write_out(document.removesuffix("\n"))
            return
        path = Path(file or f"rollback-{name}.{'md' if markdown else 'html'}")
        if path.exists() and not path.is_file():
            raise UsageError(
                f"Cannot write {path}: it is not a file.", code=Code.OUTPUT_UNWRITABLE, next="--file FILE"
            )
        try:
            path.write_text(document, encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"Cannot write {path}: {error.strerror}.",
                code=Code.OUTPUT_UNWRITABLE,
                next="--file FILE",
            ) from None
        ui.show(
            rich_layout.text(f"Written: {path}"),
            {
                "environment": opened.name,
                "path": str(path),
                "moments": len(found.moments) or 1,
            },
        )
