"""A stack, a Terraform configuration or a table, killed or stopped at its calls: of every phase, and at each tenth.

As `aliases`, for what takes seconds and has an engine of its own. A scene says what is begun and what stands;
the runs are the same for all.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from tests.crashes import calls
from tests.crashes.aliases import ABORT, RESUME, Case, must, typed
from tests.crashes.calls import Point
from tests.crashes.report import Row
from tests.crashes.watched import Watched
from tests.e2e.estate_under_test import Run
from tests.warm import Child

_HOLDER = re.compile(r"--confirm-dead (\S+)")
# One call in so many, besides the first of every phase.
EVERY = 10


class Scene(Protocol):
    """What is rolled back again and again. `known` names ids; `upstream` is the account's endpoint."""

    name: str
    phases: calls.Phases
    known: Mapping[str, str]
    upstream: str

    def fresh(self) -> None:
        """Where every run begins."""

    def begin(self, endpoint: str) -> Child:
        """The command that is disturbed; what has to be typed before it has been typed."""

    def record(self) -> str | None:
        """The id of what was begun, if it was recorded."""

    def owner(self) -> str | None:
        """On whose behalf a lease is held."""

    def deployed(self) -> Mapping[str, Any]:
        """All that is put back, without ids and times."""

    def type(self, *arguments: str) -> Run:
        """A command of another person in another clone."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a run does that nobody disturbs."""

    called: tuple[str, ...]
    phases: Mapping[str, str]
    before: Mapping[str, Any]
    goal: Mapping[str, Any]


def undisturbed(scene: Scene) -> Seen:
    """Runs it once to its end and writes down every call."""
    scene.fresh()
    before = scene.deployed()
    with Watched(scene.upstream, scene.known) as proxy:
        run = scene.begin(proxy.endpoint).wait()
    assert run.code == 0, str(run)
    goal = scene.deployed()
    assert before != goal
    called = tuple(proxy.called)
    return Seen(called=called, phases=calls.phases(called, scene.phases), before=before, goal=goal)


def some(seen: Seen) -> list[Case]:
    """The first call of every phase, and every tenth; by turns before and after; aborted, then resumed."""
    firsts = {phase: call for call, phase in reversed(seen.phases.items())}
    # How many entries the audit trail lacks depends on the runs before.
    called = [call for call in seen.called if "-audit-trail-" not in call or " #" not in call]
    picked = [call for number, call in enumerate(called) if number % EVERY == 0 or call in firsts.values()]
    return [
        Case(point=Point(call, bool(number % 2)), then=then)
        for number, call in enumerate(picked)
        for then in (ABORT, RESUME)
    ]


def owned(seen: Seen) -> list[Case]:
    """Those under the lease and before the end, to be stopped before the account sees them."""
    taken = next(number for number, call in enumerate(seen.called) if call.endswith(" take"))
    closed = next(number for number, call in enumerate(seen.called) if call.endswith(" closed"))
    own = set(seen.called[taken + 1 : closed + 1])
    found = [case for case in some(seen) if case.point.call in own]
    return [replace(case, point=replace(case.point, after=False)) for case in found]


def killed(scene: Scene, seen: Seen, case: Case) -> Row:
    """SIGKILL: of the command alone, whose engine goes on; or, after a call, of everything it has started."""
    return _row(scene, seen, case, _killed)


def stopped(scene: Scene, seen: Seen, case: Case) -> Row:
    """SIGSTOP of the command; another goes on once its lease has run out, and then it wakes up."""
    return _row(scene, seen, case, _stopped)


One = Callable[[Scene, Seen, Case], Row]


def _row(scene: Scene, seen: Seen, case: Case, one: Any) -> Row:
    row = Row(phase=seen.phases[case.point.call], point=str(case.point), then=case.then, outcome="")
    began = time.monotonic()
    try:
        if (left := scene.owner()) is not None:  # by a run that went wrong: the next one stands for itself
            _typed(scene, ABORT, left, dead=True)
        scene.fresh()
        must(scene.deployed() == seen.before, f"it does not begin where it should: {scene.deployed()}")
        outcome = one(scene, seen, case)
    except AssertionError as wrong:
        return replace(row, wrong=str(wrong) or repr(wrong))
    return replace(row, outcome=f"{outcome} ({time.monotonic() - began:.0f} s)")


