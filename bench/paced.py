"""Rollbacks under the enforced quota: alone, and while another team takes half of it.

Three times are told apart, by when calls come to the quota's proxy:
- *execution*: from the first UpdateAlias to the last, which is relief;
- *the second pass*: from the last UpdateAlias to the last GetAlias, which reads weights back and only verifies;
- *the cost before relief*: from the process's first call of any kind to its first UpdateAlias, less the time from the
  first to the last call by which functions are read. What is left is all that the ledger, the audit bucket and the
  lease cost, the checks of their integrity and the record included; the interpreter's own start is not in it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from bench import load
from bench.account import ENVIRONMENT, BenchAccount, MeasuredRun
from bench.table import Measurement
from localaws import quota
from localaws.clients import connect
from localaws.errors import LocalError

RATE = quota.AWS[quota.CONTROL]
_MOVE, _LOOK = "UpdateAlias", "GetAlias"
# By which a plan reads functions.
_READS = ("GetFunction", "ListFunctions")
# Seconds before relief that checks may cost the platform's own functions.
_BEFORE = 0.3
_MEGABYTE, _KILOBYTE = 1e6, 1e3
_MEMORY, _ITEM = 150, 400
_OWN = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Paced:
    """What one or several runs took: `seconds` execution, `second` the second pass, `before` the cost before relief."""

    count: int
    seconds: float
    second: float
    before: float
    whole: float
    throttled: int
    memory: float

    @property
    def floor(self) -> float:
        """What the quota asks of anybody."""
        return (self.count - RATE.burst) / RATE.rate


def alone(where: BenchAccount, progress: Callable[[str], None], *, runs: int) -> Paced:
    """A rollback that has the quota for itself. Raises `LocalError` where it did not go through it."""
    windows: list[quota.QuotaWindow] = []
    whole: list[MeasuredRun] = []
    with quota.running(where.endpoint) as proxy:
        for number in range(1, runs + 1):
            ran, window = _one(where, proxy, progress, f"{number} of {runs}")
            whole.append(ran)
            windows.append(window)
    return Paced(
        count=len(where.functions),
        seconds=statistics.median(window.seconds(_MOVE) for window in windows),
        second=statistics.median(map(second_pass, windows)),
        before=statistics.median(map(before_relief, windows)),
        whole=statistics.median(ran.seconds for ran in whole),
        throttled=max(window.throttled.total() for window in windows),
        memory=max(ran.memory for ran in whole) / _MEGABYTE,
    )


def rows(paced_result: Paced) -> Iterator[Measurement]:
    """The rows of `alone`."""
    name = f"{paced_result.count} functions under the quota"
    yield Measurement(
        name=f"{name}: first to last call of execution, against the floor",
        ours=paced_result.seconds,
        theirs=paced_result.floor,
        bar=1.10,
    )
    yield Measurement(
        name=f"{name}: the second pass, which verifies weights, against its own floor",
        ours=paced_result.second,
        theirs=paced_result.count / RATE.rate,
        bar=1.10,
    )
    yield Measurement(
        name=f"{name}: cost before relief, beside the reads of functions",
        ours=paced_result.before,
        bar=_BEFORE if paced_result.count <= _OWN else None,
    )
    yield Measurement(name=f"{name}: throttled calls", ours=paced_result.throttled, unit="", bar=0)
    yield Measurement(name=f"{name}: whole process", ours=paced_result.whole)
    yield Measurement(name=f"{name}: peak memory", ours=paced_result.memory, unit="MB", bar=_MEMORY)


def shared(where: BenchAccount, progress: Callable[[str], None]) -> Iterator[Measurement]:
    """A rollback while another team takes half of the quota: it may be throttled, and must get done."""
    count, half = len(where.functions), RATE.rate / 2
    with quota.running(where.endpoint) as proxy:
        other_client = connect("lambda", proxy.endpoint, where.settings, attempts=1)
        busy = load.outside_load(other_client, half, where.functions[0])
        ran, window = _one(where, proxy, progress, "half of it taken", busy)
    if window.calls[load.OPERATION] < half * ran.seconds / 2:
        raise LocalError("The other team did not take its half of the quota.")
    name = f"{count} functions, another takes half of the quota"
    # `put_back` has seen that the record is COMPLETE, and every function moved.
    yield Measurement(name=f"{name}: not moved", ours=0, unit="", bar=0)
    yield Measurement(
        name=f"{name}: first to last call of execution, against the floor of the other half",
        ours=window.seconds(_MOVE),
        theirs=(count - RATE.burst) / half,
    )
    ours = sum(window.throttled[operation] for operation in (_MOVE, _LOOK))
    yield Measurement(name=f"{name}: throttled calls of ours", ours=ours, unit="")


def growth(few: Paced, many: Paced) -> Measurement:
    """How the time grows with the number of functions."""
    return Measurement(
        name=f"from {few.count} to {many.count} functions: first to last call of execution",
        ours=many.seconds,
        theirs=few.seconds,
        bar=10.5,
    )


def large(where: BenchAccount, progress: Callable[[str], None]) -> Iterator[Measurement]:
    """What thousands of functions ask of the ledger, and of `status`."""
    count = len(where.functions)
    size = where.largest_item() / _KILOBYTE
    yield Measurement(name=f"{count} functions: the ledger's largest item", ours=size, unit="KB", bar=_ITEM)
    progress(f"{count} functions: status")
    yield from status(where, runs=1, limit=60, expected="at 100 reads a second")


def status(where: BenchAccount, *, runs: int, limit: float, expected: str) -> Iterator[Measurement]:
    """`rollback status` under the quota."""
    seconds: list[float] = []
    throttled = 0
    with quota.running(where.endpoint) as proxy:
        for _ in range(runs):
            proxy.reset()
            seconds.append(where.rollback("status", "--env", ENVIRONMENT, endpoint=proxy.endpoint).seconds)
            throttled = max(throttled, proxy.window.throttled.total())
    name = f"rollback status of {len(where.functions)} functions, {expected}"
    yield Measurement(name=name, ours=statistics.median(seconds), bar=limit)
    yield Measurement(name=f"{name}: throttled calls", ours=throttled, unit="", bar=0)


def first_screen(where: BenchAccount, *, runs: int) -> Measurement:
    """How soon `rollback status` under the quota has shown on a terminal what needs no weights."""
    seconds: list[float] = []
    with quota.running(where.endpoint) as proxy:
        for _ in range(runs):
            proxy.reset()
            arguments = ("status", "--env", ENVIRONMENT)
            seconds.append(
                where.first_screen(*arguments, sign=where.settings.account, endpoint=proxy.endpoint)
            )
    name = f"rollback status of {len(where.functions)} functions, first screen, under the quota"
    return Measurement(name=name, ours=statistics.median(seconds), bar=1)


def _one(
    where: BenchAccount,
    proxy: quota.Proxy,
    progress: Callable[[str], None],
    expected: str,
    meanwhile: AbstractContextManager[None] | None = None,
) -> tuple[MeasuredRun, quota.QuotaWindow]:
    count = len(where.functions)
    progress(f"{count} functions: releasing what is rolled back next")
    where.release()
    progress(f"{count} functions under the quota, {expected}")
    proxy.reset()
    with meanwhile or nullcontext():
        ran = where.roll_back(endpoint=proxy.endpoint)
    if proxy.window.calls["UpdateAlias"] < count:
        raise LocalError("The rollback did not go through the quota's proxy.")
    return ran, proxy.window


def second_pass(window: quota.QuotaWindow) -> float:
    """Seconds from the last move to the last look at an alias."""
    return max(window.times(_LOOK), default=0.0) - max(window.times(_MOVE))


def before_relief(window: quota.QuotaWindow) -> float:
    """Seconds from the first call of any kind to the first move, without those in which functions were read."""
    first_move = window.times(_MOVE)[0]
    reads = [at for at in window.times(*_READS) if at < first_move]
    return first_move - window.arrivals[0][0] - (reads[-1] - reads[0])
