"""The commands for one record, in the ledger or in an emergency's file. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Commands:
    """The commands for one record, and where it is stored: in the ledger, or in an emergency's file.

    `another` starts another rollback of its kind; `place` names where its journal is.
    """

    resume: str
    undo: str
    verify: str
    another: str
    show: str
    place: str
    ledger: bool

    @classmethod
    def in_ledger(cls, rollback_id: str, environment: str, verb: str = "") -> Commands:
        name = f"{rollback_id} --env {environment}"
        return cls(
            resume=f"rollback resume {name}",
            undo=f"rollback abort {name}",
            verify=f"rollback verify {name}",
            another=f'rollback {verb} --env {environment} --reason "…"',
            show=f"rollback show {name}",
            place="The record",
            ledger=True,
        )

    @classmethod
    def in_file(cls, path: Path, environment: str) -> Commands:
        verb = f'rollback lambda --emergency --env {environment} --reason "…"'
        return cls(
            resume=f"{verb} --resume {path}",
            undo=f"{verb} --undo {path}",
            verify=f"{verb} --resume {path}",
            another=verb,
            show=f"{verb}  # with --except for what does not go, or --to another release",
            place=str(path),
            ledger=False,
        )
