"""A rollback of aliases killed at every call, and gone on from; or stopped there, and woken too late.

Every run begins at `START`, is ended at one call, before AWS saw it or before its answer was read, and then
another person in another clone does what the command says: `resume` has to reach what the undisturbed run
reached, `abort` what there was before.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any, TypeVar

from tests.crashes import calls
from tests.crashes.alias_estate import CAROL, GOAL, LEASE_SECONDS, START, VERB, AliasEstate, State
from tests.crashes.calls import Point
from tests.crashes.report import Row
from tests.crashes.watched import Watched
from tests.e2e.estate_under_test import Run
from tests.warm import Child

RESUME, ABORT = "resume", "abort"
PHASES: calls.Phases = (
    ("identify", lambda call: call.startswith("GetCallerIdentity")),
    ("lock", lambda call: call.endswith(" take")),
    ("plan", lambda call: call.startswith("Query")),
    ("record", lambda call: call.endswith(" planned")),
    ("move", lambda call: call.startswith(("UpdateAlias", "GetAlias"))),
    ("journal", lambda call: call.endswith(" moved")),
    ("verify", lambda call: call.startswith("GetFunction")),
    ("publish", lambda call: call.startswith("Query RELEASE#")),
    ("close", lambda call: "QUARANTINE#" in call),
)
_TOO_SLOW = "could not be renewed in time"
_TRIES = 3


class Wrong(AssertionError):
    """A promise that was not kept."""


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """What a run does that nobody disturbs: its calls in order, each one's phase, and what it reaches."""

    called: tuple[str, ...]
    phases: dict[str, str]
    before: State
    goal: State


@dataclass(frozen=True, kw_only=True, order=True)
class Case:
    """One run: where it ends, and what is typed then."""

    point: Point
    then: str


def undisturbed(estate: AliasEstate) -> Undisturbed:
    """Runs it once to its end and writes down every call."""
    estate.reset()
    before = estate.state()
    with Watched(estate.platform.endpoint, estate.known) as proxy:
        run = estate.start(*VERB, endpoint=proxy.endpoint).wait()
    assert run.code == 0, str(run)
    goal = estate.state()
    assert (before.aliases, goal.aliases) == (START, GOAL)
    assert goal.records[0][0] == "COMPLETE"
    called = tuple(proxy.called)
    return Undisturbed(called=called, phases=calls.phases(called, PHASES), before=before, goal=goal)


def every(seen: Undisturbed) -> list[Case]:
    """Each call, before and after, then resumed and then aborted."""
    return [
        Case(point=Point(call, after), then=then)
        for call in seen.called
        for after in (False, True)
        for then in (RESUME, ABORT)
    ]


Place, Known = TypeVar("Place"), TypeVar("Known")


def run_all(
    estates: Sequence[Place], seen: Known, cases: Sequence[Case], one: Callable[[Place, Known, Case], Row]
) -> list[Row]:
    """`one` of every case, as many at a time as there are estates; rows in the order of the cases."""
    free: SimpleQueue[Place] = SimpleQueue()
    for estate in estates:
        free.put(estate)

    def do(case: Case) -> Row:
        estate = free.get()
        try:
            return one(estate, seen, case)
        finally:
            free.put(estate)

    with ThreadPoolExecutor(len(estates)) as pool:
        return list(pool.map(do, cases))


# -- killed --------------------------------------------------------------------------------------------------


def killed(estate: AliasEstate, seen: Undisturbed, case: Case) -> Row:
    """SIGKILL at one point; the record tells the truth, and is gone on from by somebody else."""
    row = Row(phase=seen.phases[case.point.call], point=str(case.point), then=case.then, outcome="")
    try:
        estate.reset()
        _kill(estate, case.point)
        return replace(row, outcome=_gone_on(estate, seen, case.then))
    except AssertionError as wrong:
        return replace(row, outcome="", wrong=str(wrong) or repr(wrong))


