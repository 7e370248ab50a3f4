"""Runs the team's own smoke command against what is deployed now, as a check of a rollback or a release."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rollback.config.settings import Settings
from rollback.core.sanitize import clean
from rollback.model.record import Check

_DETAIL = 200


def smoke(settings: Settings, root: Path) -> tuple[Check, str] | None:
    """Runs the configured smoke command; the check and what it printed. None where none is configured.

    The word `python` means the interpreter that this command runs under. The command sees
    `TEST_ENVIRONMENT` and the caller's credentials, and has the RTO of a code rollback to finish.
    """
    if not settings.smoke:
        return None
    command = [sys.executable if settings.smoke[0] == "python" else settings.smoke[0], *settings.smoke[1:]]
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
