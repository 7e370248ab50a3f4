"""Runs a drill: check, look, break, roll back, verify, restore, record.

What was deployed before is stored in the ledger before anything is changed, so that the next drill cleans up after
a crashed one, from any machine.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rollback.config.naming import ROLLBACK
from rollback.ledger.lease import LeaseHeld
from rollback.lifecycle import drill_store, freeze
from rollback.lifecycle.context import Session
from rollback.lifecycle.ports import Ui
from rollback.model.advice import restoring
from rollback.model.drill import AUTOMATIC, NONE, Drill, budget, guarded_service, only_planning
from rollback.model.release import DRILL
from rollback.queries.status import Overview, overview
from rollback.rehearsal.cli_driver import CliDriver, Stopwatch
from rollback.rehearsal.registry import KNOWN
from rollback.rehearsal.roles import Roles
from rollback.rehearsal.scenario import DrillContext, Scenario
from rollback.rehearsal.temp_clone import scratch
from rollback.targets.table import steps
from rollback.util.canonical import canonical
from rollback.util.errors import (
    Code,
    Refused,
    Reverted,
    RollbackError,
    StoppedAtOnce,
    UsageError,
)
from rollback.util.times import shown_time


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillRequest:
    """The options of a drill. `fault` is empty for each scenario's default; `patience` is in seconds."""

    scenarios: tuple[str, ...]
    fault: str = ""
    services: tuple[str, ...] = ()
    table: str = ""
    read_only: bool = False
    patience: float = 0.0

    def fault_of(self, scenario: str) -> str:
        """The fault of a scenario. Raises `UsageError` for one that the scenario does not have."""
        known = KNOWN[scenario].faults
        if self.fault and self.fault not in known:
            raise UsageError(
                f"--fault {self.fault} is not a fault of scenario {scenario}.",
                code=Code.OPTION_INVALID,
                next=f"--fault {'|'.join(known)}",
            )
        return self.fault or known[0]


