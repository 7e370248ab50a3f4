"""The console script `rollback`: verbs, options and exit codes. What they do is in the other modules.

Everything heavy is imported by the verb that needs it, so that `--help` is there at once.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from rollback.cli import completion
from rollback.cli.commands import adopt, audit, can, freeze, report
from rollback.cli.commands import drill as cli_drill
from rollback.cli.commands import prune as cli_prune
from rollback.cli.commands.ci import ci_app
from rollback.cli.commands.emergency import (
    AlthoughAnswers,
    AlthoughQuarantined,
    Emergent,
    Options,
    Resume,
    Undo,
    emergency,
    ledger_app,
    only_in_an_emergency,
)
from rollback.cli.commands.infrastructure import register
from rollback.cli.commands.release import release_app
from rollback.cli.runtime import (
    ConfirmDead,
    DryRun,
    Env,
    Identifier,
    Json,
    MaybeEnv,
    Reason,
    Release,
    Services,
    Yes,
    end,
    function_named,
    names_in,
    preview_or_start,
    verb,
)
from rollback.core.errors import RollbackError

if TYPE_CHECKING:
    from rollback.actions.context import Session
    from rollback.views.terminal import Terminal

app = typer.Typer(
    name="rollback",
    help="Puts a bad release back: planned, approved, verified and recorded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(release_app, name="release")
app.add_typer(ci_app, name="ci")
app.add_typer(ledger_app, name="ledger")


class Kind(StrEnum):
    """Kinds of records that `history` can be narrowed to."""

    release = "release"
    aliases = "aliases"
    stack = "stack"
    terraform = "terraform"
    table = "table"
    cutover = "cutover"
    full = "full"
    drill = "drill"
    prune = "prune"


@app.command("lambda")
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
            help="Leave this function out.",
            autocompletion=completion.functions,
        ),
    ] = None,
    adopt_current: Annotated[
        bool,
        typer.Option(
            "--adopt-current", help="Start from where aliases stand, also where somebody moved them."
        ),
    ] = False,
    dry_run: DryRun = False,
    as_shell: Annotated[
        bool, typer.Option("--as-shell", help="Print the plan as AWS CLI commands, and end there.")
    ] = False,
    yes: Yes = False,
    in_emergency: Emergent = False,
    resume_file: Resume = None,
    undo_file: Undo = None,
    although_answers: AlthoughAnswers = False,
    although_quarantined: AlthoughQuarantined = False,
    json: Json = False,
) -> None:
    """Put Lambda aliases back to an earlier release."""
    with verb(env, json) as (session, flow, ui):
        from rollback.model.plan import Request

        options = Options(
            reason=reason,
            resume=resume_file,
            undo=undo_file,
            although_answers=although_answers,
            although_quarantined=although_quarantined,
            dry_run=dry_run,
        )
        request = Request(
            to=to,
            services=names_in(services),
            without=tuple(function_named(session, name) for name in without or ()),
            adopt_current=adopt_current,
        )
        if in_emergency:
            emergency(session, ui, flow.stop, request, options)
            return
        only_in_an_emergency(options)
        if as_shell:
            from rollback.core.stdio import write_out
            from rollback.views.plan import shell_lines

            plan = flow.preview("aliases", request)
            write_out("\n".join(shell_lines(plan, session.settings.alias)))
            return
        preview_or_start(session, flow, ui, "aliases", request, reason, dry_run=dry_run, yes=yes, json=json)


register(app)
report.register(app)
freeze.register(app)
cli_prune.register(app)
audit.register(app)
cli_drill.register(app)
adopt.register(app)
can.register(app)


@app.command()
def approve(
    identifier: Identifier,
    digest: Annotated[str, typer.Option("--digest", help="The plan's digest, as you read it.")],
    env: MaybeEnv = None,
    json: Json = False,
) -> None:
    """Say yes to exactly one plan, as another person under the approver role."""
    with verb(env, json) as (session, flow, ui):
        opened = flow.approve(identifier, digest)
        ui.planned(opened.plan(session.target(opened.record.kind).step))
        from rollback.core.canonical import plain
        from rollback.views.rich_layout import text

        document = {
            "rollback_id": identifier,
            "digest": opened.record.digest,
            "approved_by": plain(session.caller),
        }
        ui.show(text(f"Approved by {session.caller}.", "green"), document)
        ui.next(f"rollback apply {identifier} --env {session.environment}")


@app.command()
def apply(
    identifier: Identifier,
    digest: Annotated[
        str, typer.Option("--digest", help="The plan's digest, where your own word is enough.")
    ] = "",
    env: MaybeEnv = None,
    json: Json = False,
) -> None:
    """Carry out an approved plan, or one that you confirm by its digest."""
    with verb(env, json, first=True) as (session, flow, ui):
        end(session, ui, flow.apply(identifier, digest))


@app.command()
def resume(
    identifier: Identifier, env: MaybeEnv = None, confirm_dead: ConfirmDead = "", json: Json = False
) -> None:
    """Finish what was interrupted, from any machine."""
    with verb(env, json, confirm_dead=confirm_dead, first=True) as (session, flow, ui):
        end(session, ui, flow.resume(identifier))


@app.command()
def abort(
    identifier: Identifier,
    env: MaybeEnv = None,
    reason: Reason = "",
    confirm_dead: ConfirmDead = "",
    json: Json = False,
) -> None:
    """Give up a plan, or undo what an unfinished run has done."""
    with verb(env, json, confirm_dead=confirm_dead, first=True) as (session, flow, ui):
        end(session, ui, flow.abort(identifier, reason))


@app.command()
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
        from rich.console import Group

        from rollback.actions.smoke_test import smoke
        from rollback.actions.status import check
        from rollback.core.canonical import plain
        from rollback.core.errors import Code, VerificationFailed
        from rollback.views.rich_layout import text

        checks = check(session)
        proved = smoke(session.settings, session.root)
        if proved is not None:
            checks.append(proved[0])
            if not proved[0].ok:
                ui.output(proved[1])
        lines = [text(f"{'✓' if item.ok else '✗'} {item.check}: {item.detail}") for item in checks]
        ui.show(Group(*lines), {"verification": plain(checks)})
        if not all(item.ok for item in checks):
            raise VerificationFailed(
                "What stands did not verify.",
                code=Code.VERIFICATION_FAILED,
                changed="Nothing was changed.",
                next=f"rollback status --env {session.environment}",
            )


@app.command()
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
        from rollback.actions.status import overview
        from rollback.core.canonical import plain
        from rollback.views.records import overview_view

        view = overview(session, exact=exact)
        ui.show(overview_view(view), plain(view))


def _may_be_deployed(session: Session, ui: Terminal, commit: str) -> None:
    from rollback.actions.freeze import respected
    from rollback.actions.record_release import checked_commit
    from rollback.actions.status import barred
    from rollback.core.errors import Code, Refused
    from rollback.views.rich_layout import text

    respected(session)
    sha = checked_commit(session.root, commit)
    why = barred(session, sha)
    if why:
        raise Refused(
            f"Commit {sha[:12]} is quarantined in {session.environment}: {'; '.join(why)}.",
            code=Code.QUARANTINED,
            next=f"Deploy a commit that mends it; or rollback release lift {sha[:12]} --env "
            f"{session.environment} --reason …",
        )
    ui.show(
        text(f"Commit {sha[:12]} is not quarantined in {session.environment}."),
        {"commit": sha, "quarantined": False},
    )


@app.command()
def history(
    env: Env,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Only these.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10000)] = 30,
    json: Json = False,
) -> None:
    """Releases, rollbacks and what the engine deployed, newest first."""
    with verb(env, json, reading=True) as (session, _, ui):
        from rollback.actions.history import past
        from rollback.views.records import history_view

        told = past(session, limit, kind.value if kind else None)
        for notice in told.notices:
            ui.say(notice)
        document = [moment.document for moment in told.moments]
        malformed = [{"malformed": error.what} for error in told.broken]
        ui.show(history_view(told.moments, told.broken), [*malformed, *document])
        if told.broken:
            raise told.broken[0]


@app.command()
def show(identifier: Identifier, env: MaybeEnv = None, json: Json = False) -> None:
    """One rollback: its plan, its journal, and what to type next; or one entry of the engine's history."""
    with verb(env, json, reading=True) as (session, _, ui):
        from rollback.actions.history import found
        from rollback.views.records import history_view

        moment = found(session, identifier)
        if moment is not None:
            ui.show(history_view([moment]), moment.document)
            return
        from rich.console import Group

        from rollback.core.canonical import plain
        from rollback.model.messages import next_for
        from rollback.model.record import SCHEMA, UNFINISHED, chain_break
        from rollback.views.plan import plan_view
        from rollback.views.records import record_document, record_view
        from rollback.views.rich_layout import text

        opened = session.ledger.load(identifier)
        target = session.target(opened.record.kind)
        older = opened.record.schema < SCHEMA
        broken = None if older else chain_break(opened.record, opened.events)
        parts, functions = [record_view(opened.record, opened.events)], []
        try:
            plan = opened.plan(target.step)
            parts.insert(0, plan_view(plan))
            functions = list(target.outcomes(plan, opened.events))
        except RollbackError as error:
            broken = broken or error.what
        document = record_document(opened.record, functions)
        if broken:
            parts.append(text(f"The record was tampered with: {broken}.", "bold red"))
        whole = "whole"
        if older:
            whole = (
                f"not verified: written by an older version of this command (schema {opened.record.schema})"
            )
            parts.append(text(f"Its chain is {whole}.", "yellow"))
        if opened.record.status in UNFINISHED:
            parts.append(text(f"next: {next_for(opened.record)}", "cyan"))
        ui.show(Group(*parts), {**document, "events": plain(opened.events), "chain": broken or whole})


def main() -> None:
    """Runs the command line; the exit codes are README's."""
    # Nothing of what is imported is garbage; `verb` has it looked for again once all is there.
    gc.disable()
    from rollback.core.sanitize import clean
    from rollback.core.stdio import to_nowhere, warn

    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        # Wrong usage names what was typed, which may hold anything.
        if "--json" in sys.argv:
            from rollback.core.errors import Code, UsageError
            from rollback.views.terminal import Terminal

            wrong = UsageError(error.format_message(), code=Code.OPTION_INVALID)
            Terminal(json_output=True).error(wrong)
        else:
            said = io.StringIO()
            error.show(said)  # type: ignore[attr-defined] # all that come here have it
            warn(clean(said.getvalue()))
        code = error.exit_code
    except typer.Abort:
        code = 1
    except OSError as error:
        # Of a verb they are told by itself: this is a help text that could not be written.
        to_nowhere(sys.stdout)
        warn(f"The help could not be written to standard output: {error.strerror}.")
        code = 1
    _leave(code or 0)


def _leave(code: int) -> NoReturn:
    """Ends the process, in which everything is closed by now, without taking it apart: a tenth of a second."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
