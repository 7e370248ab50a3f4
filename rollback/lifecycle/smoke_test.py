"""Runs the configured smoke command against what is deployed, as a check of a rollback or a release."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from rollback.config.model import SmokeOf
from rollback.config.settings import Settings
from rollback.lifecycle.ports import Ui
from rollback.lifecycle.run import working
from rollback.model.kind import Kind
from rollback.model.record import Check
from rollback.util.errors import Code, RollbackError
from rollback.util.sanitize import clean

_DETAIL = 200
# The word for this interpreter in the setting `smoke`.
_PROVES: Mapping[str, SmokeOf] = {
    Kind.STACK: "stack",
    Kind.TERRAFORM: "terraform",
    Kind.FULL: "full",
    Kind.CUTOVER: "table",
}


def smoke(
    settings: Settings,
    root: Path,
    kind: Kind = Kind.ALIASES,
    *,
    seconds: float | None = None,
    ui: Ui | None = None,
) -> tuple[Check, str] | None:
    """Runs the smoke command of a `kind`; returns the check and the command's output. None if none is configured.

    The word `python` means the interpreter that this command runs under. The command sees
    `TEST_ENVIRONMENT` and the caller's credentials, and is limited to the RTO of a code rollback, or `seconds` if that is
    less. `ui` shows that it runs. Raises `RollbackError` when `seconds` have passed.
    """
    patience = settings.rto.code * 60
    configured = settings.smoke.get(_PROVES.get(kind, "aliases"), ())
    if not configured:
        return None
    command = [sys.executable if configured[0] == "python" else configured[0], *configured[1:]]
    try:
        with working(ui, "Running the smoke command") if ui else nullcontext():
            ran = subprocess.run(
                command,
                cwd=root,
                env={**os.environ, "TEST_ENVIRONMENT": settings.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=patience if seconds is None else min(patience, seconds),
                check=False,
            )
    except OSError as error:
        return Check(check="smoke", ok=False, detail=f"{command[0]} cannot be run: {error.strerror}"), ""
    except subprocess.TimeoutExpired:
        if seconds is not None and seconds < patience:
            raise RollbackError(
                "Timed out (--timeout) before the smoke command ended.",
                code=Code.TIMED_OUT,
                changed="Nothing was changed.",
                next=f"rollback verify --env {settings.environment}",
            ) from None
        return Check(check="smoke", ok=False, detail=f"not finished after {settings.rto.code} minutes"), ""
    output = clean(ran.stdout)
    lines = [line.strip(" =") for line in output.splitlines() if line.strip(" =")]
    last = lines[-1][:_DETAIL] if lines else "no output"
    return Check(check="smoke", ok=ran.returncode == 0, detail=f"exit {ran.returncode}: {last}"), output
