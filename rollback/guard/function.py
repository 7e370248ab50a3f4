"""The guard's Lambda function: `handler`. It does not trust the message that invokes it; see `actions.guard`.

It uses the settings in its package, which an administrator has built from the protected branch and
deployed (`rollback guard build`): it has no checkout and no branch to compare them with.
"""
# ruff: noqa: E402 - an import of what is compiled for another Python would fail without saying why

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import rollback
from rollback.config.naming import PACKAGE_RUNTIME
from rollback.model import guarding

_ROOT = Path(rollback.__file__).parents[1]


def for_this_python(root: Path) -> None:
    """Raises `ImportError` if the package was built for another Python than the one that runs."""
    with suppress(FileNotFoundError):  # a checkout has no such file
        built_for = (root / PACKAGE_RUNTIME).read_text(encoding="utf-8").strip()
        runs = f"python{sys.version_info.major}.{sys.version_info.minor}"
        if why := guarding.other_runtime(built_for, runs):
            raise ImportError(why)


for_this_python(_ROOT)

from rollback.api.events import Reporter
from rollback.guard import calls as reports
from rollback.guard import reaction as guard
from rollback.guard.reaction import Answer, Answering
from rollback.lifecycle import context as sessions
from rollback.lifecycle.context import Session
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.util.errors import Code, RollbackError, UsageError

ENVIRONMENT = "ROLLBACK_GUARD_ENVIRONMENT"
# Seconds before Lambda's timeout: enough to finish running steps, release the lease and record the progress.
_MARGIN = 15.0
_LOG = logging.getLogger("rollback.guard")
_LOG.setLevel(logging.INFO)


def handler(event: object, context: Any) -> dict[str, Any]:
    """Handles an invocation; the result is for `rollback guard test` and for the log.

    `{"test": {"alarm": NAME, "report": BOOLEAN}}` rehearses, `{"recovery": {"rollback_id": ID}}` reports whether an
    alarm has recovered; any other object, an alarm's message included, makes it read the alarms itself. What is not an
    object is reported. Raises errors that Lambda should retry.
    """
    stop = threading.Event()
    left = context.get_remaining_time_in_millis() / 1000
    timer = threading.Timer(max(left - _MARGIN, 1.0), stop.set)
    timer.daemon = True
    timer.start()
    try:
        return _handled(event, opened(), stop)
    finally:
        timer.cancel()


def opened() -> Session:
    """The session of an invocation, from the settings in the package. Raises as `context.begin` does."""
    name = os.environ.get(ENVIRONMENT, "")
    if not name:
        raise UsageError(
            f"The environment variable {ENVIRONMENT} of the guard's function is not set.",
            code=Code.UNKNOWN_ENVIRONMENT,
        )
    return replace(sessions.begin(name, _ROOT, notice=_LOG.warning), on_branch=packed)


def packed(root: Path, branch: str, name: str) -> str | None:
    """A file as the protected branch had it when the package was built."""
    del branch
    with suppress(OSError):
        return (root / name).read_text(encoding="utf-8")
    return None


def _handled(event: object, session: Session, stop: threading.Event) -> dict[str, Any]:
    reporter = Reporter(on_event=_LOG.info, ask=lambda _: None)
    session = replace(session, prove=partial(guard.prove, session))
    answering = Answering(
        session=session, flow=Lifecycle(session=session, ui=reporter, stop=stop), told=_LOG.warning
    )
    try:
        with session.closing:
            session.watch_first(strict=True)
            found = _asked(event, answering)
    except RollbackError as error:
        _LOG.error("%s: %s", error.code, error)
        _fails(session, error)
        raise
    finally:
        if session.notifier is not None:
            session.notifier.close()
    _LOG.info("%s", json.dumps(found))
    return found


def _asked(event: object, answering: Answering) -> dict[str, Any]:
    if not isinstance(event, dict):
        return _document(answering.no_alarm(event))
    if isinstance(test := event.get("test"), dict):
        return answering.rehearse(str(test.get("alarm", "")), report=test.get("report") is not False)
    if isinstance(later := event.get("recovery"), dict):
        return _document(answering.recovery(str(later.get("rollback_id", ""))))
    _LOG.info("invoked by: %s", guard.message_of(event))
    return _document(answering.answer())


def _document(answer: Answer) -> dict[str, Any]:
    record = answer.record
    return {
        "code": answer.code,
        "alarm": answer.alarm,
        "why": answer.why,
        **({"rollback_id": record.rollback_id, "status": str(record.status)} if record else {}),
    }


def _fails(session: Session, error: RollbackError) -> None:
    """Reports that the guard cannot decide, before Lambda retries. An interruption is not reported."""
    if error.code == Code.INTERRUPTED:
        return
    said = {"environment": session.environment, "code": str(error.code), "why": str(error), "again": True}
    with suppress(RollbackError):
        reports.report(session.account, f"{session.environment}: the guard cannot answer: {error.code}", said)
