"""Explains a missing permission that the roles only have if a setting is declared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rollback.config.naming import FOUNDATION
from rollback.lifecycle.context import Session
from rollback.util.errors import Code, RollbackError


@contextmanager
def granted_by(session: Session, setting: str) -> Iterator[None]:
    """Adds to an ACCESS_DENIED who grants the permission for `setting`. Raises the same error."""
    try:
        yield
    except RollbackError as error:
        if error.code is Code.ACCESS_DENIED:
            error.next = (
                f"{error.next}\n"
                f"# if the setting `{setting}` is new, an administrator runs:\n"
                f"pulumi up --stack {session.environment}-{FOUNDATION}"
            )
        raise
