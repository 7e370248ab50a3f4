"""The functions that an environment's settings list, beside those that its account has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollback.actions.catalogue import files, sync
from rollback.actions.catalogue.sync import Synced
from rollback.api.stepwise import stepwise
from rollback.model.catalogue import Selection

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True)
class Catalogue:
    """Which functions are rolled back. The ledger is not asked, and nothing in the account is changed."""

    environment: Environment

    def compare(self, selection: Selection | None = None) -> Synced:
        """What is new, gone or renamed, and the file that would say so.

        Looked at are functions of the same stacks or with names that begin alike; with a `selection`, those that it names.
        Raises `UsageError` where nothing of the catalogue would be left.
        """
        env = self.environment
        with env.operation() as session, stepwise(env.reporter) as progress:
            return sync.compare(session, selection or Selection(), progress)

    def write(self, synced: Synced) -> None:
        """Writes it into the environment's file, all else of which stays as it is.

        Raises `Refused` where the file is not as it was, or the catalogue is that of all environments.
        """
        files.write([sync.writable(synced)])

    def steps(self, synced: Synced) -> tuple[str, ...]:
        """What to type once it is written, line by line."""
        return sync.steps(self.environment.settings, synced)
