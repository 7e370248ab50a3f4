"""The console script `rollback`: verbs, options and exit codes. What they do is in the other modules.

Everything heavy is imported by the verb that needs it, so that `--help` is there at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollback.errors import RollbackError, UsageError

if TYPE_CHECKING:
    from types import FrameType

    from rollback.display import Terminal
    from rollback.flow import Finished, Flow
    from rollback.session import Session

app = typer.Typer(
    name="rollback",
    help="Puts a bad release back: planned, approved, verified and recorded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
release_app = typer.Typer(
    no_args_is_help=True, help="Records what was released, and what must not come back."
)
app.add_typer(release_app, name="release")

Env = Annotated[str, typer.Option("--env", "-e", help="Environment: dev, sit, prod.")]
MaybeEnv = Annotated[
    str | None, typer.Option("--env", "-e", help="Environment; default: the one whose account is yours.")
]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why, in one line.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Identifier = Annotated[str, typer.Argument(metavar="ID", help="A rollback's id.")]
Services = Annotated[str, typer.Option("--services", "-s", help="all, or some: a,b")]
Version = Annotated[str, typer.Option("--version", help="The release's version, e.g. v1.2.0.")]
Commit = Annotated[str, typer.Option("--commit", help="The commit that was deployed.")]


class Kind(StrEnum):
    """Kinds of records that `history` can be narrowed to."""

    release = "release"
    aliases = "aliases"


@app.command("lambda")
def lambda_(
    env: Env,
    reason: Reason = "",
    to: Annotated[str, typer.Option("--to", help="A release, or previous.")] = "previous",
    services: Services = "all",
    without: Annotated[
        list[str] | None, typer.Option("--except", metavar="FUNCTION", help="Leave this function out.")
    ] = None,
    adopt_current: Annotated[
        bool,
        typer.Option(
            "--adopt-current", help="Start from where aliases stand, also where somebody moved them."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and end there.")
    ] = False,
    as_shell: Annotated[
        bool, typer.Option("--as-shell", help="Print the plan as AWS CLI commands, and end there.")
    ] = False,
    yes: Annotated[  # noqa: ARG001 - aliases are approved by another person or by nobody
        bool, typer.Option("--yes", "-y", help="Confirm the plan (dev; never another's approval).")
    ] = False,
    json: Json = False,
) -> None:
    """Put Lambda aliases back to an earlier release."""
    with _verb(env, json) as (session, flow, ui):
        from rollback.flow import checked_reason
        from rollback.plan import Request

        request = Request(
            to=to,
            services=_names(services),
            without=tuple(_function(session, name) for name in without or ()),
            adopt_current=adopt_current,
        )
        if dry_run or as_shell:
            plan = flow.preview("aliases", request)
            if as_shell:
                from rollback.display import shell_lines

                print("\n".join(shell_lines(plan, session.settings.alias)))  # noqa: T201 - the document
            elif json:
                from rollback.canonical import plain

                ui.show("", {"digest": plan.digest(), **plain(plan)})
            return
        checked_reason(reason)
        _end(session, ui, flow.start("aliases", request, reason))


@app.command()
def approve(
    identifier: Identifier,
    digest: Annotated[str, typer.Option("--digest", help="The plan's digest, as you read it.")],
    env: MaybeEnv = None,
    json: Json = False,
) -> None:
    """Say yes to exactly one plan, as another person under the approver role."""
    with _verb(env, json) as (session, flow, ui):
        opened = flow.approve(identifier, digest)
        ui.planned(opened.plan(session.target(opened.record.kind).step))
        from rollback.display import text

        document = {"rollback_id": identifier, "digest": opened.record.digest, "approved_by": _who(session)}
        ui.show(
            text(
                f"Approved by {session.caller}. Next: rollback apply {identifier} --env {session.environment}"
            ),
            document,
        )


@app.command()
def apply(identifier: Identifier, env: MaybeEnv = None, json: Json = False) -> None:
    """Carry out an approved plan."""
    with _verb(env, json) as (session, flow, ui):
        _end(session, ui, flow.apply(identifier))


@app.command()
def resume(identifier: Identifier, env: MaybeEnv = None, json: Json = False) -> None:
    """Finish what was interrupted, from any machine."""
    with _verb(env, json) as (session, flow, ui):
        _end(session, ui, flow.resume(identifier))


@app.command()
def abort(identifier: Identifier, env: MaybeEnv = None, reason: Reason = "", json: Json = False) -> None:
    """Give up a plan, or undo what an unfinished run has done."""
    with _verb(env, json) as (session, flow, ui):
        _end(session, ui, flow.abort(identifier, reason))


@app.command()
def verify(
    identifier: Annotated[str | None, typer.Argument(metavar="[ID]")] = None,
    env: MaybeEnv = None,
    json: Json = False,
) -> None:
    """Verify what stands; or, with an ID, a rollback whose verification failed."""
    with _verb(env, json) as (session, flow, ui):
        if identifier is not None:
            _end(session, ui, flow.verify(identifier))
            return
        from rollback.canonical import plain
        from rollback.display import text
        from rollback.errors import VerificationFailed
        from rollback.overview import check
        from rollback.verify import smoke

        checks = [check(session)]
        proved = smoke(session.settings, session.root)
        if proved is not None:
            checks.append(proved[0])
            if not proved[0].ok:
                ui.output(proved[1])
        lines = "\n".join(f"{'✓' if item.ok else '✗'} {item.check}: {item.detail}" for item in checks)
        ui.show(text(lines), {"verification": plain(checks)})
        if not all(item.ok for item in checks):
            raise VerificationFailed(
                "What stands did not verify.",
                changed="Nothing was changed.",
                next=f"rollback status --env {session.environment}",
            )


@app.command()
def status(
    env: Env,
    exact: Annotated[bool, typer.Option("--exact", help="Read weights, however many functions.")] = False,
    json: Json = False,
) -> None:
    """What stands, what is in flight, and what to type next."""
    with _verb(env, json) as (session, _, ui):
        from rollback.canonical import plain
        from rollback.display import overview_view
        from rollback.overview import overview

        view = overview(session, exact=exact)
        ui.show(overview_view(view), plain(view))


@app.command()
def history(
    env: Env,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Only these.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10000)] = 30,
    json: Json = False,
) -> None:
    """Releases and rollbacks, newest first."""
    with _verb(env, json) as (session, _, ui):
        from rollback.canonical import plain
        from rollback.display import history_view
        from rollback.records import Record, plain_record
        from rollback.releases import Release

        items = [
            item
            for item in session.ledger.history(limit)
            if kind is None
            or (kind is Kind.release and isinstance(item, Release))
            or (isinstance(item, Record) and item.kind == kind.value)
        ]
        broken = [item for item in items if isinstance(item, RollbackError)]
        document = [
            {"malformed": item.what}
            if isinstance(item, RollbackError)
            else plain_record(item)
            if isinstance(item, Record)
            else {key: value for key, value in plain(item).items() if key != "manifest"}
            for item in items
        ]
        ui.show(history_view(items), document)
        if broken:
            raise broken[0]


@app.command()
def show(identifier: Identifier, env: MaybeEnv = None, json: Json = False) -> None:
    """One rollback: its plan, its journal, and what to type next."""
    with _verb(env, json) as (session, _, ui):
        from rich.console import Group

        from rollback.canonical import plain
        from rollback.display import plan_view, record_document, record_view, text
        from rollback.flow import next_for
        from rollback.records import UNFINISHED, chain_break

        opened = session.ledger.load(identifier)
        target = session.target(opened.record.kind)
        plan = opened.plan(target.step)
        document = record_document(opened.record, target.outcomes(plan, opened.events))
        broken = chain_break(opened.record, opened.events)
        parts = [plan_view(plan), record_view(opened.record, opened.events)]
        if broken:
            parts.append(text(f"The journal was tampered with: {broken}.", "bold red"))
        if opened.record.status in UNFINISHED:
            parts.append(text(f"next: {next_for(opened.record)}", "cyan"))
        ui.show(Group(*parts), {**document, "events": plain(opened.events), "chain": broken or "whole"})


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
    with _verb(env, json) as (session, _, ui):
        from rollback.display import releases_view

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
                        "services": list(entry.services),
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
    with _verb(env, json) as (session, _, ui):
        from rollback.display import text
        from rollback.recording import quarantine

        chosen = quarantine(session, version, _names(services), reason)
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
    with _verb(env, json) as (session, _, ui):
        from rollback.display import text
        from rollback.recording import lift

        chosen = lift(session, version, _names(services), reason)
        ui.show(
            text(f"{version} is free again for {', '.join(chosen)}."),
            {"version": version, "services": chosen},
        )


def main() -> None:
    """Runs the command line; the exit codes are README's."""
    app()


