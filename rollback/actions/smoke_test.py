"""Runs the team's own smoke command against what is deployed now, as a check of a rollback or a release."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from rollback.config.model import SmokeOf
from rollback.config.settings import Settings
from rollback.core.sanitize import clean
from rollback.model.kind import Kind
from rollback.model.record import Check

_DETAIL = 200
# What the setting `smoke` calls it.
_PROVES: Mapping[str, SmokeOf] = {
    Kind.STACK: "stack",
    Kind.TERRAFORM: "terraform",
    Kind.FULL: "full",
    Kind.CUTOVER: "table",
}


def smoke(settings: Settings, root: Path, kind: Kind = Kind.ALIASES) -> tuple[Check, str] | None:
    """Runs the smoke command that proves a `kind`; the check and what it printed. None where none is configured.

    The word `python` means the interpreter that this command runs under. The command sees
    `TEST_ENVIRONMENT` and the caller's credentials, and has the RTO of a code rollback to finish.
    """
    configured = settings.smoke.get(_PROVES.get(kind, "aliases"), ())
    if not configured:
        return None
    command = [sys.executable if configured[0] == "python" else configured[0], *configured[1:]]
    try:
        ran = subprocess.run(
            command,
            cwd=root,
            env={**os.environ, "TEST_ENVIRONMENT": settings.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=settings.rto.code * 60,
            check=False,
        )
    except OSError as error:
        return Check(check="smoke", ok=False, detail=f"{command[0]} cannot be run: {error.strerror}"), ""
    except subprocess.TimeoutExpired:
        return Check(check="smoke", ok=False, detail=f"not finished after {settings.rto.code} minutes"), ""
    output = clean(ran.stdout)
    lines = [line.strip(" =") for line in output.splitlines() if line.strip(" =")]
    last = lines[-1][:_DETAIL] if lines else "no output"
    return Check(check="smoke", ok=ran.returncode == 0, detail=f"exit {ran.returncode}: {last}"), output
