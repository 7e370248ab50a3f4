"""When the caller's credentials expire for the last time, as far as this machine knows.

Credentials that boto3 renews (a profile that assumes a role, SSO, a machine's role) have no end here. Those of a job's step
or of `rollback login` expire at a fixed time, and everything that is running fails then.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime

import boto3
from platformdirs.unix import Unix


def ends(session: boto3.Session) -> datetime | None:
    """The end of a session's credentials, in UTC; None if they have none, or it is unknown.

    For credentials in the environment it is in `AWS_CREDENTIAL_EXPIRATION`
    (https://docs.aws.amazon.com/cli/latest/reference/configure/export-credentials.html); those that `rollback login`
    stored are recognised by their access key.
    """
    credentials = session.get_credentials()
    if credentials is None:
        return None
    if credentials.method == "env":
        return _time(os.environ.get("AWS_CREDENTIAL_EXPIRATION", ""))
    if credentials.method != "custom-process":
        return None
    for path in (Unix("rollback").user_state_path / "logins").glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["AccessKeyId"] == credentials.access_key:
                return _time(kept["Expiration"])
    return None


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