@dataclass(frozen=True, kw_only=True)
class DrillRunner:
    """Drills in one environment. `stop` is set on Ctrl-C."""

    session: Session
    roles: Roles
    ui: Ui
    stop: threading.Event
    request: DrillRequest

    def run(self) -> list[Drill]:
        """Runs the requested drills one after the other; a failed one does not prevent the next
        one.

        Raises `Refused` where no drill may run now; for failed drills see `judged`.
        """
        refuse_production(self.session, read_only=self.request.read_only)
        self._meant()
        freeze.respected(self.session)
        identifier = self.session.clocks.identifier()
        left = drill_store.unfinished(self.session.ledger)
        with self._alone(f"{DRILL}-{left[0].drill_id if left else identifier}"):
            if not self.request.read_only:
                for drill in left:
                    self._clean_up(drill)
            refuse_unhealthy(overview(self.session))
            self._approvable()
            self._answering()
            done = []
            for scenario in self.request.scenarios:
                done.append(self._one(identifier, scenario))
                if self.stop.is_set():
                    break
                identifier = self.session.clocks.identifier()
            return done

    def _meant(self) -> None:
        """Checks the options. Raises `UsageError` for unknown faults, services or tables; `Refused` where no alarm may take the
        standby of `automatic`.
        """
        settings = self.session.settings
        for scenario in self.request.scenarios:
            self.request.fault_of(scenario)
        for service in self.request.services:
            settings.service(service)
        if self.request.table:
            steps.known(settings, self.request.table)
        if AUTOMATIC in self.request.scenarios:
            guarded_service(settings, self.request.services)

    def _answering(self) -> None:
        """Raises `Refused` where the verification of what is deployed fails: the drill's damage could not be
        distinguished from that.
        """
        with self._staged(NONE) as stage:
            done = stage.driver.type(ROLLBACK, "verify")
        if done.code:
            raise Refused(
                f"The verification of {self.session.environment} fails already: {done.why}",
                code=Code.DRILL_REFUSED,
                next=f"rollback verify --env {self.session.environment}",
            )

    def _one(self, identifier: str, scenario: str) -> Drill:
        with self._staged(self.request.fault_of(scenario)) as stage:
            acting = KNOWN[scenario].on(stage)
            if self.request.read_only:
                return self._planned(self._drill(identifier, scenario, "{}", stage.fault), acting)
            before = acting.look()
            drill = self._drill(identifier, scenario, canonical(before), stage.fault)
            drill_store.begin(self.session.ledger, drill)
            with _named(drill):
                why = self._rehearsed(drill, acting)
                watch = replace(stage.driver.watch, rollbacks=list(stage.driver.watch.rollbacks))
                self._restored(drill, acting, stage.driver)
                return self._ended(drill, watch, why)

    def _rehearsed(self, drill: Drill, acting: Scenario) -> str:
        """Runs a drill; returns the error, if any."""
        before = json.loads(drill.stood)
        try:
            for step in (acting.go_bad, acting.roll_back, acting.gone):
                if self.stop.is_set():
                    return "interrupted"
                step(drill, before)
        except RollbackError as error:
            self.ui.notice(f"The drill failed: {error.what}")
            return error.what
        return ""

    def _restored(self, drill: Drill, acting: Scenario, driver: CliDriver) -> None:
        """Raises `RollbackError` if it fails: the drill stays unfinished, and the next one tries again."""
        try:
            driver.clean_up(drill)
            acting.restore(drill, json.loads(drill.stood))
        except RollbackError as error:
            raise RollbackError(
                f"What was deployed before drill {drill.drill_id} could not be restored: {error.what}",
                code=Code.DRILL_NOT_RESTORED,
                changed=f"The drill started at {shown_time(drill.began_at)}; rollback status --env {drill.environment} shows what is deployed.",
                next=_restoring(drill),
            ) from error

    def _clean_up(self, drill: Drill) -> None:
        self.ui.notice(
            f"Drill {drill.drill_id} ({drill.scenario}) was interrupted: restoring what was deployed before it."
        )
        with self._staged(NONE) as stage, _named(drill):
            self._restored(drill, KNOWN[drill.scenario].on(stage), stage.driver)
            self._ended(drill, Stopwatch(), "interrupted")

    def _planned(self, drill: Drill, acting: Scenario) -> Drill:
        began, why = self.session.clocks.monotonic(), ""
        drill_store.begin(self.session.ledger, drill)
        try:
            acting.plan()
        except RollbackError as error:
            self.ui.notice(f"The plan failed: {error.what}")
            why = error.what
        return self._ended(drill, Stopwatch(seconds=round(self.session.clocks.monotonic() - began, 3)), why)

    def _ended(self, drill: Drill, watch: Stopwatch, why: str) -> Drill:
        ended = drill.ended(
            self.session.clocks.now(),
            seconds=round(watch.seconds, 3) if watch.rollbacks or drill.read_only else None,
            waited=round(watch.waited, 3),
            rollbacks=watch.rollbacks,
            why=why[:_WHY],
        )
        drill_store.end(self.session, ended)
        return ended

    # -- helpers -------------------------------------------------------------------------------------------

    def _drill(self, identifier: str, scenario: str, before: str, fault: str) -> Drill:
        newest = self.session.ledger.newest()
        return Drill(
            drill_id=identifier,
            environment=self.session.environment,
            scenario=scenario,
            fault=fault,
            by=self.roles.own.caller,
            began_at=self.session.clocks.now(),
            rto_seconds=budget(self.session.settings, scenario),
            stood=before,
            seq=newest.seq if newest else 0,
            read_only=self.request.read_only,
        )

    @contextmanager
    def _staged(self, fault: str) -> Iterator[DrillContext]:
        with scratch(self.session.root, self.session.settings) as place:
            yield DrillContext(
                session=self.session,
                roles=self.roles,
                driver=CliDriver(
                    session=self.session,
                    roles=self.roles,
                    root=place.root,
                    fault=fault,
                    patience=self.request.patience,
                    stop=self.stop,
                    notice=self.ui.notice,
                ),
                scratch=place,
                fault=fault,
                services=self.request.services,
                table=self.request.table,
            )

    @contextmanager
    def _alone(self, owner: str) -> Iterator[None]:
        """One drill at a time; waits for the lease of a crashed one to expire."""
        leases = self.session.leases
        try:
            locks = leases.hold_over(
                (DRILL,),
                owner,
                lambda left: self.ui.waiting("Waiting for the lease of the earlier drill to expire", left),
            )
        except LeaseHeld as held:
            raise Refused(
                f"Another drill is running: {held.what}",
                code=Code.LEASE_HELD,
                next=f"rollback abort {held.owner} --env {self.session.environment}  # if its process has crashed; otherwise wait",
            ) from None
        try:
            yield
        finally:
            locks.release()

    def _approvable(self) -> None:
        """Raises `UsageError` where another person must approve, but none is given or waited for."""
        if self.request.read_only or self.roles.approver or self.request.patience:
            return
        for scenario in self.request.scenarios:
            if any(self.session.policy(kind) == "identity" for kind in KNOWN[scenario].kinds):
                raise UsageError(
                    f"In {self.session.environment} scenario {scenario} needs another person's approval.",
                    code=Code.OPTION_INVALID,
                    next="Use --approver-profile PROFILE with that person's AWS profile; or --wait MINUTES, and let that "
                    "person run the command that is shown.",
                )


