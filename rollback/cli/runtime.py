"""The context of a verb: environment, terminal, signals and exit code."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer

from rollback.api import environment, events, failures, results
from rollback.cli import interrupts, known_names, options, output, roles, run_log, verbosity
from rollback.model import command_line, messages
from rollback.model import request as requests
from rollback.model.kind import Kind
from rollback.util import deadline
from rollback.util.errors import Code, RollbackError, StoppedAtOnce
from rollback.views import documents, records, rich_layout, terminal


@contextmanager
def verb(
    env: str | None,
    json: bool,  # noqa: FBT001 - typer's
    timeout: str = "",
    *,
    reads: bool = False,
) -> Iterator[tuple[environment.Environment, terminal.Terminal]]:
    """Opens a verb's environment and terminal, and turns errors into exit codes. `timeout` limits what happens
    before anything is changed. One Ctrl-C stops a verb that only `reads`.
    """
    with _logged(json) as (ui, log), _opened(env, ui, log, timeout, reads=reads) as opened:
        yield opened, ui


@contextmanager
def _logged(json: bool) -> Iterator[tuple[terminal.Terminal, run_log.RunLog]]:  # noqa: FBT001 - typer's
    """A verb's terminal, at the verbosity asked for, and its log."""
    chosen = verbosity.chosen
    more = chosen.verbose or chosen.debug
    ui = terminal.Terminal(json_output=json)
    ui.quiet = chosen.quiet and not more
    level = logging.DEBUG if chosen.debug else logging.INFO
    with run_log.kept(sys.argv[1:], ui.detail if more else None, level=level) as log:
        yield ui, log


@contextmanager
def _opened(
    env: str | None, ui: terminal.Terminal, log: run_log.RunLog, timeout: str, *, reads: bool
) -> Iterator[environment.Environment]:
    stop = threading.Event()
    of_ledger: list[events.Event] = []
    opened: environment.Environment | None = None

    def hear(event: events.Event) -> None:
        # Alarms about the ledger are shown last, so that they stay on the screen.
        if isinstance(event, events.LedgerNotice):
            of_ledger.append(event)
        else:
            ui.hear(event)
        log.hear(event)

    try:
        if timeout:
            stop = deadline.Deadline(options.seconds_in(timeout))
        with _graceful(stop, ui, reads=reads):
            opened = environment.Environment.open(env, on_event=hear, confirm=ui.confirm, stop=stop)
            if not gc.isenabled():
                gc.freeze()
                gc.enable()
            log.opened(opened)
            with opened:
                try:
                    yield opened
                    ui.end()
                finally:
                    met = known_names.Names(ids=tuple(opened.met_ids), releases=tuple(opened.met_releases))
                    known_names.keep(opened.root, opened.name, met)
                    for event in dict.fromkeys(of_ledger):
                        ui.hear(event)
    except (StoppedAtOnce, KeyboardInterrupt) as ended:
        at_once = (
            ended if isinstance(ended, StoppedAtOnce) else _ended(None if reads else opened, reads=reads)
        )
        log.failed(at_once)
        ui.error(at_once)
        # Threads that still wait for a response would keep the process alive.
        sys.stderr.flush()
        os._exit(StoppedAtOnce.exit_code)
    except (typer.Exit, typer.Abort, typer.TyperException):
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: nobody on call reads a traceback
        raise typer.Exit(_shown_error(error, env, ui, log, opened)) from None


def _ended(opened: environment.Environment | None, *, reads: bool = False) -> StoppedAtOnce:
    """The error for a second Ctrl-C before anything runs or after it has ended; or for the first, to a verb that `reads`."""
    if opened is not None:
        return opened.stopped_at_once()
    return StoppedAtOnce(
        "Stopped at once.", code=Code.ENDED, changed="Nothing was changed." if reads else None
    )


@contextmanager
def answering(env: str | None, json: bool) -> Iterator[terminal.Terminal]:  # noqa: FBT001 - typer's
    """For a verb that needs no ledger: yields its terminal, and turns errors into exit codes."""
    with _logged(json) as (ui, log):
        try:
            interrupts.begun()
            yield ui
            ui.end()
        except KeyboardInterrupt:
            raise typer.Exit(_shown_error(_ended(None), env, ui, log)) from None
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except Exception as error:  # noqa: BLE001 - as in `verb`
            raise typer.Exit(_shown_error(error, env, ui, log)) from None


