"""`rollback ci …`: the steps of GitHub's workflows and of GitLab's jobs. Decides what one step passes to the next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rollback.ci import api as ci
from rollback.cli.options import Env, Identifier, Reason, names_in
from rollback.cli.runtime import end, verb
from rollback.config import settings as configured
from rollback.model import kind as kinds
from rollback.model import record as records
from rollback.model.request import StoredRequest, read
from rollback.util.errors import Code, RollbackError, UsageError
from rollback.util.stdio import write_out
from rollback.views import markdown, terminal


class WorkflowKind(StrEnum):
    """What a workflow rolls back."""

    lambda_ = "lambda"
    stack = "stack"
    terraform = "terraform"
    table = "table"
    full = "full"


class WorkflowRole(StrEnum):
    """The roles that jobs take."""

    deployer = "deployer"
    rollback = "rollback"
    approver = "approver"
    drill = "drill"


_ROLES = ", ".join(WorkflowRole)


def role(
    which: Annotated[WorkflowRole, typer.Argument(metavar="ROLE", help=f"The role to take: {_ROLES}.")],
    env: Env,
    minutes: Annotated[
        int, typer.Option("--minutes", metavar="N", min=1, help="How long the job may take.")
    ] = 60,
    person: Annotated[
        str,
        typer.Option(
            "--person",
            metavar="PERSON",
            help="The person named in the session; default: who started this attempt.",
        ),
    ] = "",
) -> None:
    """Select a job's role: as outputs for GitHub's next step, or as variables for a GitLab shell."""
    with _without_credentials(env) as settings:
        if for_the_shell := ci.take_role(settings, which.value, minutes, person):
            write_out(for_the_shell)


def plan(
    kind: Annotated[
        WorkflowKind, typer.Argument(metavar="KIND", help="lambda, stack, terraform, table or full.")
    ],
    env: Env,
    reason: Reason = "",
    to: Annotated[
        str, typer.Option("--to", metavar="TARGET", help="The target, as for --to of the command.")
    ] = "",
    services: Annotated[
        str, typer.Option("--services", metavar="SERVICES", help="all, or a list: a,b")
    ] = "all",
    table: Annotated[str, typer.Option("--table", metavar="TABLE", help="The table.")] = "",
    cutover: Annotated[str, typer.Option("--cutover", metavar="HOW", help="As --cutover of table.")] = "none",
    allow_destroy: Annotated[
        str,
        typer.Option(
            "--allow-destroy",
            metavar="NAMES",
            help="As --allow-destroy of that command: several with commas.",
        ),
    ] = "",
    allow_below: Annotated[
        str,
        typer.Option(
            "--allow-below",
            metavar="true|false",
            help="true: below a release that must not be rolled back past, too, once approved.",
        ),
    ] = "false",
    unreviewed: Annotated[
        str,
        typer.Option(
            "--unreviewed",
            metavar="true|false",
            help="true: confirm the plan now, where no other person has to approve.",
        ),
    ] = "false",
) -> None:
    """Plan a rollback and record it; a second attempt of the run uses the same record."""
    with verb(env, json=False) as (opened, ui):
        target = _target(kind, to)
        if allow_below == "true" and target in (kinds.Kind.TABLE, kinds.Kind.CUTOVER):
            raise UsageError("--allow-below is not for tables.", code=Code.OPTION_INVALID)
        found = ci.record_of_this_run(opened)
        if not found:
            asked = StoredRequest(
                to=to or "previous",
                services=names_in(services) if target is kinds.Kind.ALIASES else (),
                allow_destroy=tuple(name.strip() for name in allow_destroy.split(",") if name.strip()),
                table=table,
                cutover=cutover if target is kinds.Kind.CUTOVER else "none",
                allow_below=allow_below == "true",
            )
            request = read(target, asked)
            result = opened.roll_back(request, reason=reason, yes=unreviewed == "true", hold=True)
            if result.record is None:
                ci.hand_on(rollback_id="", digest="", approval="unneeded", minutes="1", seconds="1")
                ci.summarise("Nothing to do: everything is at the target already.")
                return
            found = result.rollback_id
        ui.notice(f"Record: {found}.")
        report = opened.report(found)
        record = report.records[found].record
        policy = opened.required_approval(record.kind, below=bool(record.below))
        unneeded = policy == "none" or (policy == "confirm" and unreviewed == "true")
        ci.hand_on(
            rollback_id=found,
            digest=record.digest,
            approval="unneeded" if unneeded else "needed",
            minutes=str(3 * record.rto_seconds // 60),
            # The command needs some of that to stop, and the job's other steps to begin.
            seconds=str(max(60, 3 * record.rto_seconds - 240)),
        )
        ci.summarise(markdown.summary(report.records[found]))


def reviewer(env: Env) -> None:
    """Output who reviewed this run, from GitHub or GitLab."""
    with _without_credentials(env) as settings:
        ci.hand_on(person=ci.reviewer(settings))


def apply(
    identifier: Identifier,
    env: Env,
    digest: Annotated[
        str, typer.Option("--digest", metavar="DIGEST", help="The digest of the plan that was reviewed.")
    ] = "",
) -> None:
    """Apply the run's plan; or resume it, if an earlier attempt was interrupted or failed."""
    with verb(env, json=False) as (opened, ui):
        status = opened.record(identifier).status
        if status not in records.UNFINISHED:
            ui.notice(f"{identifier} is already {status}.")
            return
        if status is records.Status.AWAITING_APPROVAL:
            end(ui, lambda: opened.apply(identifier, digest))
        else:
            end(ui, lambda: opened.resume(identifier))


def end_(
    identifier: Identifier,
    env: Env,
    approval: Annotated[
        str, typer.Option("--approval", metavar="RESULT", help="The result of the approval job.")
    ] = "",
) -> None:
    """Cancel a plan that was rejected or timed out, and write the result to the job's summary."""
    with verb(env, json=False) as (opened, _):
        waiting = opened.record(identifier).status is records.Status.AWAITING_APPROVAL
        if waiting and approval in ("failure", "cancelled"):
            opened.abort(identifier, "it was not approved")
        ci.summarise(markdown.summary(opened.report(identifier).records[identifier]))


@contextmanager
def _without_credentials(env: str) -> Iterator[configured.Settings]:
    """For a verb that needs no credentials: yields the settings, and turns errors into exit codes."""
    try:
        yield configured.load(configured.find_root(Path.cwd()), env)
    except RollbackError as error:
        terminal.Terminal(json_output=False).error(error)
        raise typer.Exit(error.exit_code) from None


def _target(kind: WorkflowKind, to: str) -> kinds.Kind:
    """The kind of rollback that a workflow asks for."""
    if kind is WorkflowKind.lambda_:
        return kinds.Kind.ALIASES
    if kind is WorkflowKind.table and to.startswith("restored:"):
        return kinds.Kind.CUTOVER
    return kinds.Kind(kind.value)