_WHY = 500


@contextmanager
def _named(drill: Drill) -> Iterator[None]:
    """On a second Ctrl-C, names the drill that was stopped, and what restores what was deployed before it."""
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedAtOnce(
            "Stopped at once.",
            code=Code.ENDED,
            changed=f"What was deployed before drill {drill.drill_id} has not been restored: its release, which is bad on purpose, may be deployed.",
            next=_restoring(drill),
        ) from None


def _restoring(drill: Drill) -> str:
    return f"{restoring(drill.environment, drill.scenario)}  # restores it first"


def refuse_production(session: Session, *, read_only: bool) -> None:
    """Raises `Refused` in production, unless the drill is read-only."""
    if not read_only and not session.settings.drills:
        raise Refused(
            f"{session.environment} is production: drills only run there with --read-only.",
            code=Code.DRILL_REFUSED,
            next=only_planning(session.environment),
        )


def refuse_unhealthy(view: Overview) -> None:
    """Raises `Refused` where something is running, or is not deployed as recorded."""
    waiting = [seen.record.rollback_id for seen in view.in_flight]
    held = [f"{domain} ({item['owner']})" for domain, item in view.holders.items() if domain != DRILL]
    wrong = [status.function for service in view.services for status in service.functions if not status.ok]
    why = (
        [f"{', '.join(waiting[:3])} is running"] if waiting else [],
        [f"a lease is held on {', '.join(held[:3])}"] if held else [],
        [f"{', '.join(wrong[:3])} is not as recorded"] if wrong else [],
        [] if all(service.stands for service in view.services) else ["no release is recorded"],
    )
    if found := [text for texts in why for text in texts]:
        raise Refused(
            f"{view.environment} is not ready for a drill: {'; '.join(found)}.",
            code=Code.DRILL_REFUSED,
            next=view.advice[0].next or f"rollback status --env {view.environment}",
        )


def judged(drills: Sequence[Drill]) -> None:
    """Raises `Reverted` where a drill did not pass; everything was restored."""
    failed = [drill for drill in drills if drill.why]
    if failed:
        raise Reverted(
            "; ".join(f"{drill.scenario} did not pass: {drill.why}" for drill in failed),
            code=Code.DRILL_FAILED,
            changed="What was deployed before was restored."
            if not failed[0].read_only
            else "Nothing was changed.",
            next=f"rollback drill --env {failed[0].environment} --report",
        )
