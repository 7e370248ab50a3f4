"""`rollback status` and `verify`: what is deployed, and whether it is healthy."""

from __future__ import annotations

from typing import Annotated

import typer

from rollback.actions import context, freeze, quarantine, record_release, smoke_test
from rollback.actions import status as statuses
from rollback.cli.options import Env, Json, MaybeEnv
from rollback.cli.runtime import end, verb
from rollback.core.canonical import plain
from rollback.core.errors import Code, Refused, VerificationFailed
from rollback.views import records, rich_layout, terminal


def status(
    env: Env,
    exact: Annotated[bool, typer.Option("--exact", help="Read weights, however many functions.")] = False,
    commit: Annotated[
        str, typer.Option("--commit", help="Only ask whether this commit may be deployed: exit 3 if not.")
    ] = "",
    json: Json = False,
) -> None:
    """What stands, what is in flight, and what to type next."""
    with verb(env, json, reading=True) as (session, _, ui):
        if commit:
            _may_be_deployed(session, ui, commit)
            return
        view = statuses.overview(session, exact=exact)
        ui.show(records.overview_view(view), records.overview_document(view))


def _may_be_deployed(session: context.Session, ui: terminal.Terminal, commit: str) -> None:
    freeze.respected(session)
    sha = record_release.checked_commit(session.root, commit)
    if covering := quarantine.covering(session, sha):
        lifting = "\n".join(quarantine.lifting(covering, session.environment))
        raise Refused(
            f"Commit {sha[:12]} is quarantined in {session.environment}: {quarantine.why(covering)}.",
            code=Code.QUARANTINED,
            next=f"Deploy a commit that mends it; or lift it:\n{lifting}",
        )
    ui.show(
        rich_layout.text(f"Commit {sha[:12]} is not quarantined in {session.environment}."),
        {"commit": sha, "quarantined": False},
    )


def verify(
    identifier: Annotated[str | None, typer.Argument(metavar="[ID]")] = None,
    env: MaybeEnv = None,
    json: Json = False,
) -> None:
    """Verify what stands; or, with an ID, a rollback whose verification failed."""
    with verb(env, json, first=identifier is not None, reading=identifier is None) as (session, flow, ui):
        if identifier is not None:
            end(session, ui, flow.verify(identifier))
            return
        checks = statuses.check(session)
        proved = smoke_test.smoke(session.settings, session.root)
        if proved is not None:
            checks.append(proved[0])
            if not proved[0].ok:
                ui.output(proved[1])
        ui.show(records.checks_view(checks), {"verification": plain(checks)})
        if not all(item.ok for item in checks):
            raise VerificationFailed(
                "What stands did not verify.",
                code=Code.VERIFICATION_FAILED,
                changed="Nothing was changed.",
                next=f"rollback status --env {session.environment}",
            )
