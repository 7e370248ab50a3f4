"""A simulated process: one verb of one person, its clocks, its workers and its beats."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from rollback.aws.account import Account
from rollback.aws.pacing import Throttles
from rollback.ledger.lease import Leases
from rollback.ledger.repository import Ledger
from rollback.ledger.store import LedgerTable
from rollback.lifecycle.context import Session
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.model.identity import Actor
from rollback.model.record import now_iso
from rollback.util.clocks import Clocks
from rollback.util.errors import RollbackError
from tests.doubles.clock import BEGAN
from tests.doubles.world import TABLE
from tests.simulation.calls import Call, Stage
from tests.simulation.fibers import Fiber, Killed
from tests.simulation.wire import Client, Wire

if TYPE_CHECKING:
    from tests.simulation.world import World

# More calls than any verb makes, the watching of a lease included.
_ENDLESS = 1500


@dataclass(slots=True)
class Beat:
    """A lease's beat: due at `at`, and every `seconds` from then on."""

    at: float
    seconds: float
    beat: Callable[[], bool]


@dataclass
class Quiet:
    """A person who says nothing; what the flow says that it does is the process's stage."""

    stage: Stage

    def planned(self, plan: Any) -> None: ...
    def notice(self, text: str) -> None: ...
    def waiting(self, why: str, seconds: float) -> None: ...
    def start(self, what: str, total: int) -> None:  # noqa: ARG002 - the Protocol's
        self.stage.begins(what)

    def progress(self, done: int) -> None: ...
    def finish(self) -> None:
        self.stage.ends()

    def output(self, text: str) -> None: ...
    def confirm(self, question: str) -> bool | None: ...


@dataclass
class Turns:
    """A pool whose tasks run one after another, in the order number `order` of all orders.

    Up to `ahead` of them are done before the first is handed out, as with real workers.
    """

    order: int
    ahead: int

    @contextmanager
    def __call__(self) -> Iterator[Turns]:
        with ExitStack() as self._left:
            yield self

    def _ordered(self, items: Iterable[Any]) -> list[Any]:
        given = list(items)
        number = self.order % math.factorial(min(len(given), 5)) if given else 0
        return list(next(itertools.islice(itertools.permutations(given), number, None)))

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        given = list(items)
        done = {index: _outcome(function, given[index]) for index in self._ordered(range(len(given)))}
        return (done[index]() for index in range(len(given)))

    def unordered(
        self, function: Callable[[Any], Any], items: Iterable[Any]
    ) -> Iterator[tuple[Any, Callable[[], Any]]]:
        waiting, done = deque(self._ordered(items)), deque[tuple[Any, Callable[[], Any]]]()
        # Whoever stops listening is still waited for.
        self._left.callback(lambda: [_outcome(function, item) for item in waiting])
        while waiting or done:
            while waiting and len(done) <= self.ahead:
                item = waiting.popleft()
                done.append((item, _outcome(function, item)))
            yield done.popleft()


def _outcome(function: Callable[[Any], Any], item: Any) -> Callable[[], Any]:
    try:
        result = function(item)
    except Exception as error:  # noqa: BLE001 - handed to whoever asks for the result
        return lambda error=error: _throw(error)  # type: ignore[misc]
    return lambda: result


def _throw(error: Exception) -> None:
    raise error


