"""What the roles may only ask of AWS once an administrator has declared it by a setting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rollback.actions.context import Session
from rollback.config.naming import FOUNDATION
from rollback.core.errors import Code, RollbackError


@contextmanager
def granted_by(session: Session, setting: str) -> Iterator[None]:
    """Has an ACCESS_DENIED say who gives the right that `setting` stands for. Raises what it meets."""
    try:
        yield
    except RollbackError as error:
        if error.code is Code.ACCESS_DENIED:
            error.next = (
                f"{error.next}\n"
                f"Where the setting `{setting}` was changed since, an administrator runs:\n"
                f"pulumi up --stack {session.environment}-{FOUNDATION}"
            )
        raise
