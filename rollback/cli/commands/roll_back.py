"""The verbs that roll back: `lambda`, `stack`, `terraform`, `table` and `full`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from rollback.cli import completion
from rollback.cli.emergency_options import (
    AlthoughAnswers,
    AlthoughQuarantined,
    Emergent,
    Options,
    Resume,
    Undo,
    only_in_an_emergency,
)
from rollback.cli.options import DryRun, Env, Json, Reason, Release, Services, Timeout, Wait, Yes, names_in
from rollback.cli.runtime import answering, preview_or_start, verb
from rollback.model.request import (
    CutoverRequest,
    FullRequest,
    Request,
    StackRequest,
    TableRequest,
    TerraformRequest,
)
from rollback.rooms import hooked
from rollback.util.errors import Code, UsageError
from rollback.util.stdio import write_out
from rollback.views import plan as plans

To = Annotated[
    str,
    typer.Option("--to", metavar="COMMIT", help="A commit, or previous.", autocompletion=completion.previous),
]
AllowDestroy = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-destroy",
        metavar="NAME",
        help="Allow deleting this resource, although it holds data or is protected; can be repeated.",
    ),
]
AllowBelow = Annotated[
    bool,
    typer.Option(
        "--allow-below",
        help="Go below a floor (--not-below), as an exception that another person approves.",
    ),
]
Except = Annotated[
    list[str] | None,
    typer.Option("--except", metavar="NAME", help="Leave this resource as it is; can be repeated."),
]


class CutoverChoice(StrEnum):
    """What to do with a restored table."""

    none = "none"
    copy_back = "copy-back"
    parameter = "parameter"


def lambda_(
    env: Env,
    reason: Reason = "",
    to: Release = "previous",
    services: Services = "all",
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--except",
            metavar="FUNCTION",
            help="Leave this function out; can be repeated.",
            autocompletion=completion.functions,
        ),
    ] = None,
    adopt_current: Annotated[
        bool,
        typer.Option("--adopt-current", help="Start from the current aliases, including unrecorded changes."),
    ] = False,
    allow_below: AllowBelow = False,
    dry_run: DryRun = False,
    as_shell: Annotated[
        bool, typer.Option("--as-shell", help="Print the plan as AWS CLI commands, without applying it.")
    ] = False,
    yes: Yes = False,
    in_emergency: Emergent = False,
    resume_file: Resume = None,
    undo_file: Undo = None,
    although_answers: AlthoughAnswers = False,
    although_quarantined: AlthoughQuarantined = False,
    wait: Wait = "",
    timeout: Timeout = "",
    json: Json = False,
) -> None:
    """Roll Lambda aliases back to an earlier release."""
    with verb(env, json, timeout, reads=dry_run or as_shell) as (opened, ui):
        options = Options(
            reason=reason,
            resume=resume_file,
            undo=undo_file,
            although_answers=although_answers,
            although_quarantined=although_quarantined,
            dry_run=dry_run,
        )
        request = opened.functions.request(
            to,
            services=names_in(services),
            without=without or (),
            adopt_current=adopt_current,
            allow_below=allow_below,
        )
        if in_emergency:
            for carry_out in hooked("emergency"):
                carry_out(opened, ui, request, options)
            return
        only_in_an_emergency(options)
        if as_shell:
            ui.plans_beside = True
            plan = opened.plan(request)
            plan.check()
            lines = plans.shell_lines(plan.details, opened.settings.alias)
            if json:
                ui.show("", {"environment": opened.name, "digest": plan.digest, "commands": lines})
            else:
                write_out("\n".join(lines))
            return
        preview_or_start(opened, ui, request, reason, dry_run=dry_run, yes=yes, wait=wait)


def stack(
    env: Env,
    reason: Reason = "",
    to: To = "previous",
    name: Annotated[
        str, typer.Option("--stack", metavar="STACK", help="A stack other than the environment's.")
    ] = "",
    project: Annotated[
        str, typer.Option("--project-dir", metavar="DIR", help="The program's folder in the repository.")
    ] = "",
    allow_destroy: AllowDestroy = None,
    allow_below: AllowBelow = False,
    without: Except = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Wait = "",
    timeout: Timeout = "",
    json: Json = False,
) -> None:
    """Roll a Pulumi stack back to an earlier commit."""
    _do(
        env,
        StackRequest(
            commit=to,
            stack=name,
            project=project,
            allow_destroy=tuple(allow_destroy or ()),
            allow_below=allow_below,
            without=tuple(without or ()),
        ),
        reason,
        dry_run=dry_run,
        yes=yes,
        wait=wait,
        timeout=timeout,
        json=json,
    )


def terraform(
    env: Env,
    reason: Reason = "",
    to: To = "previous",
    allow_destroy: AllowDestroy = None,
    allow_below: AllowBelow = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Wait = "",
    timeout: Timeout = "",
    json: Json = False,
) -> None:
    """Roll the Terraform configuration back to an earlier commit."""
    request = TerraformRequest(commit=to, allow_destroy=tuple(allow_destroy or ()), allow_below=allow_below)
    _do(env, request, reason, dry_run=dry_run, yes=yes, wait=wait, timeout=timeout, json=json)


def table(
    env: Env,
    name: Annotated[
        str, typer.Option("--table", metavar="TABLE", help="The table.", autocompletion=completion.tables)
    ],
    to: Annotated[
        str, typer.Option("--to", metavar="POINT", help="A time, before:ID, release:VERSION or restored:ID.")
    ],
    reason: Reason = "",
    cutover: Annotated[
        CutoverChoice,
        typer.Option("--cutover", help="What to do with the table restored by --to restored:ID."),
    ] = CutoverChoice.none,
    delete_new: Annotated[
        bool, typer.Option("--delete-new", help="With copy-back: also delete newer items.")
    ] = False,
    dry_run: DryRun = False,
    wait: Wait = "",
    timeout: Timeout = "",
    json: Json = False,
) -> None:
    """Restore a table to a point in time, beside the live one; a second step cuts over to it."""
    restored = to.startswith("restored:")
    if restored is (cutover is CutoverChoice.none):
        with answering(env, json):
            raise UsageError(
                "--to restored:ID and --cutover need each other: a cutover is a second step with an approval of its own.",
                code=Code.OPTION_INVALID,
                next=f'rollback table --env {env} --table {name} --to TIME --reason "…"  # restore first; its output has the next command',
            )
    request: Request = TableRequest(table=name, at=to)
    if restored:
        restore = to.removeprefix("restored:")
        request = CutoverRequest(table=name, restore=restore, cutover=cutover.value, delete_new=delete_new)
    _do(env, request, reason, dry_run=dry_run, yes=False, wait=wait, timeout=timeout, json=json)


def full(
    env: Env,
    reason: Reason = "",
    to: Release = "previous",
    allow_destroy: AllowDestroy = None,
    allow_below: AllowBelow = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Wait = "",
    timeout: Timeout = "",
    json: Json = False,
) -> None:
    """Roll back a whole release: aliases, then the stack, then the Terraform configuration."""
    request = FullRequest(release=to, allow_destroy=tuple(allow_destroy or ()), allow_below=allow_below)
    _do(env, request, reason, dry_run=dry_run, yes=yes, wait=wait, timeout=timeout, json=json)


def _do(
    env: str, request: Request, reason: str, *, dry_run: bool, yes: bool, wait: str, timeout: str, json: bool
) -> None:
    with verb(env, json, timeout, reads=dry_run) as (opened, ui):
        preview_or_start(opened, ui, request, reason, dry_run=dry_run, yes=yes, wait=wait)
