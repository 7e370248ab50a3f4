"""The Protocol of a drill's scenario: one file each, with the same few steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rollback.actions.context import Session
from rollback.drill.cli_driver import CliDriver
from rollback.drill.roles import Roles
from rollback.drill.temp_clone import Scratch
from rollback.model.drill import Drill

# What was deployed before a drill, and all that is needed to restore it from any machine, as JSON values:
# each scenario's `look` says its keys, e.g. {"commit": "<40 digits>"}.
StateBefore = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class DrillContext:
    """What every scenario works with. `services` and `table` are those that were named, empty where none was."""

    session: Session
    roles: Roles
    driver: CliDriver
    scratch: Scratch
    fault: str
    services: tuple[str, ...] = ()
    table: str = ""


class Scenario(Protocol):
    """A scenario. A step raises `RollbackError` where it does not come out as it should."""

    def look(self) -> StateBefore:
        """What is deployed now, which all other steps get as `stood`. Raises `Refused` where it could not be
        restored exactly so.
        """

    def go_bad(self, drill: Drill, before: StateBefore) -> None:
        """Deploys what is bad, as a deployment would, and checks that it is bad."""

    def roll_back(self, drill: Drill, before: StateBefore) -> None:
        """Runs what an on-call person types: this is measured."""

    def gone(self, drill: Drill, before: StateBefore) -> None:
        """Checks that what was bad is gone."""

    def restore(self, drill: Drill, before: StateBefore) -> None:
        """Restores what was deployed before, whatever has been done until now: it may be called twice."""

    def plan(self) -> None:
        """Only plans, and checks that what is deployed answers."""
