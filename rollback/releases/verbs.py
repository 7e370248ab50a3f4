"""`rollback release …` and `diff`: records, lists, adopts, compares and quarantines releases."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rollback.api import environment
from rollback.cli import completion
from rollback.cli.options import Commit, Env, Json, Reason, Services, Version, minutes_if, names_in
from rollback.cli.runtime import verb
from rollback.releases import api as releases
from rollback.releases import lists, view
from rollback.util.errors import RollbackError
from rollback.util.times import shown_time
from rollback.views import documents, json_output, rich_layout, terminal

Named = Annotated[
    str, typer.Argument(metavar="VERSION", help="The release.", autocompletion=completion.releases)
]


def record(
    env: Env,
    version: Version,
    commit: Commit,
    terraform_commit: Annotated[
        str | None,
        typer.Option("--terraform-commit", metavar="COMMIT", help="The commit that Terraform has applied."),
    ] = None,
    not_below: Annotated[
        str,
        typer.Option(
            "--not-below",
            metavar="VERSION",
            help="From now on no rollback goes to an older release than this, for example after a migration.",
        ),
    ] = "",
    standby: Annotated[
        str,
        typer.Option(
            "--standby",
            metavar="TIME",
            help="Also prepare a standby that can be taken for this long: 45m, 2h or 1h30m.",
        ),
    ] = "",
    from_stack: Annotated[
        list[str] | None,
        typer.Option(
            "--from-stack",
            metavar="NAME",
            help="Record only what this CloudFormation stack has deployed; can be repeated.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Record what is deployed as a release, after a deployment."""
    with verb(env, json) as (opened, ui):
        minutes = minutes_if(standby, "--standby")
        recorded = opened.releases.record(
            version,
            commit=commit,
            terraform_commit=terraform_commit or "",
            not_below=not_below,
            from_stacks=from_stack or (),
        )
        _recorded(opened, ui, recorded, _prepared(opened, ui, version, minutes) if minutes else None)


def _prepared(
    opened: environment.Environment, ui: terminal.Terminal, version: str, minutes: int
) -> dict[str, Any]:
    """Prepares a standby for a release that was just recorded, for `--json`. A failure is a notice: the release is recorded."""
    try:
        result = opened.standby.prepare(minutes=minutes, release=version)
    except RollbackError as error:
        ui.notice(f"{version} is recorded, but without a standby: {error.what}")
        return {
            "error": json_output.error_document(error),
            "code": str(error.code),
            "message": error.what,
        }
    if result.seen is None:
        ui.notice(f"No standby for {version}: it changes nothing that could be rolled back.")
        return {"status": result.status}
    until = f"{result.rollback_id} is on standby until {shown_time(result.seen.record.standby_until)}."
    ui.notice(result.waiting.what if result.waiting else until)
    ui.next(result.waiting.next if result.waiting else "\n".join(result.next))
    return documents.record_document(result.seen, result.outcomes)


def adopt(
    env: Env,
    version: Version,
    commit: Annotated[
        str, typer.Option("--commit", metavar="COMMIT", help="The commit it was built from, if known.")
    ] = "",
    terraform_commit: Annotated[
        str | None,
        typer.Option("--terraform-commit", metavar="COMMIT", help="The commit that Terraform has applied."),
    ] = None,
    json: Json = False,
) -> None:
    """Make a release of published versions whose description is exactly the release's name."""
    with verb(env, json) as (opened, ui):
        _recorded(
            opened,
            ui,
            opened.releases.adopt(version, commit=commit, terraform_commit=terraform_commit or ""),
        )


def list_(
    env: Env,
    everything: Annotated[
        bool, typer.Option("--all", help="Include quarantined releases of drills.")
    ] = False,
    json: Json = False,
) -> None:
    """List the recorded releases, newest first."""
    with verb(env, json, reads=True) as (opened, ui):
        found = opened.releases.list()
        ui.show(
            lists.releases_view(found, everything=everything),
            [lists.listed_document(row) for row in found],
        )


def quarantine(
    version: Named, env: Env, reason: Reason, services: Services = "all", json: Json = False
) -> None:
    """Quarantine a release: no rollback goes to it until the quarantine is lifted."""
    _quarantine(version, env, services, reason, json=json, lifting=False)


def lift(version: Named, env: Env, reason: Reason, services: Services = "all", json: Json = False) -> None:
    """Lift the quarantine of a release."""
    _quarantine(version, env, services, reason, json=json, lifting=True)


def _quarantine(version: str, env: str, services: str, reason: str, *, json: bool, lifting: bool) -> None:
    with verb(env, json) as (opened, ui):
        change, state = (
            (opened.releases.lift, "released from quarantine")
            if lifting
            else (opened.releases.quarantine, "quarantined")
        )
        chosen = change(version, reason=reason, services=names_in(services))
        ui.show(
            rich_layout.text(f"{version} is {state} for {', '.join(chosen)}."),
            {
                "environment": opened.name,
                "version": version,
                "services": list(chosen),
                "quarantined": not lifting,
                "reason": reason,
            },
        )


def _recorded(
    opened: environment.Environment,
    ui: terminal.Terminal,
    recorded: releases.Recorded,
    standby: dict[str, Any] | None = None,
) -> None:
    ui.show(
        lists.recorded_view(opened.name, recorded),
        {
            **lists.recorded_document(recorded),
            **({} if standby is None else {"standby": standby}),
        },
    )


def diff(
    env: Env,
    before: Annotated[
        str,
        typer.Argument(
            metavar="[A]",
            help="A release, or previous, recorded (in the ledger) or deployed.",
            show_default=True,
            autocompletion=completion.sides,
        ),
    ] = "previous",
    after: Annotated[
        str,
        typer.Argument(metavar="[B]", help="The same.", autocompletion=completion.sides),
    ] = "deployed",
    json: Json = False,
) -> None:
    """Show what changed between two releases, or since the previous one."""
    with verb(env, json, reads=True) as (opened, ui):
        found = opened.diff(before, after)
        ui.show(view.view(found), view.document(found))
        if found.resources and not json:
            ui.next("\n".join(f"{command}  # which resources differ" for command in found.resources))
