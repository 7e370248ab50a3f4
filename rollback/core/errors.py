"""What can go wrong, as one tree. Each error says what happened, what was changed and what to type next.

    RollbackError                exit 1   failed; the record says how far
    ├── UsageError               exit 2   wrong usage or configuration; nothing was changed
    ├── Refused                  exit 3   a guard, a lease, a digest, a wrong account; nothing was changed
    ├── PutBack                  exit 4   failed, and everything was put back as it was
    ├── VerificationFailed       exit 5   done, but verification failed
    ├── AwaitingApproval         exit 10  planned and recorded; waits for somebody's word
    └── Ended                  exit 130  ended at once by a second Ctrl-C; the record says how far

`exit_code` is part of the command line's contract (README, "Exit codes").
"""

from __future__ import annotations


class RollbackError(Exception):
    """The base: `what` happened, what was `changed`, and what to type `next`.

    Each is one sentence or empty; `str()` gives the first.
    """

    exit_code = 1
    changed_default = ""

    def __init__(self, what: str, *, changed: str | None = None, next: str = "") -> None:  # noqa: A002 - the word of the contract
        super().__init__(what)
        self.what = what
        self.changed = self.changed_default if changed is None else changed
        self.next = next


class UsageError(RollbackError):
    """Wrong usage or configuration, found before anything was changed."""

    exit_code = 2
    changed_default = "Nothing was changed."


class Refused(RollbackError):
    """A guard said no: lock held, digest or approval mismatch, quarantined, wrong account."""

    exit_code = 3
    changed_default = "Nothing was changed."


class PutBack(RollbackError):
    """It failed, and what had been moved was put back as it was."""

    exit_code = 4


class VerificationFailed(RollbackError):
    """Everything stands at the plan, but the verification did not pass."""

    exit_code = 5


class AwaitingApproval(RollbackError):
    """Planned and recorded; another identity has to approve, or a person to confirm."""

    exit_code = 10
    changed_default = "Nothing was changed yet."


class Ended(RollbackError):
    """A person asked twice to stop: nothing was waited for. The exit code is a shell's for SIGINT."""

    exit_code = 130