def _kill(estate: AliasEstate, point: Point) -> None:
    for _ in range(_TRIES):
        with Watched(estate.platform.endpoint, estate.known, point) as proxy:
            child = estate.start(*VERB, endpoint=proxy.endpoint)
            ended = _arrived(proxy, child)
            if ended is None:
                child.kill()
                proxy.gone(but=1)
                proxy.let_go(forward=False)
                return
        # A machine that is too slow to keep a lease of two seconds tells nothing of this point.
        must(_TOO_SLOW in ended.err, f"it never came to {point.call}: {ended}")
        estate.reset()
    raise Wrong(f"too slow for the lease, {_TRIES} times")


def _arrived(proxy: Watched, child: Child) -> Run | None:
    """None once the call has come; or how the process ended without it."""
    while not proxy.hit.wait(0.02):
        if child.ended():
            return None if proxy.hit.is_set() else child.wait()
    return None


def _gone_on(estate: AliasEstate, seen: Undisturbed, then: str) -> str:
    """What a person does who finds it like that; how it ended, in a word."""
    record, owner = estate.record(), estate.owner()
    if record is None:
        return _without_record(estate, seen, owner, then)
    status = _is_truthful(estate, record)
    run = typed(lambda: estate.start(then, record, "--json", as_=CAROL).wait())
    if status == "COMPLETE":
        # It died after its last write: there is nothing to go on with, and nothing is lost. What the audit
        # trail lacks comes with the next record.
        must(run.code == 3 and "COMPLETE" in run.err, str(run))
        _equal(replace(estate.state(), kept=seen.goal.kept), seen.goal)
        return "was COMPLETE"
    must(run.code == 0, str(run))
    _equal(estate.state(), seen.goal if then == RESUME else _reverted(seen, estate.state()))
    must(estate.chain_break(record) is None, "the chain is broken")
    return str(run.json["status"])


def typed(command: Callable[[], Run]) -> Run:
    """A command; and once more, as a person would, where the machine stood still for so long that it lost its lease."""
    for _ in range(_TRIES - 1):
        run = command()
        if not run.code or _TOO_SLOW not in run.err:
            return run
    return command()


def _without_record(estate: AliasEstate, seen: Undisturbed, owner: str | None, then: str) -> str:
    """Nothing was written but, perhaps, a lease: that is freed by what the next command says."""
    _equal(replace(estate.state(), holders=()), seen.before)
    if owner is not None:
        # As long as it may still live it is to be waited for; then its lease is to be freed.
        for _ in range(_TRIES):
            refused = estate.start(*VERB, as_=CAROL).wait()
            must(refused.code == 3, str(refused))
            if "rollback status --env dev" not in refused.err:
                break
            time.sleep(LEASE_SECONDS)
        must(f"rollback abort {owner} --env dev" in refused.err, str(refused))
        shown = estate.start("show", owner, as_=CAROL).wait()
        must(shown.code == 2, str(shown))
        resumed = estate.start("resume", owner, as_=CAROL).wait()
        must(resumed.code == 3 and f"rollback abort {owner} --env dev" in resumed.err, str(resumed))
        freed = typed(lambda: estate.start("abort", owner, as_=CAROL).wait())
        must(freed.code == 0, str(freed))
    _equal(estate.state(), seen.before)
    if then == ABORT:
        return "nothing begun" if owner is None else "lease freed"
    again = typed(lambda: estate.start(*VERB, as_=CAROL).wait())
    must(again.code == 0, str(again))
    _equal(estate.state(), seen.goal)
    return "begun anew" if owner is None else "freed, begun anew"


def _is_truthful(estate: AliasEstate, record: str) -> str:
    """What `show` says is so, as far as it goes: nothing is claimed that was not journalled. Its status."""
    document, live = _shown(estate, record), estate.platform.live()
    journalled = {
        name
        for event in document["events"]
        if event["kind"] == "moved"
        for name in event["data"]["functions"]
    }
    must(document["chain"] == "whole", document["chain"])
    outcomes = [item["outcome"] for item in document["functions"]]
    for item in document["functions"]:
        tail = item["name"].partition("-lambda-")[2]
        claimed = item["outcome"] in ("moved", "confirmed")
        must(claimed == (item["name"] in journalled), f"{tail} is {item['outcome']}, journalled {journalled}")
        allowed = [GOAL[tail]] if claimed else [START[tail], GOAL[tail]]
        must(live[tail] in allowed, f"{tail} is {item['outcome']} and stands at {live[tail]}")
    for name in ("moved", "confirmed"):
        must(document["counts"][name] <= outcomes.count(name), f"{document['counts']} of {outcomes}")
    status = str(document["status"])
    must(status in ("IN_PROGRESS", "COMPLETE"), status)
    return status


