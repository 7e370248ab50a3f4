"""What an account has already of what the program declares, and how the stack takes it over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rollback.actions.adoption import discovery, import_ids
from rollback.actions.adoption import foundation as foundations
from rollback.actions.adoption.foundation import Split
from rollback.actions.adoption.import_ids import ImportPlan

if TYPE_CHECKING:
    from rollback.api.environment import Environment


@dataclass(frozen=True)
class Adoption:
    """Adoption in one environment. Nothing in the account is changed."""

    environment: Environment

    def find(self, *, foundation: bool = False) -> ImportPlan:
        """What the environment's stack can adopt, or that of its `foundation`, as the engine previews it."""
        env = self.environment
        with env.operation() as session:
            return discovery.discover(session, env.reporter, env.stop.is_set, foundation=foundation)

    def check_folder(self, folder: Path) -> None:
        """Raises `UsageError` where `folder` can be none to write to."""
        discovery.checked(folder)

    def write(self, found: ImportPlan, folder: Path) -> tuple[Path, ...]:
        """Writes the engine's import file, and lines for Terraform if there are any. Raises `UsageError` where it cannot."""
        return tuple(discovery.write(found, folder, self.environment.settings))

    def commands(
        self, found: ImportPlan, folder: Path | None = None, *, foundation: bool = False
    ) -> tuple[str, ...]:
        """What to type next, in order; `folder` is where the files were written."""
        with self.environment.operation() as session:
            return tuple(discovery.commands(session, found, folder, foundation=foundation))

    def check(self, found: ImportPlan) -> None:
        """Raises `Refused` where something would be replaced, or not be adopted."""
        import_ids.refuse(found)

    def split_foundation(self, *, dry_run: bool = False) -> Split:
        """Has the stack forget what is in the foundation's stack now; with `dry_run` it only says what.

        Raises `UsageError` where one of the stacks is not there; `Refused` where somebody is at the stack, or where the
        foundation's does not have everything yet.
        """
        with self.environment.operation() as session:
            return foundations.take_out(session, dry_run=dry_run)

    def split_command(self) -> str:
        """What is typed for that."""
        return foundations.command(self.environment.name)
