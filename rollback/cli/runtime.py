"""What surrounds a verb: its session, lifecycle, terminal and signals, and its exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer

from rollback.actions import context, lifecycle, run, situation
from rollback.actions.emergency import journal
from rollback.aws import account
from rollback.core.errors import Code, RollbackError, StoppedAtOnce
from rollback.ledger import store
from rollback.model import events, messages
from rollback.model import plan as plans
from rollback.model import request as requests
from rollback.model.kind import Kind
from rollback.views import records, rich_layout, terminal


@contextmanager
def verb(
    env: str | None,
    json: bool,  # noqa: FBT001 - typer's
    *,
    confirm_dead: str = "",
    first: bool = False,
    reading: bool = False,
    acting: Callable[[account.Account], account.Account] | None = None,
) -> Iterator[tuple[context.Session, lifecycle.Lifecycle, terminal.Terminal]]:
    """A verb's surroundings: session, flow and terminal; errors become their exit codes.

    A ledger that has lost entries refuses what decides by its timeline. `first` checks that before anything
    else; `reading`: what is only shown is shown all the same, with a warning. `acting` gives the account
    under another role than the caller's.
    """
    ui = terminal.Terminal(json_output=json)
    stop = threading.Event()
    flow: lifecycle.Lifecycle | None = None
    try:
        with _graceful(stop, ui):
            session = context.begin(env, confirm_dead=confirm_dead, notice=ui.notice, acting=acting)
            if not gc.isenabled():
                gc.freeze()
                gc.enable()
            with session.closing:
                try:
                    if first or reading:
                        session.watch_first(strict=not reading)
                    flow = lifecycle.Lifecycle(session=session, ui=ui, stop=stop)
                    yield session, flow, ui
                except store.Unanswered as error:
                    _without_ledger(session, ui, error)
                    raise
                finally:
                    for alarm in session.alarms:
                        ui.alarm(alarm)
                    for notice in session.ledger.notices:
                        ui.notice(notice)
    except (StoppedAtOnce, KeyboardInterrupt) as ended:
        ui.error(ended if isinstance(ended, StoppedAtOnce) else _ended(flow))
        # Threads that still wait for an answer would keep the process.
        sys.stderr.flush()
        os._exit(StoppedAtOnce.exit_code)
    except (typer.Exit, typer.Abort, typer.TyperException):
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: nobody on call reads a traceback
        ours = _in_our_words(error, env or "ENVIRONMENT")
        ui.error(ours)
        raise typer.Exit(ours.exit_code) from None


def _without_ledger(session: context.Session, ui: terminal.Terminal, error: store.Unanswered) -> None:
    """Names the emergencies whose journals are here, and completes the error with what to type next."""
    for path in journal.found(journal.folder(), session.environment, session.settings.account):
        ui.alarm(journal.reminder(path, session.environment))
    advice = situation.without(session, error)
    error.what, error.next = f"{error.what} {advice.what}", advice.next


def _ended(flow: lifecycle.Lifecycle | None) -> StoppedAtOnce:
    """A second Ctrl-C that came where nothing is in flight any more, or not yet."""
    return flow.stopped_at_once() if flow else StoppedAtOnce("Ended at once.", code=Code.ENDED)


@contextmanager
def answering(env: str | None, json: bool) -> Iterator[terminal.Terminal]:  # noqa: FBT001 - typer's
    """The surroundings of a verb that asks no ledger: its terminal; errors become their exit codes."""
    ui = terminal.Terminal(json_output=json)
    try:
        yield ui
    except (typer.Exit, typer.Abort, typer.TyperException):
        raise
    except Exception as error:  # noqa: BLE001 - as in `verb`
        ours = _in_our_words(error, env or "ENVIRONMENT")
        ui.error(ours)
        raise typer.Exit(ours.exit_code) from None


def _in_our_words(error: Exception, env: str) -> RollbackError:
    """What went wrong, with what was changed and what to type next."""
    if isinstance(error, RollbackError):
        return error
    changed, then = "What was done before, if anything, is recorded.", f"rollback status --env {env}"
    if isinstance(error, OSError):
        # A full disk, a folder that may not be written, too many open files: no fault of this command.
        what = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        return RollbackError(
            f"This machine refused: {what}.", code=Code.MACHINE_REFUSED, changed=changed, next=then
        )
    return RollbackError(
        f"This command met what it does not expect: {type(error).__name__}: {str(error)[:200]}",
        code=Code.UNEXPECTED,
        changed=changed,
        next=then,
    )


@contextmanager
def _graceful(stop: threading.Event, ui: terminal.Terminal) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM asks to stop after what is under way; the second ends at once."""

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal module's
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        ui.notice("Stopping after what is under way; once more ends at once.")

    before: dict[int, Any] = {
        number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def preview_or_start(
    session: context.Session,
    flow: lifecycle.Lifecycle,
    ui: terminal.Terminal,
    kind: Kind,
    request: requests.Request,
    reason: str,
    *,
    dry_run: bool,
    yes: bool,
    json: bool,
) -> None:
    """The end of every verb that rolls something back: only the plan, or all of it."""
    if not dry_run:
        messages.checked_reason(reason)
        end(session, ui, flow.start(kind, request, reason, yes=yes))
        return
    plan = flow.preview(kind, request)
    if json:
        ui.show("", {"digest": plan.digest(), **plans.plain_plan(plan)})


def end(session: context.Session, ui: terminal.Terminal, finished: run.Finished) -> None:
    """Shows how a verb ended and raises what sets its exit code."""
    if throttled := session.account.throttles.count:
        ui.notice(
            f"Lambda throttled {throttled} calls: somebody else uses its quota, too, so it went slower."
        )
    if finished.record is None:
        message = (
            _nothing_to_do(session.target(finished.plan.kind).verb, finished.plan) if finished.plan else ""
        )
        ui.show(rich_layout.text(message), {"status": "NOTHING_TO_DO"})
        return
    target, plan = session.target(finished.record.kind), finished.plan
    outcomes = target.outcomes(plan, finished.events) if plan is not None else []
    seen = session.seen(finished.record)
    ui.show(records.record_view(seen), records.record_document(seen, outcomes))
    then = next(
        (done.next for done in events.happened(reversed(finished.events), events.StepDone) if done.next), ""
    )
    if then and finished.error is None:
        ui.next(then)
    if finished.error is not None:
        raise finished.error


def _nothing_to_do(verb: str, plan: plans.Plan[Any]) -> str:
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
