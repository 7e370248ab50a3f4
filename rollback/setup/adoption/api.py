"""Which declared resources an account already has, and how the stack adopts them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rollback.setup.adoption import discovery, import_ids
from rollback.setup.adoption import foundation as foundations
from rollback.setup.adoption.foundation import Split
from rollback.setup.adoption.import_ids import ImportPlan

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True)
class Adoption:
    """Adoption in one environment. Changes nothing in the account."""

    environment: Environment

    def find(self, *, foundation: bool = False) -> ImportPlan:
        """What the environment's stack, or with `foundation` its foundation's stack, can adopt, by the engine's
        preview.
        """
        env = self.environment
        with env.operation() as session:
            return discovery.discover(session, env.reporter, env.stop.is_set, foundation=foundation)

    def check_folder(self, folder: Path) -> None:
        """Raises `UsageError` if the files cannot be written to `folder`."""
        discovery.checked(folder)

    def write(self, found: ImportPlan, folder: Path) -> tuple[Path, ...]:
        """Writes the engine's import file, and import blocks for Terraform if any. Raises `UsageError` if it cannot."""
        return tuple(discovery.write(found, folder, self.environment.settings))

    def commands(
        self, found: ImportPlan, folder: Path | None = None, *, foundation: bool = False
    ) -> tuple[str, ...]:
        """What to type next, in order; `folder` is where the files were written."""
        with self.environment.operation() as session:
            return tuple(discovery.commands(session, found, folder, foundation=foundation))

    def check(self, found: ImportPlan) -> None:
        """Raises `Refused` if something would be replaced or not adopted."""
        import_ids.refuse(found)

    def split_foundation(self, *, dry_run: bool = False) -> Split:
        """Removes from the stack's state what the foundation's stack now has; with `dry_run` it only lists it.

        Raises `UsageError` if one of the stacks does not exist; `Refused` if another update of the stack runs, or if
        the foundation's stack does not have everything yet.
        """
        with self.environment.operation() as session:
            return foundations.take_out(session, dry_run=dry_run)

    def split_command(self) -> str:
        """The command for that."""
        return foundations.command(self.environment.name)
