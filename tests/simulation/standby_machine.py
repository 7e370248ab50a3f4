"""What happens around a way back that is on standby: a person and a guard who take it, an alarm, the next release."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.simulation.faults import FAULTS
from tests.simulation.machine import POLICIES, Further, Schedules, further, manners, variants
from tests.simulation.play import Manner, Play
from tests.simulation.process import Process
from tests.simulation.world import ALARM, OTHER, STRANGE, World

# What an alarm is, and when it turned so: minutes from the newest release, before it or after.
_RED = st.just({"state": "ALARM", "minutes": 1})
_ALARMS = _RED | st.builds(
    dict,
    state=st.sampled_from(("ALARM", "ALARM", "ALARM", "OK", "INSUFFICIENT_DATA")),
    minutes=st.sampled_from((1, 1, 5, 31, -1, -20)),
    name=st.sampled_from((ALARM, ALARM, OTHER, STRANGE)),
    flapped=st.sampled_from((False, False, False, True)),
    known=st.sampled_from((True, True, True, False)),
)
# Seconds by which a clock is off.
_SKEWS = st.sampled_from((0.0, 0.0, 0.0, 3600.0, -3600.0))


class Standbys(Schedules):
    """Schedules that begin with something on standby."""

    @initialize(
        policy=st.sampled_from(POLICIES),
        takes=st.sampled_from((True, True, True, True, False)),
        production=st.booleans(),
        keeps=st.booleans(),
        minutes=st.sampled_from((1, 45, 45)),
        approved=st.sampled_from((True, True, False)),
        guarded=st.sampled_from((True, True, False)),
        manner=manners,
        far=st.integers(0, 9),
        turned=_ALARMS,
        variant=variants,
    )
    def begins(  # type: ignore[override] # another beginning
        self,
        *,
        policy: str,
        takes: bool,
        production: bool,
        keeps: bool,
        minutes: int,
        approved: bool,
        guarded: bool,
        manner: Manner,
        far: int,
        turned: dict[str, Any],
        variant: int,
    ) -> None:
        world = World(policy=policy, keeps=keeps, automatic=takes, production=production)
        self.play = Play(world, policy)
        self.abort = bool(variant % 2)
        self.play.finish(self.play.prepare("dan", minutes))
        if approved:
            self._approve()
        world.alarm_turns(**turned)
        if guarded:
            self._on(self.play.guard(manner), far, [])

    @rule(
        manner=manners,
        minutes=st.sampled_from((1, 45)),
        person=st.sampled_from(("dan", "alice")),
        skew=_SKEWS,
    )
    @precondition(lambda self: not self.play.crowded)
    def prepare(self, *, manner: Manner, minutes: int, person: str, skew: float) -> None:
        process = self.play.prepare(person, minutes, manner)
        process.skew = skew
        self.play.finish(process)

    @rule()
    @precondition(lambda self: not self.play.crowded)
    def approve(self) -> None:
        self._approve()

    @rule(manner=manners, far=st.integers(0, 9), skew=_SKEWS, automatic=st.booleans(), more=further)
    @precondition(lambda self: not self.play.crowded)
    def take(self, *, manner: Manner, far: int, skew: float, automatic: bool, more: Further) -> None:
        """A person takes it, or the guard decides whether it does; the one stands still while the other begins."""
        process = self.play.guard(manner) if automatic else self.play.take("carol", manner)
        process.skew = skew
        self._on(process, far, more)

    @rule(far=st.integers(0, 9), other=st.integers(0, 9), manner=manners, skew=_SKEWS)
    @precondition(lambda self: len(self.play.live) < 3)
    def both(self, *, far: int, other: int, manner: Manner, skew: float) -> None:
        """The guard and a person at once."""
        guard, person = self.play.guard(manner), self.play.take("carol", manner)
        guard.skew = skew
        self.play.some_way(guard, far)
        self.play.some_way(person, other)
        for process in (guard, person):
            if not process.ended:
                self.play.finish(process)

    @rule(turned=_ALARMS)
    def alarm(self, *, turned: dict[str, Any]) -> None:
        self.play.world.alarm_turns(**turned)

    @rule(which=st.integers(0, 2), version=st.sampled_from(("1", "2", "3")), weighted=st.booleans())
    def drift(self, *, which: int, version: str, weighted: bool) -> None:
        """Somebody moves an alias by hand, or gives it a weight."""
        world = self.play.world
        name = world.names[which]
        if world.alias(name) is not None and {version, "1"} <= set(world.functions._functions[name].versions):
            world.functions.point(name, "live", version, {"1": 0.5} if weighted and version != "1" else {})
            world.truth.outside_write(name)

    @rule(seconds=st.sampled_from((30, 45 * 60)))
    def time_runs_out(self, *, seconds: int) -> None:
        self.play.pass_time(seconds)

    def _approve(self) -> None:
        for record in self.play.records("STANDBY")[-1:]:
            self.play.finish(self.play.act("bob", "approve", record))

    def _on(self, process: Process, far: int, more: Further) -> None:
        self.play.some_way(process, far)
        for calls, fault, variant in more:
            if fault in FAULTS:
                self._struck(process, fault, calls, variant)
