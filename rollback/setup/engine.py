"""Installs the Pulumi engine that this command runs, for machines without one on PATH."""

from __future__ import annotations

from pathlib import Path

from rollback.engines.pulumi import installation


def wanted() -> str:
    """The version that `install` installs, e.g. `3.259.0`."""
    return installation.pinned()


def install() -> Path:
    """Installs it with Pulumi's installer, for this user. Returns the program's path. Raises `RollbackError`."""
    return installation.install()
