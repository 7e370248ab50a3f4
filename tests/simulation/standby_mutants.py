"""Our own code around a way back that is on standby, broken on purpose, one guard at a time (`mutants`).

Each mutant has a scene of its own, in which the sound code takes nothing: drawn schedules would have to be many.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.mutants import (
    Mutant,
    always,
    attribute,
    becomes,
    call,
    condition,
    gone,
    never,
    operand,
    statement,
)
from tests.simulation.play import Play
from tests.simulation.world import ALARM, STRANGE, World

_RULES, _STANDBY = "rollback.model.automatic", "rollback.model.standby"
_ANYWHERE = ("", "")
Scene = Callable[[], Play]


def ready(
    *, policy: str = "none", minutes: int = 45, automatic: bool = True, production: bool = False
) -> Play:
    """Something is on standby, and the alarm is red since a minute after its release."""
    play = Play(World(policy=policy, automatic=automatic, production=production), policy)
    play.finish(play.prepare("dan", minutes))
    play.world.alarm_turns("ALARM", 1)
    return play


def _guarded(
    state: str = "ALARM", minutes: int = 1, *, name: str = ALARM, flapped: bool = False, known: bool = True
) -> Scene:
    """The guard looks at an alarm of this kind."""

    def scene() -> Play:
        play = ready()
        play.world.alarms.clear()
        play.world.alarm_turns(state, minutes, name=name, flapped=flapped, known=known)
        play.finish(play.guard())
        return play

    return scene


def _in(**world: bool) -> Scene:
    """The guard looks at a red alarm, in an environment of this kind."""

    def scene() -> Play:
        play = ready(**world)
        play.finish(play.guard())
        return play

    return scene


def _two() -> Play:
    """One that may take it was red before, another is red for the release and may not."""
    play = ready()
    play.world.alarms.clear()
    play.world.alarm_turns("ALARM", -1)
    play.world.alarm_turns("ALARM", 1, name=STRANGE)
    play.finish(play.guard())
    return play


def _too_late() -> Play:
    play = ready(minutes=1)
    play.pass_time(120)
    play.finish(play.take("carol"))
    return play


def _by_a_fast_clock() -> Play:
    play = ready()
    process = play.take("carol")
    process.skew = 3600.0
    play.finish(process)
    return play


def _by_a_slow_clock() -> Play:
    play = ready()
    play.pass_time(46 * 60)
    play.freeze("dan")
    play.unfreeze("dan")
    process = play.take("carol")
    process.skew = -3600.0
    play.finish(process)
    return play


def _not_approved() -> Play:
    play = ready(policy="identity")
    play.finish(play.take("carol"))
    return play


def _prepared_again_by_a_fast_clock() -> Play:
    play = ready()
    process = play.prepare("alice", 45)
    process.skew = 3600.0
    play.finish(process)
    return play


def _twice() -> Play:
    """The guard takes it, meets drift and reverts it; then the rollback from the same release is on standby again."""
    play = ready()
    world = play.world
    guard = play.guard()
    assert play.to(guard, "execute", 3)
    name = world.names[-1]
    world.functions.point(name, "live", "3", {"2": 0.5}, "theirs")
    world.truth.outside_write(name)
    play.finish(guard)
    assert len(play.records("REVERTED")) == 1
    world.functions.point(name, "live", "3")
    world.truth.outside_write(name)
    play.finish(play.prepare("dan", 45))
    assert play.records("STANDBY")
    play.finish(play.guard())
    return play


# What else decides is asked again when it is taken: a freeze, an end, another release. The table of
# tests/unit/model/test_automatic.py has these.
MUTANTS: tuple[tuple[Mutant, Scene], ...] = (
    (
        Mutant(
            "taken twice for one release",
            _ANYWHERE,
            f"{_RULES}:_nothing_at_all",
            ((condition("TAKEN_ALREADY"), never),),
        ),
        _twice,
    ),
    (
        Mutant(
            "taken by an alarm though that is turned off",
            _ANYWHERE,
            "rollback.queries.automatic:policy",
            ((attribute("takes"), always),),
        ),
        _in(automatic=False),
    ),
    (
        Mutant(
            "taken for an alarm that is green",
            _ANYWHERE,
            f"{_RULES}:decide",
            ((attribute("state"), becomes("'ALARM'")),),
        ),
        _guarded("OK"),
    ),
    (
        Mutant(
            "taken for an alarm that nobody named", _ANYWHERE, f"{_RULES}:decide", ((call("names"), always),)
        ),
        _guarded(name=STRANGE),
    ),
    (
        Mutant(
            "taken for the alarm that is named, because another is red for the release",
            _ANYWHERE,
            f"{_RULES}:decide",
            (
                (call("names"), always),
                (
                    call("_judged"),
                    becomes(
                        "None if alarm is red[-1] else _judged(alarm, release, facts.policy.bake_minutes)"
                    ),
                ),
            ),
        ),
        _two,
    ),
    (
        Mutant(
            "taken for an alarm that was red when it was released",
            _ANYWHERE,
            f"{_RULES}:_judged",
            ((condition("RED_BEFORE"), never),),
        ),
        _guarded(minutes=-1),
    ),
    (
        Mutant(
            "taken for an alarm that comes and goes",
            _ANYWHERE,
            f"{_RULES}:_judged",
            ((operand("_red_before"), gone),),
        ),
        _guarded(flapped=True),
    ),
    (
        Mutant(
            "taken for an alarm of unknown history",
            _ANYWHERE,
            f"{_RULES}:_judged",
            ((condition("HISTORY_UNKNOWN"), never),),
        ),
        _guarded(known=False),
    ),
    (
        Mutant(
            "taken for an alarm that turned red long after",
            _ANYWHERE,
            f"{_RULES}:_judged",
            ((condition("AFTER_BAKE"), never),),
        ),
        _guarded(minutes=31),
    ),
    (
        Mutant(
            "taken by an alarm in production, not approved",
            _ANYWHERE,
            f"{_RULES}:_of_red",
            ((condition("NOT_APPROVED"), never),),
        ),
        _in(production=True),
    ),
    (
        Mutant(
            "no approval asked for because it is production",
            _ANYWHERE,
            "rollback.queries.automatic:policy",
            ((operand("production"), gone),),
        ),
        _in(production=True),
    ),
    (
        Mutant("taken after its time", _ANYWHERE, f"{_STANDBY}:ended", ((condition("TIME"), never),)),
        _too_late,
    ),
    (
        Mutant(
            "taken by who has a clock that is past its time",
            _ANYWHERE,
            "rollback.lifecycle.standby:respected",
            ((call("now_iso"), becomes("''")),),
        ),
        _by_a_fast_clock,
    ),
    (
        Mutant(
            "taken by a slow clock, though the ledger tells a later time",
            _ANYWHERE,
            f"{_STANDBY}:ended",
            ((statement("max"), gone),),
        ),
        _by_a_slow_clock,
    ),
    (
        Mutant(
            "taken though nobody approved it",
            _ANYWHERE,
            "rollback.lifecycle.lifecycle:Lifecycle._approved",
            ((condition("valid_approval"), never),),
        ),
        _not_approved,
    ),
    (
        Mutant(
            "closed by one clock alone",
            _ANYWHERE,
            "rollback.lifecycle.standby:close_ended",
            (
                (
                    call("ended"),
                    becomes(
                        "standby.ended(plan, opened.record.rollback_id, timeline, now_iso(session.now()))"
                    ),
                ),
            ),
        ),
        _prepared_again_by_a_fast_clock,
    ),
)