# -- helpers -------------------------------------------------------------------------------------------------


@contextmanager
def _verb(env: str | None, json: bool) -> Iterator[tuple[Session, Flow, Terminal]]:  # noqa: FBT001 - typer's
    """A verb's surroundings: session, flow and terminal; errors become their exit codes."""
    from rollback.display import Terminal

    ui = Terminal(json_output=json)
    stop = threading.Event()
    try:
        with _graceful(stop, ui):
            from rollback.flow import Flow
            from rollback.session import begin

            session = begin(env)
            yield session, Flow(session=session, ui=ui, stop=stop), ui
    except RollbackError as error:
        ui.error(error)
        raise typer.Exit(error.exit_code) from None


@contextmanager
def _graceful(stop: threading.Event, ui: Terminal) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM asks to stop after what is under way; the second ends at once."""

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal module's
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        ui.say("Stopping after what is under way; once more ends at once.")

    before: dict[int, Any] = {
        number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(session: Session, ui: Terminal, finished: Finished) -> None:
    """Shows how a verb ended and raises what sets its exit code."""
    from rollback.display import record_document, record_view, text

    if finished.record is None or finished.plan is None:
        ui.show(
            text("Nothing to do: everything stands there already.") if finished.plan else "",
            {"status": "NOTHING_TO_DO"},
        )
        return
    target = session.target(finished.plan.kind)
    document = record_document(finished.record, target.outcomes(finished.plan, finished.events))
    ui.show(record_view(finished.record), document)
    if finished.error is not None:
        raise finished.error


def _record(
    env: str, version: str, commit: str, terraform: str | None, *, json: bool, adopting: bool
) -> None:
    with _verb(env, json) as (session, _, ui):
        from rollback.canonical import plain
        from rollback.display import text
        from rollback.recording import adopt, commits_for, record

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


def _names(services: str) -> tuple[str, ...]:
    """`all` or a list with commas; empty for all."""
    names = tuple(name.strip() for name in services.split(",") if name.strip())
    if not names:
        raise UsageError("--services names none.", next="--services all, or --services a,b")
    return () if names == ("all",) else names


def _function(session: Session, name: str) -> str:
    """A function by its full name, or by the catalogue's."""
    full = session.settings.names.function(name)
    return full if full in session.settings.catalogue() else name


def _who(session: Session) -> dict[str, str]:
    return {"role": session.caller.role, "person": session.caller.person}
