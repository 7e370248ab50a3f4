"""What goes wrong that is none of our errors, as one of them: the same for the command and for scripts."""

from __future__ import annotations

from rollback.core.errors import Code, RollbackError


def in_our_words(error: Exception, env: str) -> RollbackError:
    """What went wrong, with what was changed and what to type next; our own errors as they are."""
    if isinstance(error, RollbackError):
        return error
    changed, then = "What was done before, if anything, is recorded.", f"rollback status --env {env}"
    if isinstance(error, OSError):
        # A full disk, a folder that may not be written, too many open files: no fault of this command.
        what = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        return RollbackError(f"I/O error: {what}.", code=Code.MACHINE_REFUSED, changed=changed, next=then)
    return RollbackError(
        f"Unexpected error: {type(error).__name__}: {str(error)[:200]}",
        code=Code.UNEXPECTED,
        changed=changed,
        next=then,
    )
