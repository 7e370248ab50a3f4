"""What a login keeps, for whatever needs credentials: that waits for it, so nothing is imported here that takes long."""

from __future__ import annotations

from datetime import UTC, datetime

from rollback.aws import kept_logins


def kept(arn: str) -> str:
    """What is kept of a role, as JSON for an AWS profile's `credential_process`.

    Raises `UsageError` where there is nothing, or nothing that lasts.
    """
    return kept_logins.kept(arn, datetime.now(UTC))
