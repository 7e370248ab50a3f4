"""The Pulumi engine that this command drives, where none is on PATH."""

from __future__ import annotations

from pathlib import Path

from rollback.integrations.pulumi import installation


def wanted() -> str:
    """The version that is installed, e.g. `3.259.0`."""
    return installation.pinned()


def install() -> Path:
    """Installs it by Pulumi's own installer, for this user; the program. Raises `RollbackError` where it cannot."""
    return installation.install()
