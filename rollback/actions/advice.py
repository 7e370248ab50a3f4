"""What to type next for a run, as its record is in the ledger or in a file. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rollback.core.errors import VerificationFailed
from rollback.model.messages import next_for, not_verified, unwell
from rollback.model.plan import Plan
from rollback.model.record import Check, Record


class Advice(Protocol):
    """What the errors of the lifecycle say of what was done, and of what to type next."""

    @property
    def resume_or_undo(self) -> str:
        """For a run that was ended at once."""

    @property
    def done_so_far(self) -> str:
        """Where to see what was done until an error."""

    @property
    def go_on(self) -> str:
        """For a run that an error has ended in the middle."""

    def unfinished(self, record: Record) -> str:
        """For a run that was interrupted, or that failed in part."""

    def unverified(self, plan: Plan[Any], record: Record, checks: Sequence[Check]) -> VerificationFailed:
        """That everything was done, and verification failed."""

    @property
    def undo_failed(self) -> tuple[str, str]:
        """What was changed, and what to type next, where an undo failed as well."""

    @property
    def reverted(self) -> str:
        """For a run that failed and was undone."""


@dataclass(frozen=True, kw_only=True)
class LedgerAdvice:
    """For a record in the ledger; `verb` makes another one of its kind."""

    verb: str
    rollback_id: str
    environment: str

    @property
    def _name(self) -> str:
        return f"{self.rollback_id} --env {self.environment}"

    @property
    def resume_or_undo(self) -> str:
        return f"rollback resume {self._name}, or rollback abort {self._name}"

    @property
    def done_so_far(self) -> str:
        return "What was done until then is in the record."

    @property
    def go_on(self) -> str:
        return f"rollback resume {self._name}, to finish it; rollback abort {self._name}, to undo what can be undone"

    def unfinished(self, record: Record) -> str:
        return next_for(record)

    def unverified(self, plan: Plan[Any], record: Record, checks: Sequence[Check]) -> VerificationFailed:
        return not_verified(self.verb, plan, record, checks)

    @property
    def undo_failed(self) -> tuple[str, str]:
        return (
            f"rollback show {self._name} says what stands where.",
            f"rollback abort {self._name}, to try again to put it back.",
        )

    @property
    def reverted(self) -> str:
        return f"rollback show {self._name}"


@dataclass(frozen=True, kw_only=True)
class FileAdvice:
    """For an emergency, whose record is in the file `path`."""

    path: Path
    environment: str

    @property
    def _verb(self) -> str:
        return f"rollback lambda --emergency --env {self.environment} --reason …"

    @property
    def resume_or_undo(self) -> str:
        return f"{self._verb} --resume {self.path}, or --undo {self.path}"

    @property
    def done_so_far(self) -> str:
        return f"What was done until then is in {self.path}."

    @property
    def go_on(self) -> str:
        return f"{self._verb} --resume {self.path}"

    def unfinished(self, record: Record) -> str:  # noqa: ARG002 - the Protocol's
        return f"{self._verb} --resume {self.path}, to finish it; --undo {self.path}, to undo it"

    def unverified(self, plan: Plan[Any], record: Record, checks: Sequence[Check]) -> VerificationFailed:  # noqa: ARG002 - the Protocol's
        return VerificationFailed(
            f"Everything was moved to {plan.to_version}, but verification failed: {unwell(checks)}.",
            next=f"{self._verb} --resume {self.path}, to verify again; --undo {self.path}, to go back; or an older "
            "one: --to …",
        )

    @property
    def undo_failed(self) -> tuple[str, str]:
        return (
            f"What stands where is in {self.path}.",
            f"{self._verb} --undo {self.path}, to try again to put it back.",
        )

    @property
    def reverted(self) -> str:
        return f"{self._verb}, with --except for what does not go, or --to another release."
