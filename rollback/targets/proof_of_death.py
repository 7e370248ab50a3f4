"""How the holder of an engine's lock is known to be dead: by this machine, by the CI that it ran in, or by a person."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rollback.core.process_identity import Process
from rollback.integrations import ci


def proof(processes: Iterable[Process], run: str, *, names: Collection[str], confirmed: str) -> str:
    """Why the holder of a lock is known to be dead; empty where it is not known.

    `processes` are those of this record that may hold it, `run` is the CI run (or its attempt) that they belonged
    to, empty for a person's or an unknown one. `names` are what a person may call the holder by, `confirmed` is what
    one has.
    """
    if confirmed and confirmed in names:
        return "a person says that it is dead"
    here = [process for process in processes if process.is_here]
    if here:
        return "" if any(process.alive() for process in here) else "ours, and its process has ended"
    if run and ci.has_ended(run):
        return f"ours, and its CI run {run} has ended"
    return ""
