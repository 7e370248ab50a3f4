"""`rollback status --watch`: reads an environment repeatedly, without using the quota that a rollback needs.

While a rollback runs, only the ledger is read, whose journal has each function's progress: no Lambda calls. Otherwise
the functions are read with a part of GetFunction's quota, and only when something has
changed in the ledger, or half a minute has passed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from rollback.aws import alarms
from rollback.aws.rate_limit import SlidingWindow
from rollback.ledger.schema import Newer
from rollback.lifecycle.context import Session
from rollback.model.advice import Advice, advise
from rollback.model.automatic import AlarmSeen
from rollback.model.record import Record, Status
from rollback.model.release import Timeline, label
from rollback.model.situation import LeaseSeen, Life, RecordSeen, Situation
from rollback.queries import situation
from rollback.queries.status import Overview, overview
from rollback.util.errors import RollbackError

# GetFunction calls a second, of 100 (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
READS = 20
# Seconds between two reads of functions, and of alarms, if nothing has changed in the ledger.
_FUNCTIONS, _ALARMS = 30.0, 60.0
_RECENT, _ENDED = 20, 3


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSeen:
    """A running or interrupted record. `outcomes` are its steps (`Target.outcomes`), `counts` the number of
    steps per outcome.
    """

    seen: RecordSeen
    outcomes: tuple[Mapping[str, Any], ...]
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """An environment at the time `at` (ISO 8601, UTC). `stands` is what is deployed according to the ledger.

    `functions` is what is deployed according to the account, as read last; None if not read yet because something
    runs (`busy`). `ended` are records that have ended since the first update, newest first.
    `unread` is why this update failed: the other fields are then those of the last one.
    """

    environment: str
    account: str
    region: str
    at: str
    stands: str
    advice: tuple[Advice, ...]
    leases: tuple[LeaseSeen, ...] = ()
    in_flight: tuple[RecordSeen, ...] = ()
    runs: tuple[RunSeen, ...] = ()
    functions: Overview | None = None
    busy: bool = False
    ended: tuple[Record, ...] = ()
    alarms: tuple[AlarmSeen, ...] = ()
    unread: str = ""


@dataclass(kw_only=True)
class LiveStatus:
    """Reads an environment repeatedly. `monotonic` and `sleep` take seconds."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _functions: Overview | None = None
    _key: object = None
    _read_at: float = float("-inf")
    _alarms: tuple[AlarmSeen, ...] = ()
    _alarms_at: float = float("-inf")
    _known: frozenset[str] = frozenset()
    _ended: tuple[Record, ...] = ()
    _window: SlidingWindow = field(init=False)

    def __post_init__(self) -> None:
        self._window = SlidingWindow(limit=READS, clock=self.monotonic, sleep=self.sleep)

    def look(self, session: Session) -> Watched:
        """The current state. Raises `RollbackError` where it cannot be read."""
        timeline = session.ledger.timeline(readable=True)
        deployed = timeline.all_deployed
        held = situation.leases(session, session.leases.holders())
        recent = [item for item in session.ledger.history(_RECENT) if isinstance(item, Record)]
        in_flight = situation.found_records(session, recent, held, timeline, ledger_only=True)
        busy = any(lease.life is Life.RUNNING for lease in held)
        if not busy:
            self._read_functions(session, timeline, held, in_flight)
        self._read_alarms(session)
        self._notice_ends(session, in_flight)
        functions = self._functions
        return Watched(
            environment=session.environment,
            account=session.settings.account,
            region=session.settings.region,
            at=session.clocks.now(),
            stands=functions.stands if functions and not busy else label(deployed),
            advice=self._advice(session, held, in_flight, busy=busy),
            leases=held,
            in_flight=in_flight,
            runs=tuple(
                run
                for seen in in_flight
                if seen.record.status is Status.IN_PROGRESS and (run := self._run(session, seen)) is not None
            ),
            functions=functions,
            busy=busy,
            ended=self._ended,
            alarms=self._alarms,
        )

    def _read_functions(
        self,
        session: Session,
        timeline: Timeline,
        held: Sequence[LeaseSeen],
        in_flight: Sequence[RecordSeen],
    ) -> None:
        """Reads the functions if something has changed, or the last time was long ago."""
        newest = timeline.newest
        key = (
            newest.seq if newest else 0,
            [(lease.domain, lease.owner, lease.life) for lease in held],
            [(one.record.rollback_id, one.status, one.life, one.approval) for one in in_flight],
        )
        if self._key != key or self.monotonic() - self._read_at >= _FUNCTIONS:
            self._functions = overview(session, sparing=self._window.take)
            self._key, self._read_at = key, self.monotonic()

    def _read_alarms(self, session: Session) -> None:
        if session.settings.guard is None or self.monotonic() - self._alarms_at < _ALARMS:
            return
        try:
            since = session.now() - timedelta(hours=1)
            self._alarms = alarms.seen(session.account, session.settings.alarms, since)
        except RollbackError:
            self._alarms = ()  # a caller who may not read alarms sees the rest
        self._alarms_at = self.monotonic()

    def _notice_ends(self, session: Session, in_flight: Sequence[RecordSeen]) -> None:
        now = frozenset(seen.record.rollback_id for seen in in_flight)
        gone = [session.ledger.load(name).record for name in sorted(self._known - now, reverse=True)]
        self._ended = (*gone, *self._ended)[:_ENDED]
        self._known = now

    def _advice(
        self, session: Session, held: Sequence[LeaseSeen], in_flight: Sequence[RecordSeen], *, busy: bool
    ) -> tuple[Advice, ...]:
        """What to type next; while something runs, from the ledger only."""
        if self._functions is not None and not busy:
            return self._functions.advice
        return advise(
            Situation(
                environment=session.environment,
                person=session.caller.person,
                leases=tuple(held),
                records=tuple(in_flight),
            )
        )

    @staticmethod
    def _run(session: Session, seen: RecordSeen) -> RunSeen | None:
        """A record's progress, from its journal; None if that cannot be read."""
        target = session.target(seen.record.kind)
        try:
            opened = session.ledger.load(seen.record.rollback_id)
            plan = opened.plan(target.step)
            return RunSeen(
                seen=seen,
                outcomes=tuple(target.outcomes(plan, opened.events)),
                counts=target.counts(plan, opened.events),
            )
        except Newer:
            raise
        except RollbackError:
            return None