def _killed(scene: Scene, seen: Seen, case: Case) -> str:
    with ExitStack() as stack:
        proxy = stack.enter_context(Watched(scene.upstream, scene.known, case.point))
        child = scene.begin(proxy.endpoint)
        _come(proxy, child, case.point)
        for pid in [child.pid, *(descendants(child.pid) if case.point.after else ())]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        child.wait()
        proxy.let_go(forward=False)
        return _gone_on(scene, seen, case.then, dead=case.point.after)


def _stopped(scene: Scene, seen: Seen, case: Case) -> str:
    with ExitStack() as stack:
        proxy = stack.enter_context(Watched(scene.upstream, scene.known, case.point))
        child = scene.begin(proxy.endpoint)
        _come(proxy, child, case.point)
        os.kill(child.pid, signal.SIGSTOP)
        stack.callback(child.kill)
        outcome = _gone_on(scene, seen, case.then, dead=False)
        proxy.let_go(forward=True)
        os.kill(child.pid, signal.SIGCONT)
        woken = child.wait()
        must(woken.code in (1, 3), str(woken))
        must("Traceback" not in woken.err, str(woken))
        _is_deployed(scene, seen.goal if case.then == RESUME else seen.before)
        return outcome


def _come(proxy: Watched, child: Child, point: Point) -> None:
    while not proxy.hit.wait(0.05):
        if child.ended() and not proxy.hit.is_set():
            raise AssertionError(f"it never came to {point.call}: {child.wait()}")


def _gone_on(scene: Scene, seen: Seen, then: str, *, dead: bool) -> str:
    """How it ended. `dead`: whether all that was started is, which only the person who looks can know."""
    record = scene.record()
    status = _status(scene, record) if record else ""
    if status == "COMPLETE":
        refused = scene.type(then, record or "")
        must(refused.code == 3, str(refused))
        _is_deployed(scene, seen.goal)
        return "was COMPLETE"
    if status == "AWAITING_APPROVAL" and then == RESUME:
        # It was being applied and had done nothing: it is applied again.
        run = _typed(scene, "apply", record or "", "--json", dead=dead)
    elif status:
        run = _typed(scene, then, record or "", "--json", dead=dead)
    else:
        return _without_record(scene, seen, then)
    must(run.code == 0, str(run))
    _is_deployed(scene, seen.goal if then == RESUME else seen.before)
    ended = _status(scene, record or "")
    must(ended == str(run.json["status"]) and ended in ("COMPLETE", "REVERTED", "ABORTED"), ended)
    return ended


def _typed(scene: Scene, *arguments: str, dead: bool) -> Run:
    """A command; and once more as it advises, where it was killed before its journal could name the engine's lock."""
    run = typed(lambda: scene.type(*arguments))
    if dead and run.code and (holder := _HOLDER.search(run.err)):
        return scene.type(*arguments, "--confirm-dead", holder[1])
    return run


def _without_record(scene: Scene, seen: Seen, then: str) -> str:
    owner = scene.owner()
    if owner is not None:
        freed = typed(lambda: scene.type("abort", owner))
        must(freed.code == 0, str(freed))
    _is_deployed(scene, seen.before)
    if then == ABORT:
        return "nothing begun" if owner is None else "lease freed"
    again = scene.begin(scene.upstream).wait()
    must(again.code == 0, str(again))
    _is_deployed(scene, seen.goal)
    return "begun anew"


def _status(scene: Scene, record: str) -> str:
    """What `show` says; it claims no more than what is journalled, and its chain is whole."""
    run = scene.type("show", record, "--json")
    must(run.code == 0, str(run))
    document = run.json
    must(document["chain"] == "whole", document["chain"])
    done = [
        item for item in document["changes"] if item["outcome"] not in ("untouched", "failed", "reverted")
    ]
    must(document["counts"]["moved"] <= len(done), f"{document['counts']} of {document['changes']}")
    return str(document["status"])


def _is_deployed(scene: Scene, wanted: Mapping[str, Any]) -> None:
    now = scene.deployed()
    must(
        now == wanted,
        "\n".join(
            f"{name}\n  should be {wanted.get(name)}\n  but is    {now.get(name)}"
            for name in sorted({*wanted, *now})
            if wanted.get(name) != now.get(name)
        ),
    )


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(stat[1]), []).append(int(entry.name))
    found = list(parents.get(pid, []))
    for child in found:
        found.extend(parents.get(child, []))
    return found
