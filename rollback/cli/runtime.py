"""What every verb of the command line shares: its options, its surroundings and its end."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollback.cli import completion
from rollback.core.errors import Code, Ended, RollbackError, UsageError

if TYPE_CHECKING:
    from types import FrameType

    from rollback.actions.context import Session
    from rollback.actions.lifecycle import Flow
    from rollback.actions.run import Finished
    from rollback.aws.account import Account
    from rollback.model.plan import Plan, Request
    from rollback.views.terminal import Terminal

Env = Annotated[
    str,
    typer.Option("--env", "-e", help="Environment: dev, sit, prod.", autocompletion=completion.environments),
]
MaybeEnv = Annotated[
    str | None,
    typer.Option(
        "--env",
        "-e",
        help="Environment; default: the one whose account is yours.",
        autocompletion=completion.environments,
    ),
]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why, in one line.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Identifier = Annotated[str, typer.Argument(metavar="ID", help="A rollback's id.")]
Services = Annotated[
    str,
    typer.Option("--services", "-s", help="all, or some: a,b", autocompletion=completion.services),
]
Release = Annotated[
    str, typer.Option("--to", help="A release, or previous.", autocompletion=completion.previous)
]
Version = Annotated[str, typer.Option("--version", help="The release's version, e.g. v1.2.0.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and end there.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Confirm the plan (dev; never another's approval).")]
ConfirmDead = Annotated[
    str, typer.Option("--confirm-dead", metavar="HOST:PID", help="Whoever held the engine's lock is dead.")
]
Commit = Annotated[str, typer.Option("--commit", help="The commit that was deployed.")]


@contextmanager
def verb(
    env: str | None,
    json: bool,  # noqa: FBT001 - typer's
    *,
    confirm_dead: str = "",
    first: bool = False,
    reading: bool = False,
    acting: Callable[[Account], Account] | None = None,
) -> Iterator[tuple[Session, Flow, Terminal]]:
    """A verb's surroundings: session, flow and terminal; errors become their exit codes.

    A ledger that has lost entries bars what decides by its timeline. `first` says to look before anything else;
    `reading`, that what is only shown is shown all the same, and said. `acting` gives the account under another
    role than the caller's.
    """
    from rollback.views.terminal import Terminal

    ui = Terminal(json_output=json)
    stop = threading.Event()
    try:
        with _graceful(stop, ui):
            from rollback.actions.context import begin
            from rollback.actions.lifecycle import Flow
            from rollback.ledger.store import Unanswered

            session = begin(env, confirm_dead=confirm_dead, say=ui.say, acting=acting)
            if not gc.isenabled():
                gc.freeze()
                gc.enable()
            with session.closing:
                try:
                    if first or reading:
                        session.watch_first(strict=not reading)
                    yield session, Flow(session=session, ui=ui, stop=stop), ui
                except Unanswered as error:
                    from rollback.ledger.health import advice

                    error.next = advice(error, session.settings)
                    raise
                finally:
                    for alarm in session.alarms:
                        ui.alarm(alarm)
                    for notice in session.ledger.notices:
                        ui.say(notice)
    except (Ended, KeyboardInterrupt) as ended:
        ui.error(ended if isinstance(ended, Ended) else Ended("Ended at once.", code=Code.ENDED))
        # Threads that still wait for an answer would keep the process.
        sys.stderr.flush()
        os._exit(Ended.exit_code)
    except RollbackError as error:
        ui.error(error)
        raise typer.Exit(error.exit_code) from None
    except OSError as error:
        # A full disk, a folder that may not be written, too many open files: no fault of this command.
        what = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        refused = RollbackError(
            f"This machine refused: {what}.",
            code=Code.MACHINE_REFUSED,
            changed="What was done before, if anything, is recorded.",
            next=f"rollback status --env {env or 'ENVIRONMENT'}",
        )
        ui.error(refused)
        raise typer.Exit(refused.exit_code) from None


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


def preview_or_start(
    session: Session,
    flow: Flow,
    ui: Terminal,
    kind: str,
    request: Request,
    reason: str,
    *,
    dry_run: bool,
    yes: bool,
    json: bool,
) -> None:
    """The end of every verb that puts something back: only the plan, or all of it."""
    from rollback.model.messages import checked_reason

    if not dry_run:
        checked_reason(reason)
        end(session, ui, flow.start(kind, request, reason, yes=yes))
        return
    plan = flow.preview(kind, request)
    if json:
        from rollback.core.canonical import plain

        ui.show("", {"digest": plan.digest(), **plain(plan)})


def end(session: Session, ui: Terminal, finished: Finished) -> None:
    """Shows how a verb ended and raises what sets its exit code."""
    from rollback.views.records import record_document, record_view
    from rollback.views.rich_layout import text

    if throttled := session.account.throttles.count:
        ui.say(f"Lambda throttled {throttled} calls: somebody else uses its quota, too, so it went slower.")
    if finished.record is None:
        said = _nothing_to_do(session.target(finished.plan.kind).verb, finished.plan) if finished.plan else ""
        ui.show(text(said), {"status": "NOTHING_TO_DO"})
        return
    target, plan = session.target(finished.record.kind), finished.plan
    outcomes = target.outcomes(plan, finished.events) if plan is not None else []
    document = record_document(finished.record, outcomes)
    ui.show(record_view(finished.record), document)
    then = next((event.data["next"] for event in reversed(finished.events) if event.data.get("next")), "")
    if then and finished.error is None:
        ui.next(then)
    if finished.error is not None:
        raise finished.error


def _nothing_to_do(verb: str, plan: Plan[Any]) -> str:
    env = plan.environment
    if verb in ("lambda", "full"):
        return (
            f"Nothing to do: every alias stands at the versions of {plan.to_version} already. "
            f"To go further back, name an older release with --to (rollback release list --env {env})."
        )
    return (
        f"Nothing to do: everything is as {plan.to_version} has it already. To go further back, name an older "
        f"commit with --to (rollback history --env {env})."
    )


def names_in(services: str) -> tuple[str, ...]:
    """`all` or a list with commas; empty for all."""
    names = tuple(name.strip() for name in services.split(",") if name.strip())
    if not names:
        raise UsageError(
            "--services names none.", code=Code.OPTION_INVALID, next="--services all, or --services a,b"
        )
    return () if names == ("all",) else names


def function_named(session: Session, name: str) -> str:
    """A function by its full name, or by the catalogue's."""
    full = session.settings.names.function(name)
    return full if full in session.settings.catalogue() else name
