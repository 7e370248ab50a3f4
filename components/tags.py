"""The tags that everything declared here carries, from one source."""

from __future__ import annotations

from rollback.config.naming import Names


def tags(names: Names, component: str) -> dict[str, str]:
    """The tags of one resource: whose it is, where it stands, and what declared it."""
    return {
        "environment": names.environment,
        "project": names.prefix,
        "managed-by": "pulumi",
        "component": component,
    }
