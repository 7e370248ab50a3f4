"""`rollback ci …`: the steps of the workflows. What they hand on goes to GitHub's files, and is decided here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from rollback.cli.runtime import Env, Identifier, Reason, names_in, verb

if TYPE_CHECKING:
    from rollback.actions.context import Session
    from rollback.config.settings import Settings

ci_app = typer.Typer(no_args_is_help=True, help="What the workflows call, each a step of a job.")


class Kind(StrEnum):
    """What a workflow puts back."""

    lambda_ = "lambda"
    stack = "stack"
    terraform = "terraform"
    table = "table"
    full = "full"


class Role(StrEnum):
    """The roles that jobs take."""

    deployer = "deployer"
    rollback = "rollback"
    approver = "approver"
    drill = "drill"


@ci_app.command("role")
def role(which: Annotated[Role, typer.Argument(metavar="ROLE")], env: Env) -> None:
    """Hand on a role's ARN and the environment's region; asks nobody."""
    with _asking_nobody(env) as settings:
        from rollback.config.naming import arn
        from rollback.integrations import github_actions

        name = settings.names.role(which.value)
        github_actions.output(
            arn=arn("iam", settings.region, settings.account, f"role/{name}"), region=settings.region
        )


@ci_app.command("plan")
def plan(
    kind: Annotated[Kind, typer.Argument(metavar="KIND")],
    env: Env,
    reason: Reason = "",
    to: Annotated[str, typer.Option("--to")] = "",
    services: Annotated[str, typer.Option("--services")] = "all",
    table: Annotated[str, typer.Option("--table")] = "",
    cutover: Annotated[str, typer.Option("--cutover")] = "none",
    allow_destroy: Annotated[str, typer.Option("--allow-destroy")] = "",
    unreviewed: Annotated[str, typer.Option("--unreviewed")] = "false",
) -> None:
    """Plan, write it down, and hand on what it waits for; a second attempt of a run goes on with its record."""
    with verb(env, json=False) as (session, flow, ui):
        from rollback.integrations import github_actions
        from rollback.model.plan import Request
        from rollback.views.report import summary, told

        target = _target(kind, to)
        found = _of_this_run(session)
        if found is None:
            request = Request(
                to=to or "previous",
                services=names_in(services) if target == "aliases" else (),
                allow_destroy=tuple(name.strip() for name in allow_destroy.split(",") if name.strip()),
                table=table,
                cutover=cutover if target == "cutover" else "none",
            )
            finished = flow.start(target, request, reason, yes=unreviewed == "true", hold=True)
            if finished.record is None:
                github_actions.output(
                    rollback_id="", digest="", approval="unneeded", minutes="1", seconds="1"
                )
                github_actions.summarise("Nothing to do: everything stands as it would be put back already.")
                return
            found = finished.record.rollback_id
        ui.say(f"The record is {found}.")
        report = told(session, found)
        record = report.told[found].record
        policy = session.policy(record.kind)
        unneeded = policy == "none" or (policy == "confirm" and unreviewed == "true")
        github_actions.output(
            rollback_id=found,
            digest=record.digest,
            approval="unneeded" if unneeded else "needed",
            minutes=str(3 * record.rto_seconds // 60),
            # The command needs some of that to stop, and the job's other steps to begin.
            seconds=str(max(60, 3 * record.rto_seconds - 240)),
        )
        github_actions.summarise(summary(report.told[found]))


@ci_app.command("reviewer")
def reviewer(env: Env) -> None:
    """Hand on who has reviewed this run; asks GitHub alone."""
    with _asking_nobody(env) as settings:
        from rollback.config.naming import APPROVER
        from rollback.integrations import github_actions

        github_actions.output(person=github_actions.reviewer(settings.names.github_environment(APPROVER)))


@ci_app.command("apply")
def apply(identifier: Identifier, env: Env, digest: Annotated[str, typer.Option("--digest")] = "") -> None:
    """Carry out the run's plan; or go on, where an earlier attempt was interrupted or failed."""
    with verb(env, json=False) as (session, flow, ui):
        from rollback.cli.runtime import end
        from rollback.model.record import UNFINISHED, Status

        status = session.ledger.load(identifier).record.status
        if status not in UNFINISHED:
            ui.say(f"{identifier} is {status} already.")
            return
        end(
            session,
            ui,
            flow.apply(identifier, digest) if status is Status.AWAITING_APPROVAL else flow.resume(identifier),
        )


@ci_app.command("end")
def ended(
    identifier: Identifier,
    env: Env,
    approval: Annotated[str, typer.Option("--approval", help="How the approval's job ended.")] = "",
) -> None:
    """Give up what was rejected or ran out of time, and say in the job's summary how it stands."""
    with verb(env, json=False) as (session, flow, _):
        from rollback.integrations import github_actions
        from rollback.model.record import Status
        from rollback.views.report import summary, told

        waiting = session.ledger.load(identifier).record.status is Status.AWAITING_APPROVAL
        if waiting and approval in ("failure", "cancelled"):
            flow.abort(identifier, "it was not approved")
        github_actions.summarise(summary(told(session, identifier).told[identifier]))


@contextmanager
def _asking_nobody(env: str) -> Iterator[Settings]:
    """The surroundings of a verb that needs no credentials: the settings; errors become their exit codes."""
    from pathlib import Path

    from rollback.config import settings
    from rollback.core.errors import RollbackError
    from rollback.views.terminal import Terminal

    try:
        yield settings.load(settings.find_root(Path.cwd()), env)
    except RollbackError as error:
        Terminal(json_output=False).error(error)
        raise typer.Exit(error.exit_code) from None


def _target(kind: Kind, to: str) -> str:
    """The target that a workflow means."""
    if kind is Kind.lambda_:
        return "aliases"
    return "cutover" if kind is Kind.table and to.startswith("restored:") else kind.value


def _of_this_run(session: Session) -> str | None:
    """The unfinished record that an earlier attempt of this run has left, if there is one.

    The index may lag; then there is a second record of the same plan, of which one is aborted.
    """
    from rollback.integrations import github_actions
    from rollback.model.record import UNFINISHED, Record

    run = github_actions.this_run()
    for item in session.ledger.history(50):
        if isinstance(item, Record) and run and item.run == run and item.status in UNFINISHED:
            return item.rollback_id
    return None