def _shown_error(
    error: Exception,
    env: str | None,
    ui: terminal.Terminal,
    log: run_log.RunLog,
    opened: environment.Environment | None = None,
) -> int:
    """Shows how a verb failed, and logs it; its exit code."""
    ours = failures.in_our_words(error, env or "ENVIRONMENT")
    if opened is not None:
        roles.role_named(ours, output.verb_typed(sys.argv[1:]), opened.settings, opened.caller)
    unexpected = ours.code is Code.UNEXPECTED
    log.failed(ours, error if unexpected else None)
    if unexpected and log.path is not None:
        ui.console.print(rich_layout.text(f"Log of this run: {log.path}"), soft_wrap=True)
    ui.error(ours)
    return ours.exit_code


@contextmanager
def _graceful(stop: threading.Event, ui: terminal.Terminal, *, reads: bool) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM stops gracefully, or cancels a question; the second stops at once, and so does the
    first where nothing but reading is under way.
    """

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal module's
        if reads or deadline.asked(stop).is_set():
            raise KeyboardInterrupt
        stop.set()
        if ui.asking:  # in this thread: the question ends, and the terminal says so
            raise KeyboardInterrupt
        ui.notice("Stopping gracefully. Press Ctrl-C again to stop at once.")

    before: dict[int, Any] = {
        number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, interrupts.usual(handler))


def preview_or_start(
    opened: environment.Environment,
    ui: terminal.Terminal,
    request: requests.Request,
    reason: str,
    *,
    dry_run: bool,
    yes: bool,
    wait: str = "",
) -> None:
    """The last step of every verb that rolls back: shows the plan, or applies it."""
    if not dry_run:
        messages.checked_reason(reason)
        minutes = options.minutes_if(wait)
        end(ui, lambda: opened.roll_back(request, reason=reason, yes=yes, wait_minutes=minutes))
        return
    try:
        preview(ui, opened.plan(request))
    except RollbackError as error:
        error.next = command_line.still_dry(error.next)
        raise


def preview(ui: terminal.Terminal, plan: results.Plan) -> None:
    """The last step of a verb that only plans. Raises `Refused` where a guard refuses the plan, and `RollbackError` where
    the plan could not be written.
    """
    plan.check()
    if ui.unwritten is not None:
        raise ui.unwritten
    if ui.json_output:
        ui.show("", documents.plan_document(plan.details))
    if plan.changes:
        ui.next(output.to_carry_out(sys.argv[1:]))


def end(
    ui: terminal.Terminal,
    work: Callable[[], results.Result],
    show: Callable[[terminal.Terminal, results.Result], None] | None = None,
) -> None:
    """Does the verb's work, shows how it ended, and raises what sets its exit code."""
    show = show or shown
    try:
        result = work()
    except RollbackError as error:
        if error.result is not None:
            show(ui, error.result)
        raise
    show(ui, result)
    if result.waiting is not None:
        raise result.waiting
    if result.next:
        ui.next("\n".join(result.next))


def shown(ui: terminal.Terminal, result: results.Result) -> None:
    """Shows how a rollback ended, or that there was nothing to do."""
    if result.seen is None:
        plan = result.plan
        message = "" if plan is None else _nothing_to_do(plan)
        ui.show(rich_layout.text(message), {"status": result.status})
        return
    ui.show(records.record_view(result.seen), documents.record_document(result.seen, result.outcomes))


def _nothing_to_do(plan: results.Plan) -> str:
    env = plan.environment
    if plan.kind == Kind.PRUNE:
        return "Nothing to prune: every published version is needed."
    if plan.kind in (Kind.ALIASES, Kind.FULL):
        return (
            f"Nothing to do: every alias is already at the versions of {plan.to_version}. "
            f"To go further back, name an older release with --to (rollback release list --env {env})."
        )
    return (
        f"Nothing to do: everything is already as of {plan.to_version}. To go further back, name an older "
        f"commit with --to (rollback history --env {env})."
    )
