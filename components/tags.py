"""The tags of every resource that is declared here."""

from __future__ import annotations

from rollback.config.naming import Names


def tags(names: Names, component: str) -> dict[str, str]:
    """The tags of one resource: `{"environment", "project", "managed-by", "component"}`, all text."""
    return {
        "environment": names.environment,
        "project": names.prefix,
        "managed-by": "pulumi",
        "component": component,
    }
