"""The scenario `automatic`: bad code in all functions of a service, its standby, and an alarm that takes it.

Nobody types a rollback: the drill invokes the bad functions like users until the service's alarm goes off, and then
only watches. It measures from the alarm's transition to verified COMPLETE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from rollback.aws import alarms
from rollback.config.naming import GUARD, ROLLBACK
from rollback.model.automatic import RED
from rollback.model.drill import Drill, guarded_service
from rollback.model.guarding import DECLINED, declined
from rollback.model.kind import Kind
from rollback.model.record import Record, Status, seconds_between
from rollback.rehearsal.scenario import StateBefore
from rollback.rehearsal.scenarios.code import CodeScenario
from rollback.util.errors import Code, Refused, RollbackError

# Seconds between two checks, and between two rounds of calls: each has enough errors for a minute of the alarm.
_LOOK, _ROUND = 1.0, 20.0
# Minutes: the allowed delay of CloudWatch beyond the alarm's own minutes, and of the standby beyond `bake`.
_LATE, _MARGIN = 5, 5
_UNDER_WAY = (Status.STANDBY, Status.IN_PROGRESS)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class AutomaticScenario(CodeScenario):
    """The scenario `automatic`."""

    def look(self) -> StateBefore:
        """As `Functions.look`. Raises `Refused` where the guard would not act, or its alarm went off recently."""
        session = self.stage.session
        env, minutes = session.environment, session.settings.automatic.bake
        services = self.stage.services or (guarded_service(session.settings),)
        before = replace(self, stage=replace(self.stage, services=services)).functions.look()
        done = self.stage.driver.type(ROLLBACK, "guard", "status")
        if done.code:
            raise Refused(
                f"The guard of {env} would not act on an alarm: {done.why}",
                code=Code.DRILL_REFUSED,
                next=f"rollback guard status --env {env}",
            )
        alarm, since = self._alarm(before), session.now() - timedelta(minutes=minutes)
        states = {seen.state for seen in alarms.seen(session.account, [alarm], since)}
        for change in alarms.changes(session.account, alarm, since):
            states |= {change.state, change.before}
        if RED in states:
            raise Refused(
                f"{alarm} was in ALARM within the last {minutes} minutes (setting `automatic.bake`): the guard would "
                "ignore it.",
                code=Code.DRILL_REFUSED,
                next=f"rollback guard status --env {env}  # run the drill again after {minutes} minutes without ALARM",
            )
        return before

    def go_bad(self, drill: Drill, before: StateBefore) -> None:
        settings, scratch = self.stage.session.settings, self.stage.scratch
        commit = scratch.commit(f"{drill.reason}, bad on purpose", scratch.tip, {})
        self.make_bad(drill, before)
        minutes = min(settings.automatic.bake + _MARGIN, settings.approval.expires_minutes)
        # An error before the release is recorded would not be attributed to it.
        recorded = self.functions.promote(drill, before, commit, "--standby", f"{minutes}m", called=False)
        standby = recorded.get("standby") or {}
        if not standby.get("rollback_id"):
            raise RollbackError(
                f"There is no standby for {drill.release}: {standby.get('message', 'nothing changes')}",
                code=Code.DRILL_FAILED,
            )
        self.stage.driver.approve(Kind.ALIASES, standby["rollback_id"], standby["digest"])

    def roll_back(self, drill: Drill, before: StateBefore) -> None:
        """Invokes the bad functions until their alarm goes off, and watches. Raises `RollbackError` where the guard does not roll
        back, or somebody else does.
        """
        alarm, driver = self._alarm(before), self.stage.driver
        name = next(record.rollback_id for record in driver.opened(drill) if record.standby_until)
        driver.notice(f"invoking {before['service']} until {alarm} goes off; {name} is on standby")
        red = self._until_red(alarm, before)
        driver.notice(f"{alarm} went into ALARM at {red}; waiting for the guard")
        record = self._until(
            lambda: self._ended(name, alarm), drill.rto_seconds, f"{name} was not taken and finished"
        )
        if record.completed_at is None or record.status is not Status.COMPLETE:
            raise RollbackError(f"{name} is {record.status}.", code=Code.DRILL_FAILED)
        driver.watch.rollbacks.append(name)
        driver.watch.seconds += seconds_between(red, record.completed_at)
        guards = self.stage.session.settings.names.role(GUARD)
        if record.alarm != alarm or record.taken_by is None or record.taken_by.role != guards:
            raise RollbackError(
                f"{name} was taken by {record.taken_by} for {record.alarm or 'no alarm'}, not by the guard for {alarm}.",
                code=Code.DRILL_FAILED,
            )

    def plan(self) -> None:
        settings = self.stage.session.settings
        alarm = settings.names.alarm(guarded_service(settings, self.stage.services))
        self.stage.driver.must(ROLLBACK, "guard", "test", "--alarm", alarm)
        self.stage.driver.must(ROLLBACK, "verify")

    # -- watching ------------------------------------------------------------------------------------------

    def _alarm(self, before: StateBefore) -> str:
        return self.stage.session.settings.names.alarm(before["service"])

    def _until_red(self, alarm: str, before: StateBefore) -> str:
        """The time when the alarm went off, ISO 8601 in UTC."""
        session, configured = self.stage.session, self.stage.session.settings.guard
        assert configured is not None  # noqa: S101 - `look` has asked
        rounds: list[float] = []

        def red() -> str:
            if not rounds or session.clocks.monotonic() - rounds[-1] >= _ROUND:
                rounds.append(session.clocks.monotonic())
                if not self.functions.call(before, configured.errors):
                    raise RollbackError(
                        f"{before['service']} still responds: the fault has no effect on it.",
                        code=Code.DRILL_FAILED,
                    )
            (seen,) = alarms.seen(session.account, [alarm], session.now())
            return seen.since if seen.state == RED else ""

        return self._until(red, (configured.minutes + _LATE) * 60, f"{alarm} did not go off")

    def _ended(self, name: str, alarm: str) -> Record | None:
        """The record, after it has ended. Raises `RollbackError` where the guard ignored the alarm."""
        session = self.stage.session
        record = session.ledger.load(name).record
        if record.status is Status.STANDBY:
            for entry in declined(session.ledger.timeline(readable=True)):
                if entry.kind == DECLINED and f" {alarm}: " in entry.status:
                    raise RollbackError(f"The guard did not act: {entry.status}", code=Code.DRILL_FAILED)
        return None if record.status in _UNDER_WAY else record

    def _until(self, found: Callable[[], T | None], seconds: float, what: str) -> T:
        clocks, stop = self.stage.session.clocks, self.stage.driver.stop
        began = clocks.monotonic()
        while not (value := found()):
            if stop.is_set():
                raise RollbackError("Interrupted.", code=Code.INTERRUPTED)
            if clocks.monotonic() - began > seconds:
                raise RollbackError(f"{what} within {seconds:.0f} s.", code=Code.DRILL_FAILED)
            clocks.sleep(_LOOK)
        return value
