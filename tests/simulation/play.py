"""One schedule: who begins what, how far they come, and what goes wrong there, told in short sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rollback.lifecycle.freeze import freeze, unfreeze
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.model.automatic import Take
from rollback.model.request import AliasesRequest
from rollback.queries import automatic
from rollback.releases.record_release import Commits, record
from tests.doubles.world import SHA
from tests.simulation import aftermath
from tests.simulation.calls import Call
from tests.simulation.faults import FAULTS
from tests.simulation.process import Process
from tests.simulation.truth import Violation
from tests.simulation.world import World

# At most that many at once: more find nothing more, and make a schedule long.
_CROWD = 4
_FORWARD = ("lease", "beat", "execute", "verify", "publish", "close")


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """How a process works: slowly or not, in which order, and how far its workers are ahead."""

    order: int = 0
    ahead: int = 0
    slow: bool = False

    def as_given(self) -> dict[str, Any]:
        return {"order": self.order, "ahead": self.ahead, "latency": 0.6 if self.slow else 0.02}


@dataclass
class Play:
    """Drives one world. `struck` counts (fault, phase)."""

    world: World
    policy: str
    struck: Counter[tuple[str, str]] = field(default_factory=Counter)
    _released: int = 0

    def __post_init__(self) -> None:
        self.world.struck = lambda process, call: self.count("a beat's", process, call)
        self._beating = ""

    # -- who does what ---------------------------------------------------------------------------------

    @property
    def live(self) -> list[Process]:
        return [process for process in self.world.processes if not process.ended]

    @property
    def crowded(self) -> bool:
        return len(self.live) >= _CROWD

    def begin(
        self, person: str, verb: str, body: Callable[[Lifecycle], Any], manner: Manner, more: str = ""
    ) -> Process:
        process = self.world.begin(person, verb, body, **manner.as_given())
        self.world.note(f"{process.name} begins{more}")
        return process

    def rollback(
        self,
        person: str = "alice",
        to: str = "previous",
        services: tuple[str, ...] = (),
        manner: Manner = Manner(),
    ) -> Process:
        request = AliasesRequest(release=to, services=services)
        more = f", to {to}" + (f" of {', '.join(services)}" if services else "")
        return self.begin(
            person, "rollback", lambda flow: flow.start("aliases", request, "it went bad"), manner, more
        )

    def deploy(
        self,
        manner: Manner = Manner(),
        *,
        again: bool = False,
    ) -> Process:
        """Somebody deploys and records that; `again` under the name of the deployment before."""
        if not again or not self._released:
            self._released += 1
        version = f"v2.{self._released}.0"
        self.world.note(f"dan deploys {version}")
        self.world.release(version)
        process = self.begin(
            "dan",
            "record",
            lambda flow: record(flow.session, version, Commits(code=SHA), flow.ui),
            manner,
            f", of {version}",
        )
        process.said = version
        return process

    def freeze(self, person: str) -> None:
        """Somebody freezes the environment: nobody else may begin anything."""
        self.finish(self.begin(person, "freeze", lambda flow: freeze(flow.session, "so"), Manner()))

    def unfreeze(self, person: str = "dan") -> None:
        self.finish(self.begin(person, "unfreeze", lambda flow: unfreeze(flow.session, "so"), Manner()))

    def prepare(self, person: str, minutes: int, manner: Manner = Manner()) -> Process:
        """Somebody puts the rollback from the newest release on standby."""
        return self.begin(
            person, "prepare", lambda flow: flow.prepare(minutes), manner, f", for {minutes} minutes"
        )

    def take(self, person: str, manner: Manner = Manner()) -> Process:
        """Somebody takes what is on standby."""
        return self.begin(person, "take", lambda flow: flow.take("checkout fails"), manner)

    def guard(self, manner: Manner = Manner()) -> Process:
        """The guard looks at the alarm, and takes what is on standby where that is decided."""

        def looks(flow: Lifecycle) -> Any:
            found = automatic.decision(flow.session, lambda *_: self.world.read_alarms(process))
            if isinstance(found, Take):
                return flow.take(found.reason, found.rollback_id, alarm=found.alarm)
            self.world.note(f"… takes nothing: {found.reason}")
            return found

        process = self.begin("guard", "take", looks, manner)
        return process

    def act(
        self,
        person: str,
        verb: str,
        rollback_id: str,
        manner: Manner = Manner(),
        *,
        mistaken: bool = False,
    ) -> Process:
        """approve, apply, resume, abort or verify. Whoever is `mistaken` names another plan's digest."""
        digest = str(self.world.truth._metadata(rollback_id).get("digest", ""))[:16]
        if mistaken:
            digest = digest[::-1]
        bodies: dict[str, Callable[[Lifecycle], Any]] = {
            "approve": lambda flow: flow.approve(rollback_id, digest),
            "apply": lambda flow: flow.apply(rollback_id, digest if mistaken else ""),
            "resume": lambda flow: flow.resume(rollback_id),
            "abort": lambda flow: flow.abort(rollback_id),
            "verify": lambda flow: flow.verify(rollback_id),
        }
        more = f", of {rollback_id}" + (", with another plan's digest" if mistaken else "")
        process = self.begin(person, verb, bodies[verb], manner, more)
        process.said = digest
        return process

    def records(self, *statuses: str) -> list[str]:
        return [name for name, status in self.world.truth.records() if status in statuses]

    def ready(self, phase: str, manner: Manner, variant: int = 0) -> Process:
        """A process that will come to `phase`, with all that has to happen before it."""
        if phase == "record":
            return self.deploy(manner)
        if phase in ("undo", "abort", "resume") or (phase == "lease" and variant % 2):
            process = self.forward(manner)
            where = ("execute", "verify", "publish", "close")[variant % 4]
            self.to(process, where, 1 + variant // 4 % 2)
            self.kill(process)
            verb = "resume" if phase == "resume" else "abort"
            found = self.records("IN_PROGRESS")
            return self.act("carol", verb, found[0], manner) if found else self.rollback("carol")
        if phase in ("plan", "open"):
            return self.rollback(manner=manner)
        return self.forward(manner, phase)

    def forward(self, manner: Manner, phase: str = "execute") -> Process:
        """A process that will move aliases: a rollback, or what applies an approved one."""
        process = self.rollback(manner=manner)
        if self.policy == "none":
            return process
        self.finish(process)
        found = self.records("AWAITING_APPROVAL")
        if not found:
            return self.rollback("carol", manner=manner)
        if self.policy == "identity":
            process = self.act("bob", "approve", found[-1], manner)
            if phase == "approve":
                return process
            self.finish(process)
        return self.act("alice", "apply", found[-1], manner)

    # -- how far they come -----------------------------------------------------------------------------

    def run(self, process: Process, until: Callable[[Call], bool]) -> bool:
        """Whether it stands before such a call; false where it came to its end."""
        if process.ended:
            return False
        process.run(until)
        self.check()
        if process.ended:
            self.world.note(f"{process.name} ends: {aftermath.ending(process)}")
        return not process.ended

    def to(self, process: Process, phase: str, number: int = 1, *, writing: bool = False) -> bool:
        """Brings it to its `number`th call of a phase."""
        left = number

        def reached(call: Call) -> bool:
            nonlocal left
            if call.phase == phase and (call.writes or not writing):
                left -= 1
            return left <= 0

        if process.waits is not None and reached(process.waits):
            return True
        return self.run(process, reached)

    def go(self, process: Process, calls: int) -> bool:
        """Lets it make so many calls; it then stands before its next."""
        # The call before which it stands is not asked about again.
        left = calls if process.waits is not None else calls + 1

        def made(_call: Call) -> bool:
            nonlocal left
            left -= 1
            return left <= 0

        if process.waits is not None and not calls:
            return True
        return self.run(process, made)

    def some_way(self, process: Process, far: int) -> None:
        """To its end; or until it is about to take a lease, has it, or moves its first or second alias."""
        left = 1 + far // 5 % 2

        def moving(call: Call) -> bool:
            nonlocal left
            left -= call.operation == "update_alias"
            return left <= 0

        until: Callable[[Call], bool] = (
            lambda _: False,
            lambda call: call.phase == "lease" and call.writes,
            lambda call: bool(process.nonces) and call.phase != "lease",
            moving,
            moving,
        )[far % 5]
        self.run(process, until)

    def finish(self, process: Process) -> None:
        self.run(process, lambda _: False)

    def kill(self, process: Process) -> None:
        if not process.ended:
            self.world.note(f"{process.name} is killed before {process.waits}")
            process.kill()
            self.check()

    def lag(self, writes: int) -> None:
        self.world.note(f"the index is {writes} writes behind")
        self.world.dynamodb.index_lag = writes

    def pass_time(self, seconds: float) -> None:
        self.world.note(f"{seconds:.0f} seconds pass")
        self.world.pass_time(seconds)
        self.check()

    # -- what goes wrong -------------------------------------------------------------------------------

    def strike(self, process: Process, fault: str, variant: int) -> None:
        """Makes `fault` happen to the call before which a process stands, or around it."""
        call = process.waits
        assert call is not None
        self.struck[fault, call.phase] += 1
        FAULTS[fault](self, process, call, variant)
        self.check()

    def strike_beat(self, process: Process, fault: str, armed: Any) -> None:
        """Makes `fault` happen to the next beat of a process that keeps a lease."""
        self._beating, process.wire.beats_armed = fault, armed
        self.pass_time(self.world.settings.lease_seconds / 4)
        process.wire.beats_armed = None

    def count(self, _what: str, process: Process, call: Call) -> None:
        self.world.note(f"a beat of {process.name} meets: {self._beating}")
        self.struck[self._beating, call.phase] += 1

    def settle(self, *, abort: bool) -> None:
        try:
            aftermath.settle(self.world, abort=abort)
        except Exception:
            self.check()
            raise
        self.check()

    def check(self) -> None:
        """Raises what was violated, with the schedule that led there."""
        broken = self.world.broken
        if broken is None:
            return
        story = "\n".join(
            ["", *self.world.notes, f"{self.world.now:8.2f}  {type(broken).__name__}: {broken}"]
        )
        raise Violation(story) from broken
