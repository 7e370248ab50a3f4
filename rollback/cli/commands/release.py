"""`rollback release …`: what was released, and what must not come back."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rollback.cli.runtime import Commit, Env, Json, Reason, Services, Version, names_in, verb

release_app = typer.Typer(
    no_args_is_help=True, help="Records what was released, and what must not come back."
)


@release_app.command("record")
def release_record(
    env: Env,
    version: Version,
    commit: Commit,
    terraform_commit: Annotated[str | None, typer.Option("--terraform-commit")] = None,
    json: Json = False,
) -> None:
    """Record what every alias stands at, after a deployment."""
    _record(env, version, commit, terraform_commit, json=json, adopting=False)


@release_app.command("adopt")
def release_adopt(
    env: Env,
    version: Version,
    commit: Annotated[str, typer.Option("--commit", help="The commit it was made from, if known.")] = "",
    terraform_commit: Annotated[str | None, typer.Option("--terraform-commit")] = None,
    json: Json = False,
) -> None:
    """Make a release of the published versions whose description is exactly the version."""
    _record(env, version, commit, terraform_commit, json=json, adopting=True)


@release_app.command("list")
def release_list(env: Env, json: Json = False) -> None:
    """The recorded releases, newest first, and what stands where."""
    with verb(env, json, reading=True) as (session, _, ui):
        from rollback.views.records import releases_view

        timeline = session.ledger.timeline()
        bars = session.ledger.quarantines()
        seen: set[str] = set()
        rows: list[dict[str, Any]] = []
        for entry in timeline:
            if entry.is_release and entry.version not in seen:
                seen.add(entry.version)
                stands = [name for name, version in timeline.stands.items() if version == entry.version]
                rows.append(
                    {
                        "seq": entry.seq,
                        "version": entry.version,
                        "at": entry.at,
                        "by": str(entry.by),
                        "commit": entry.commit,
                        "services": [name for name in entry.services if not name.startswith("@")],
                        "stands_for": stands,
                        "quarantined_for": [bar.service for bar in bars if bar.version == entry.version],
                    }
                )
        ui.show(releases_view(rows), rows)


@release_app.command("quarantine")
def release_quarantine(
    version: Annotated[str, typer.Argument()],
    env: Env,
    reason: Reason,
    services: Services = "all",
    json: Json = False,
) -> None:
    """Bar a release: no rollback goes to it until it is lifted."""
    with verb(env, json) as (session, _, ui):
        from rollback.actions.quarantine import quarantine
        from rollback.views.rich_layout import text

        chosen = quarantine(session, version, names_in(services), reason)
        ui.show(
            text(f"{version} is quarantined for {', '.join(chosen)}."),
            {"version": version, "services": chosen},
        )


@release_app.command("lift")
def release_lift(
    version: Annotated[str, typer.Argument()],
    env: Env,
    reason: Reason,
    services: Services = "all",
    json: Json = False,
) -> None:
    """Let a quarantined release come back."""
    with verb(env, json) as (session, _, ui):
        from rollback.actions.quarantine import lift
        from rollback.views.rich_layout import text

        chosen = lift(session, version, names_in(services), reason)
        ui.show(
            text(f"{version} is free again for {', '.join(chosen)}."),
            {"version": version, "services": chosen},
        )


def _record(
    env: str, version: str, commit: str, terraform: str | None, *, json: bool, adopting: bool
) -> None:
    with verb(env, json) as (session, _, ui):
        from rollback.actions.record_release import adopt, commits_for, record
        from rollback.core.canonical import plain
        from rollback.views.rich_layout import text

        commits, notices = commits_for(session, commit, terraform)
        recorded = (adopt if adopting else record)(session, version, commits, ui)
        for notice in (*notices, *recorded.notices):
            ui.say(notice)
        what = "Recorded" if recorded.new else "Known already:"
        document = {key: value for key, value in plain(recorded.release).items() if key != "manifest"}
        ui.show(
            text(
                f"{what} {version}: {recorded.release.functions} functions at commit "
                f"{recorded.release.commit[:12] or 'unknown'}. {session.environment} stands at {recorded.stands}."
            ),
            {**document, "stands": recorded.stands, "new": recorded.new},
        )
