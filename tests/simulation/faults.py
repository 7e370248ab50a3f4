"""What can go wrong at a call, by name. A `variant` is a number that picks among the ways in which it can."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING

from tests.simulation.calls import PHASES, Call
from tests.simulation.forgery import FORGERIES, forged
from tests.simulation.wire import Fault
from tests.simulation.world import ALIAS

if TYPE_CHECKING:
    from tests.simulation.play import Play
    from tests.simulation.process import Process

_MUCH = 5  # as many attempts as botocore makes
# What happens on the way, by name: the fault of a variant.
_ON_THE_WAY: dict[str, tuple[Fault, ...]] = {
    "throttle": (Fault(attempts=("throttle",)), Fault(attempts=("throttle",) * _MUCH)),
    "server error": (Fault(attempts=("error",) * 2), Fault(attempts=("error",) * _MUCH)),
    "lost answer": (
        Fault(attempts=("lost",)),
        Fault(attempts=("lost", *("away",) * (_MUCH - 1))),
        Fault(attempts=("lost",), dies="after"),
    ),
    "lost request": (Fault(attempts=("away",)), Fault(attempts=("away",) * _MUCH)),
    "double delivery": (Fault(again=True), Fault(attempts=("lost",), again=True)),
    "late delivery": (
        Fault(attempts=("late", *("away",) * (_MUCH - 1))),
        Fault(attempts=("late",)),
        Fault(attempts=("late",), dies="after"),
    ),
    "malformed answer": (
        *(Fault(attempts=(body,)) for body in ("cut", "page", "hollow")),
        *(Fault(attempts=(body,) * _MUCH) for body in ("cut", "page", "hollow")),
        Fault(attempts=("cut",), dies="after"),
    ),
    "crash": (Fault(dies="before"), Fault(dies="after")),
}
_SKEWS = (600.0, -600.0, 86_400.0, -3.0)


def on_the_way(fault: str, variant: int) -> Fault:
    kinds = _ON_THE_WAY[fault]
    return kinds[variant % len(kinds)]


def _sent(fault: str) -> Callable[[Play, Process, Call, int], None]:
    def strike(play: Play, process: Process, call: Call, variant: int) -> None:
        process.wire.armed = on_the_way(fault, variant)
        kind = variant % len(_ON_THE_WAY[fault])
        play.world.note(f"{process.name} meets: {fault} ({kind}) at {call}")
        play.go(process, 1)

    return strike


def _around(
    what: Callable[[Play, Process, Call, int], None],
) -> Callable[[Play, Process, Call, int], None]:
    """Happens while the call is on its way there, or while its answer is on its way back."""

    def strike(play: Play, process: Process, call: Call, variant: int) -> None:
        when, rest = variant % 2, variant // 2
        play.world.note(f"{process.name} {'has made' if when else 'is about to make'} {call}, when:")
        if when:
            play.go(process, 1)
        what(play, process, call, rest)

    return strike


def _chosen(play: Play, call: Call, variant: int) -> tuple[str, int]:
    """A function, rather the one that the call is about, and what is left of the number."""
    names = play.world.names
    own = [name for name in names if name.endswith(f"-lambda-{call.about}")]
    among = [*own, *own, *names]
    return among[variant % len(among)], variant // len(among)


def outside_write(play: Play, _process: Process, call: Call, variant: int) -> None:
    """Somebody else moves an alias: to a version of theirs, to one of ours, or only its weights."""
    world = play.world
    name, rest = _chosen(play, call, variant)
    seen = world.alias(name)
    if seen is None:
        return
    kind = rest % 4
    older = str(int(seen.version) - 1 if int(seen.version) > 1 else int(seen.version) + 1)
    if kind == 0:
        version, weights = world.functions.publish(name, "theirs"), {}
    elif kind == 1:
        version, weights = older, {}
    elif kind == 2:
        version, weights = seen.version, {older: 0.25}
    else:
        version, weights = seen.version, dict(seen.weights)
    if older not in world.functions._functions[name].versions:
        return
    world.note(f"somebody else writes {name}: version {version}, weights {weights}")
    world.functions.point(name, ALIAS, version, weights, "theirs")
    world.truth.outside_write(name)


def idle(play: Play, _process: Process, call: Call, variant: int) -> None:
    """Lambda sets the version before the one that is live Inactive: nobody has invoked it for long."""
    world = play.world
    name, _ = _chosen(play, call, variant)
    seen = world.alias(name)
    if seen is None:
        return
    version = str(int(seen.version) - 1)
    if version in world.functions._functions[name].versions:
        world.note(f"version {version} of {name} is Inactive")
        world.functions.set_state(name, version, "Inactive")


def vanish(play: Play, _process: Process, call: Call, variant: int) -> None:
    """A function goes, or its alias, or a version that no alias refers to."""
    world = play.world
    name, rest = _chosen(play, call, variant)
    kind = rest % 3
    if world.alias(name) is None:
        return
    if kind == 0:
        world.note(f"somebody deletes {name}")
        world.functions.delete_function(FunctionName=name)
    elif kind == 1:
        world.note(f"somebody deletes the alias of {name}")
        world.functions.delete_alias(FunctionName=name, Name=ALIAS)
    else:
        held = world.alias(name)
        versions = world.functions._functions[name].versions
        free = [n for n in versions if held and n not in (held.version, *dict(held.weights))]
        if not free:
            return
        world.note(f"somebody deletes version {free[-1]} of {name}")
        world.functions.delete_function(FunctionName=name, Qualifier=free[-1])
        return
    world.truth.outside_write(name)


def expire(play: Play, process: Process, call: Call, variant: int) -> None:
    """Its lease expires: it is stopped, or cut off; and somebody else goes on meanwhile, or begins anew."""
    if process.ended:
        return
    seconds = play.world.settings.lease_seconds + 5.0
    if variant % 4 == 3:
        play.world.note(f"{process.name} is cut off for {seconds:.0f} seconds")
        process.wire.cut_until = play.world.now + seconds
        play.pass_time(seconds)
    else:
        play.world.note(f"{process.name} is stopped")
        process.stopped = True
    other(play, process, call, variant)


def other(play: Play, process: Process, _call: Call, variant: int) -> None:
    """Another operator acts at once, and is through before, or stands still in the middle."""
    if play.crowded:
        return
    unfinished, waiting = play.records("IN_PROGRESS", "FAILED"), play.records("AWAITING_APPROVAL")
    kind, far = variant % 4, variant // 4
    person = "carol" if process.who is not play.world.people["carol"] else "alice"
    if kind == 3:
        second = play.deploy()
    elif unfinished and kind < 2:
        second = play.act(person, ("resume", "abort")[kind], unfinished[-1])
    elif waiting and kind < 2:
        second = play.act(person, ("apply", "abort")[kind], waiting[-1])
    else:
        second = play.rollback(person, to=("previous", "v1.0.0")[far % 2])
    play.some_way(second, far)


def forge(play: Play, process: Process, _call: Call, variant: int) -> None:
    """Its process is stopped; somebody changes a record in the ledger, and another operator acts upon that."""
    if play.crowded:
        return
    forgery = FORGERIES[variant % len(FORGERIES)]
    found = [
        (record, forgery.verbs[status])
        for record, status in play.world.truth.records()
        if status in forgery.verbs
    ]
    if not found:
        return
    process.stopped = not process.ended
    record, verb = found[variant // len(FORGERIES) % len(found)]
    play.world.note(f"{record} is forged: {forgery.change.__name__}")
    with forged(play.world, record, forgery):
        play.finish(play.act("carol", verb, record))
    play.world.note(f"{record} is as it was")


def freezes(play: Play, process: Process, _call: Call, _variant: int) -> None:
    """Somebody else freezes the environment; or, where it is frozen, somebody ends that."""
    if play.world.truth.frozen_by:
        play.unfreeze()
    else:
        play.freeze("carol" if process.who is not play.world.people["carol"] else "alice")


def skew(play: Play, process: Process, _call: Call, variant: int) -> None:
    seconds = _SKEWS[variant % len(_SKEWS)]
    play.world.note(f"the clock of {process.name} is off by {seconds:.0f} seconds")
    process.skew = seconds


def stale_index(play: Play, _process: Process, _call: Call, variant: int) -> None:
    play.lag((3, 10, 40)[variant % 3])


FAULTS: dict[str, Callable[[Play, Process, Call, int], None]] = {
    **{name: _sent(name) for name in _ON_THE_WAY},
    "foreign write": _around(outside_write),
    "vanished": _around(vanish),
    "idle version": _around(idle),
    "lease expiry": _around(expire),
    "second operator": _around(other),
    "forged record": _around(forge),
    "freeze": _around(freezes),
    "clock skew": _around(skew),
    "stale index": _around(stale_index),
}
WRITTEN = ("double delivery", "late delivery")
# (fault, phase) that cannot be, and why.
IMPOSSIBLE: dict[tuple[str, str], str] = {
    **dict.fromkeys(
        product(WRITTEN, ("plan", "verify")),
        "it only reads there: what comes twice, or late, changes nothing",
    ),
    **{
        (fault, "beat"): "a beat is no place of its own: this happens to a process between any two calls"
        for fault in FAULTS
        if fault not in _ON_THE_WAY or fault == "crash"
    },
    ("lease expiry", "approve"): "who approves holds no lease",
}
CELLS = tuple(cell for cell in product(FAULTS, PHASES) if cell not in IMPOSSIBLE)
# Where two may meet at an alias: schedules begin there half as often as in all cells together.
HOT = tuple(
    product(
        ("lost answer", "late delivery", "crash", "foreign write", "lease expiry", "second operator"),
        ("execute", "undo"),
    )
)
