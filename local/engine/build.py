"""The Pulumi CLI: the one on PATH, else built once a machine from the Go module proxy."""

from __future__ import annotations

from pathlib import Path

from local.paths import cache

VERSION = "3.259.0"


def built_engine() -> Path | None:
    """The engine that an earlier `ensure_engine` built on this machine."""
    engine = cache() / f"pulumi-{VERSION}" / "pulumi"
    return engine if engine.exists() else None
