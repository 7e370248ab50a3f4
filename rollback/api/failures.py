"""Turns every other exception into one of our errors, for the command and for scripts alike."""

from __future__ import annotations

from rollback.util.errors import Code, RollbackError


def in_our_words(error: Exception, env: str) -> RollbackError:
    """The error with what was changed and what to type next; our own errors unchanged."""
    if isinstance(error, RollbackError):
        return error
    changed, then = "What was done before, if anything, is recorded.", f"rollback status --env {env}"
    if isinstance(error, OSError):
        # A full disk, a folder without write permission, too many open files: not a defect of this command.
        what = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        return RollbackError(f"I/O error: {what}.", code=Code.MACHINE_REFUSED, changed=changed, next=then)
    return RollbackError(
        f"Unexpected error: {type(error).__name__}: {str(error)[:200]}",
        code=Code.UNEXPECTED,
        changed=changed,
        next=then,
    )