@dataclass(eq=False)
class Process:
    """`verb` of `who`, run by `body` on a flow. It is one of: ready, stopped, ended; dead once killed.

    `latency` is what a request takes, `skew` how far its wall clock is off, both in seconds.
    """

    world: World
    name: str
    who: Actor
    verb: str
    body: Callable[[Lifecycle], Any]
    latency: float = 0.02
    skew: float = 0.0
    order: int = 0
    ahead: int = 0
    stopped: bool = False
    dead: bool = False
    result: Any = None
    error: BaseException | None = None
    beats: list[Beat] = field(default_factory=list)
    # Whether a beat of its is given right now; a lease is renewed between two calls, too, after a pause.
    beating_now: bool = False
    nonces: set[str] = field(default_factory=set)
    # Function → how long its history was when this process last looked at its live version.
    looked: dict[str, int] = field(default_factory=dict)
    # Function and version → the state that it last saw it in.
    states: dict[tuple[str, str], str] = field(default_factory=dict)
    # And at its alias, with its weights.
    weighed: dict[str, int] = field(default_factory=dict)
    # What its clock said when it last read the timeline.
    read_at: str = ""
    # The alarms as it last saw them, by name.
    alarms_seen: Any = None
    # The digest, or the version, that its person names.
    said: str = ""
    calls: int = 0
    waits: Call | None = None
    until: Callable[[Call], bool] = lambda _: False

    def __post_init__(self) -> None:
        self.stage = Stage(self.verb)
        self.wire = Wire(self.world, self)
        self._fiber = Fiber(self._run)

    @property
    def ended(self) -> bool:
        return self._fiber.ended

    def run(self, until: Callable[[Call], bool]) -> None:
        """Lets it go on until it is about to send a call for which `until` is true, or to its end."""
        assert not self.ended
        self.until = until
        self.stopped = False
        self._fiber.go()
        if self.ended:
            self.beats.clear()

    def meet(self, call: Call) -> None:
        """Called before a call leaves the process: here it may stop, or find that it was killed."""
        self.alive()
        self.calls += 1
        if self.calls > _ENDLESS:
            raise self.world.violated(f"{self.name} makes no end: {self.calls} calls")
        if self.until(call):
            self.waits = call
            self._fiber.pause()
            self.waits = None
            self.alive()

    def alive(self) -> None:
        if self.dead:
            raise Killed

    def kill(self) -> None:
        """Ends it where it is."""
        self.dead = True
        self.beats.clear()
        if not self.ended:
            self._fiber.go()

    # -- what the product is given ---------------------------------------------------------------------

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.world.now + self.skew)

    def sleep(self, seconds: float) -> None:
        self.alive()
        self.world.pass_time(seconds)
        self.alive()

    def beating(self, _name: str, seconds: float, beat: Callable[[], bool]) -> Callable[[], None]:
        self.alive()
        own = Beat(self.world.now + seconds, seconds, beat)
        self.beats.append(own)

        def end() -> None:
            if own in self.beats:
                self.beats.remove(own)

        return end

    def session(self) -> Session:
        world = self.world
        clocks = Clocks(
            now=lambda: now_iso(self.now()),
            monotonic=lambda: world.now,
            sleep=self.sleep,
            beating=self.beating,
            identifier=world.identifier,
        )
        dynamodb: Any = Client(self.wire, world.dynamodb)
        lambda_: Any = Client(self.wire, world.functions)
        ssm: Any = Client(self.wire, world.parameters)
        table = LedgerTable(dynamodb, TABLE, sleep=self.sleep)
        account = Account(
            settings=world.settings,
            caller=self.who,
            lambda_=lambda_,
            dynamodb=dynamodb,
            throttles=Throttles(),
            client=lambda service, **_: {"lambda": lambda_, "ssm": ssm}[service],
            workers=Turns(self.order, self.ahead),
        )
        return Session(
            root=world.root,
            settings=world.settings,
            account=account,
            ledger=Ledger(table, world.settings.environment),
            leases=Leases(
                table=table,
                environment=world.settings.environment,
                seconds=world.settings.lease_seconds,
                caller=self.who,
                clocks=clocks,
            ),
            clocks=clocks,
            now=self.now,
            on_branch=world.on_branch,
        )

    def _run(self) -> None:
        try:
            self.result = self.body(Lifecycle(session=self.session(), ui=Quiet(self.stage)))
        except Killed:
            self.dead = True
        except RollbackError as error:
            self.error = error
        except BaseException as error:  # noqa: BLE001 - the scheduler raises it where the test sees it
            self.error = error
            self.world.broken = self.world.broken or error
