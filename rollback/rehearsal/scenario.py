"""The Protocol of a drill's scenario: one file each, with the same few steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rollback.lifecycle.context import Session
from rollback.model.drill import Drill
from rollback.rehearsal.cli_driver import CliDriver
from rollback.rehearsal.roles import Roles
from rollback.rehearsal.temp_clone import Scratch

# What was deployed before a drill, with everything needed to restore it from any machine, as JSON values:
# the keys are documented in each scenario's `look`, e.g. {"commit": "<40 digits>"}.
StateBefore = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class DrillContext:
    """The context of a scenario. `services` and `table` are the given ones, or empty."""

    session: Session
    roles: Roles
    driver: CliDriver
    scratch: Scratch
    fault: str
    services: tuple[str, ...] = ()
    table: str = ""


class Scenario(Protocol):
    """A scenario. A step raises `RollbackError` if it fails."""

    def look(self) -> StateBefore:
        """What is deployed now, which is passed to all other steps. Raises `Refused` where it could not be
        restored exactly.
        """

    def go_bad(self, drill: Drill, before: StateBefore) -> None:
        """Deploys the fault, like a deployment, and checks its effect."""

    def roll_back(self, drill: Drill, before: StateBefore) -> None:
        """Runs the commands of an on-call person; this is measured."""

    def gone(self, drill: Drill, before: StateBefore) -> None:
        """Checks that the fault is gone."""

    def restore(self, drill: Drill, before: StateBefore) -> None:
        """Restores what was deployed before, from any intermediate state. Idempotent."""

    def plan(self) -> None:
        """Only plans, and checks that the current release responds."""
