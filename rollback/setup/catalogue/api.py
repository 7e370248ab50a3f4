"""Compares the functions that an environment's settings list with those that its account has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollback.api.stepwise import stepwise
from rollback.setup.catalogue import files, sync
from rollback.setup.catalogue.grouping import Selection
from rollback.setup.catalogue.sync import Synced

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True)
class Catalogue:
    """Which functions are rolled back. Does not read the ledger, and changes nothing in the account."""

    environment: Environment

    def compare(self, selection: Selection | None = None) -> Synced:
        """What is new, deleted or renamed, and the file as it would be written.

        Compares functions of the same stacks or with the same name prefixes; with a `selection`, those that it selects.
        Raises `UsageError` if the catalogue would become empty.
        """
        env = self.environment
        with env.operation() as session, stepwise(env.reporter) as progress:
            return sync.compare(session, selection or Selection(), progress)

    def write(self, synced: Synced) -> None:
        """Writes it to the environment's file and leaves the rest of the file as it is.

        Raises `Refused` if the file has changed since, or if all environments share the catalogue.
        """
        files.write([sync.writable(synced)])

    def steps(self, synced: Synced) -> tuple[str, ...]:
        """What to type after writing it, line by line."""
        return sync.steps(self.environment.settings, synced)
