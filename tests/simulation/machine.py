"""What hypothesis decides: the account, who begins what, how far each comes, and what goes wrong where."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.simulation import aftermath
from tests.simulation.calls import LEAST
from tests.simulation.faults import CELLS, FAULTS, HOT, WRITTEN, on_the_way
from tests.simulation.play import Manner, Play
from tests.simulation.process import Process
from tests.simulation.world import World

POLICIES = ("none", "none", "identity")
manners = st.builds(
    Manner,
    order=st.integers(0, 23),
    ahead=st.integers(0, 3),
    slow=st.sampled_from((False, False, False, True)),
)
variants = st.integers(0, 59)
cells = st.sampled_from(CELLS) | st.sampled_from(CELLS) | st.sampled_from(HOT)
numbers = st.integers(0, 3)
# What else happens to the same process: so many calls later, which fault, and how.
further = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(tuple(FAULTS)), variants), max_size=2)
Further = list[tuple[int, str, int]]


class Schedules(RuleBasedStateMachine):
    """One run is one schedule. `struck` and `schedules` are of all of them."""

    struck: ClassVar[Counter[tuple[str, str]]] = Counter()
    schedules: ClassVar[int] = 0
    # Where every schedule begins; None where that is drawn, too.
    first: ClassVar[tuple[str, str] | None] = None

    @initialize(
        cell=cells,
        policy=st.sampled_from(POLICIES),
        keeps=st.booleans(),
        canary=st.booleans(),
        manner=manners,
        number=st.sampled_from((1, 1, 1, 2, 3, 4)),
        variant=variants,
        more=further,
    )
    def begins(
        self,
        *,
        cell: tuple[str, str],
        policy: str,
        keeps: bool,
        canary: bool,
        manner: Manner,
        number: int,
        variant: int,
        more: Further,
    ) -> None:
        cell = self.first or cell
        _, phase = cell
        if phase in ("approve", "apply"):
            policy = "identity"
        self.play = Play(World(policy=policy, keeps=keeps, canary=canary), policy)
        self.abort = bool(variant % 2)
        self._trouble(cell, manner, number, variant, more)

    @rule(
        cell=cells,
        manner=manners,
        number=st.sampled_from((1, 1, 1, 2, 3, 4)),
        variant=variants,
        more=further,
    )
    @precondition(lambda self: not self.play.crowded)
    def trouble(
        self, *, cell: tuple[str, str], manner: Manner, number: int, variant: int, more: Further
    ) -> None:
        if cell[1] in ("approve", "apply") and self.play.policy == "none":
            return
        self._trouble(cell, manner, number, variant, more)

    @rule(which=numbers, fault=st.sampled_from(tuple(FAULTS)), calls=st.integers(0, 6), variant=variants)
    @precondition(lambda self: self.play.live)
    def strike(self, *, which: int, fault: str, calls: int, variant: int) -> None:
        live = self.play.live
        self._struck(live[which % len(live)], fault, calls, variant)

    @rule(which=numbers, calls=st.integers(1, 15))
    @precondition(lambda self: self.play.live)
    def go(self, *, which: int, calls: int) -> None:
        live = self.play.live
        self.play.go(live[which % len(live)], calls)

    @rule(which=numbers)
    @precondition(lambda self: self.play.live)
    def finish(self, *, which: int) -> None:
        live = self.play.live
        self.play.finish(live[which % len(live)])

    @rule(seconds=st.sampled_from((1, 20, 50, 70)))
    def wait(self, *, seconds: int) -> None:
        self.play.pass_time(seconds)

    @rule(manner=manners, to=st.sampled_from(("previous", "v1.0.0", "v1.1.0")), part=st.booleans())
    @precondition(lambda self: not self.play.crowded)
    def rollback(self, *, manner: Manner, to: str, part: bool) -> None:
        self.play.rollback("carol", to, ("teams",) if part else (), manner)

    @rule(
        verb=st.sampled_from(("approve", "apply", "resume", "abort", "verify")),
        which=numbers,
        manner=manners,
        mistaken=st.booleans(),
        alone=st.booleans(),
    )
    @precondition(lambda self: not self.play.crowded and self.play.world.truth.stories)
    def act(self, *, verb: str, which: int, manner: Manner, mistaken: bool, alone: bool) -> None:
        play = self.play
        found = list(play.world.truth.stories)
        person = "bob" if verb == "approve" else "alice"
        process = play.act(person, verb, found[-1 - which % len(found)], manner, mistaken=mistaken)
        if alone:
            play.finish(process)

    @rule(manner=manners, again=st.booleans(), lag=st.sampled_from((0, 0, 3, 10)), alone=st.booleans())
    @precondition(lambda self: not self.play.crowded)
    def deploy(self, *, manner: Manner, again: bool, lag: int, alone: bool) -> None:
        play = self.play
        if lag:
            play.lag(lag)
        process = play.deploy(manner, again=again)
        if alone:
            play.finish(process)

    @rule(person=st.sampled_from(("alice", "carol", "dan")))
    @precondition(lambda self: not self.play.crowded)
    def freeze(self, *, person: str) -> None:
        """It is frozen, or not any more: who holds it so is not bound by it."""
        if self.play.world.truth.frozen_by:
            self.play.unfreeze(person)
        else:
            self.play.freeze(person)

    @rule()
    @precondition(lambda self: self.play.world.letters)
    def deliver(self) -> None:
        self.play.world.deliver()
        self.play.check()

    def teardown(self) -> None:
        if not hasattr(self, "play"):
            return
        play = self.play
        try:
            if play.world.broken is None:
                if not play.struck:
                    aftermath.unfreeze(play.world)
                    process = play.rollback("carol")
                    play.go(process, 1)
                    if not process.ended:
                        play.strike(process, "throttle", 0)
                play.settle(abort=self.abort)
                type(self).schedules += 1
                type(self).struck.update(play.struck)
        finally:
            for process in play.live:
                process.kill()

    def _trouble(
        self, cell: tuple[str, str], manner: Manner, number: int, variant: int, more: Further
    ) -> None:
        play, (fault, phase) = self.play, cell
        number = min(number, LEAST[phase][fault in WRITTEN])
        process = play.ready(phase, manner, variant // 3)
        if phase == "beat":
            if play.to(process, "execute", min(number, 2)):
                play.strike_beat(process, fault, on_the_way(fault, variant))
        elif play.to(process, phase, number, writing=fault in WRITTEN or phase == "lease"):
            play.strike(process, fault, variant)
        for calls, other, how in more:
            self._struck(process, other, calls, how)

    def _struck(self, process: Process, fault: str, calls: int, variant: int) -> None:
        if self.play.go(process, calls) and (
            fault not in WRITTEN or (process.waits and process.waits.writes)
        ):
            self.play.strike(process, fault, variant)
