"""Whether everything that is deployed is as recorded, goes through the alias, and passes the configured smoke command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rollback.lifecycle import smoke_test
from rollback.lifecycle.context import Session
from rollback.lifecycle.ports import Ui
from rollback.lifecycle.run import working
from rollback.model.record import Check
from rollback.queries import as_recorded, traffic


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """The checks of what is deployed, and the smoke command's output, if it ran."""

    checks: tuple[Check, ...]
    traffic: traffic.Traffic
    output: str = ""

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


def verified(session: Session, ui: Ui, *, within: Callable[[], float | None] = lambda: None) -> Verified:
    """Runs all checks, which takes seconds, and the smoke command, which is limited to `within` seconds. Raises as
    `as_recorded.check` and `smoke` do.
    """
    with working(ui, "Reading what is deployed"):
        found = traffic.of(session)
        checks = (*as_recorded.check(session), traffic.check(found, session.settings.alias))
    proved = smoke_test.smoke(session.settings, session.root, seconds=within(), ui=ui)
    if proved is None:
        return Verified(checks=checks, traffic=found)
    return Verified(checks=(*checks, proved[0]), traffic=found, output=proved[1])