def _shown(estate: AliasEstate, record: str) -> Any:
    run = estate.start("show", record, "--json", as_=CAROL).wait()
    must(run.code == 0, str(run))
    return run.json


def _reverted(seen: Undisturbed, now: State) -> State:
    """What there was before, with the record of a rollback that was undone."""
    deployed = seen.before.timeline[-1][3]
    counts = {**dict(now.records[0][1]), "moved": 0, "confirmed": 0, "failed": 0}
    return replace(
        seen.before,
        timeline=(*seen.goal.timeline[:-1], ("rollback", "", "REVERTED", deployed)),
        records=(("REVERTED", tuple(sorted(counts.items())), ()),),
        kept=seen.goal.kept,
    )


# -- stopped -------------------------------------------------------------------------------------------------


def stopped(estate: AliasEstate, seen: Undisturbed, case: Case) -> Row:
    """SIGSTOP at one call; another process goes on once the lease has run out, and then it wakes up."""
    row = Row(phase=seen.phases[case.point.call], point=str(case.point), then=case.then, outcome="")
    try:
        estate.reset()
        return replace(row, outcome=_stop(estate, seen, case))
    except AssertionError as wrong:
        return replace(row, outcome="", wrong=str(wrong) or repr(wrong))


def _stop(estate: AliasEstate, seen: Undisturbed, case: Case) -> str:
    for _ in range(_TRIES):
        with ExitStack() as stack:
            proxy = stack.enter_context(Watched(estate.platform.endpoint, estate.known, case.point))
            child = estate.start(*VERB, endpoint=proxy.endpoint)
            ended = _arrived(proxy, child)
            if ended is None:
                os.kill(child.pid, signal.SIGSTOP)
                stack.callback(child.kill)
                proxy.settle()
                outcome = _gone_on(estate, seen, case.then)
                settled = _all(estate)
                proxy.let_go(forward=True)
                os.kill(child.pid, signal.SIGCONT)
                _woken(child.wait())
                now = _all(estate)
                for name, wanted in settled.items():
                    must(now[name] == wanted, f"it moved something: {_difference(wanted, now[name])}")
                return outcome
        must(_TOO_SLOW in ended.err, f"it never came to {case.point.call}: {ended}")
        estate.reset()
    raise Wrong(f"too slow for the lease, {_TRIES} times")


def _all(estate: AliasEstate) -> dict[str, dict[Any, Any]]:
    """Everything, RevisionIds and the ledger's items as they are. That a parameter was written again with what
    it said is no change.
    """
    found = estate.platform.everything()
    return {**found, "parameters": {name: value for name, (value, _) in found["parameters"].items()}}


def _woken(run: Run) -> None:
    must(run.code in (1, 3), str(run))
    must("lease" in run.err and "lost" in run.err, str(run))
    must("Traceback" not in run.err, str(run))


def owned(seen: Undisturbed) -> list[Case]:
    """Every call that is made under the lease, to be stopped before AWS sees it."""
    taken = next(number for number, call in enumerate(seen.called) if call.endswith(" take"))
    closed = next(number for number, call in enumerate(seen.called) if call.endswith(" closed"))
    return [
        Case(point=Point(call, after=False), then=then)
        for call in seen.called[taken + 1 : closed + 1]
        for then in (RESUME, ABORT)
    ]


# -- helpers -------------------------------------------------------------------------------------------------


def must(true: bool, why: str) -> None:
    """Raises `Wrong` where it is not so."""
    if not true:
        raise Wrong(why)


def _equal(now: State, wanted: State) -> None:
    must(now == wanted, _difference(vars(wanted), vars(now)))


def _difference(wanted: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What is not as it should be, by name."""
    return "\n".join(
        f"{name}\n  should be {wanted.get(name)}\n  but is    {now.get(name)}"
        for name in sorted({*wanted, *now}, key=str)
        if wanted.get(name) != now.get(name)
    )
