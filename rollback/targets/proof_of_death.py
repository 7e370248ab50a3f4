"""Proves that the holder of an engine's lock is dead: from this machine, from its CI run, or by a person's confirmation."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rollback.engines import ci
from rollback.util.process_identity import Process


def proof(processes: Iterable[Process], run: str, *, names: Collection[str], confirmed: str) -> str:
    """The proof that the holder of a lock is dead, in words; empty if there is none.

    `processes` are those of this record that may hold it, `run` is their CI run (or its attempt),
    empty if a person started them or it is unknown. `names` are the holder's names that a person can confirm,
    `confirmed` is the name given.
    """
    if confirmed and confirmed in names:
        return "a person confirmed that it is dead"
    here = [process for process in processes if process.is_here]
    if here:
        return (
            ""
            if any(process.alive() for process in here)
            else "it belongs to this record, and its process has ended"
        )
    if run and ci.has_ended(run):
        return f"it belongs to this record, and its CI run {run} has ended"
    return ""
