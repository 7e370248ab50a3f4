"""The credentials that a login stored. Callers wait for them, so nothing that is slow to import is imported here."""

from __future__ import annotations

from datetime import UTC, datetime

from rollback.setup.login import kept as kept_logins


def kept(arn: str) -> str:
    """The stored credentials of a role, as JSON for an AWS profile's `credential_process`.

    Raises `UsageError` if there are none, or if they have expired.
    """
    return kept_logins.kept(arn, datetime.now(UTC))
