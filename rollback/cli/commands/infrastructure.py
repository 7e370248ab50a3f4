"""The verbs that put infrastructure back: `stack`, `terraform`, `table` and `full`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from rollback.cli import completion
from rollback.cli.runtime import DryRun, Env, Json, Reason, Release, Yes, preview_or_start, verb

if TYPE_CHECKING:
    from rollback.model.plan import Request

To = Annotated[str, typer.Option("--to", help="A commit, or previous.", autocompletion=completion.previous)]
AllowDestroy = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-destroy", metavar="NAME", help="Let this go, although it holds data or protection."
    ),
]
Except = Annotated[
    list[str] | None, typer.Option("--except", metavar="NAME", help="Leave this resource as it is.")
]


class Cutover(StrEnum):
    """What is done with a table that was restored."""

    none = "none"
    copy_back = "copy-back"
    parameter = "parameter"


def register(app: typer.Typer) -> None:
    """Adds the verbs to the command line."""
    app.command("stack")(stack)
    app.command("terraform")(terraform)
    app.command("table")(table)
    app.command("full")(full)


def stack(
    env: Env,
    reason: Reason = "",
    to: To = "previous",
    name: Annotated[str, typer.Option("--stack", help="Another stack than the environment's own.")] = "",
    project: Annotated[
        str, typer.Option("--project-dir", help="The program's folder in the repository.")
    ] = "",
    allow_destroy: AllowDestroy = None,
    without: Except = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Deploy a Pulumi stack as an earlier commit had it."""
    from rollback.model.plan import Request

    _do(
        "stack",
        env,
        Request(
            to=to,
            stack=name,
            project=project,
            allow_destroy=tuple(allow_destroy or ()),
            without=tuple(without or ()),
        ),
        reason,
        dry_run=dry_run,
        yes=yes,
        json=json,
    )


def terraform(
    env: Env,
    reason: Reason = "",
    to: To = "previous",
    allow_destroy: AllowDestroy = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Apply the Terraform configuration as an earlier commit had it."""
    from rollback.model.plan import Request

    request = Request(to=to, allow_destroy=tuple(allow_destroy or ()))
    _do("terraform", env, request, reason, dry_run=dry_run, yes=yes, json=json)


def table(
    env: Env,
    name: Annotated[str, typer.Option("--table", help="The table.", autocompletion=completion.tables)],
    to: Annotated[
        str, typer.Option("--to", help="A time, before:ROLLBACK, release:VERSION, or restored:ROLLBACK.")
    ],
    reason: Reason = "",
    cutover: Annotated[
        Cutover,
        typer.Option("--cutover", help="What to do with the table restored by --to restored:ROLLBACK."),
    ] = Cutover.none,
    delete_new: Annotated[
        bool, typer.Option("--delete-new", help="With copy-back: delete items that are newer, too.")
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Restore a table to a point in time, beside the live one; then, apart, cut over to it."""
    from rollback.core.errors import Code, UsageError
    from rollback.model.plan import Request
    from rollback.views.terminal import Terminal

    restored = to.startswith("restored:")
    if restored is (cutover is Cutover.none):
        error = UsageError(
            "--to restored:ROLLBACK and --cutover go together: a cutover is a second step, approved apart.",
            code=Code.OPTION_INVALID,
            next=f"rollback table --env {env} --table {name} --to TIME --reason …, and then what that says.",
        )
        Terminal(json_output=json).error(error)
        raise typer.Exit(error.exit_code)
    request = Request(to=to, table=name, cutover=cutover.value, delete_new=delete_new)
    _do("cutover" if restored else "table", env, request, reason, dry_run=dry_run, yes=False, json=json)


def full(
    env: Env,
    reason: Reason = "",
    to: Release = "previous",
    allow_destroy: AllowDestroy = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Put back aliases, then the stack and the Terraform configuration that a release was made with."""
    from rollback.model.plan import Request

    request = Request(to=to, allow_destroy=tuple(allow_destroy or ()))
    _do("full", env, request, reason, dry_run=dry_run, yes=yes, json=json)


def _do(kind: str, env: str, request: Request, reason: str, *, dry_run: bool, yes: bool, json: bool) -> None:
    with verb(env, json) as (session, flow, ui):
        preview_or_start(session, flow, ui, kind, request, reason, dry_run=dry_run, yes=yes, json=json)
