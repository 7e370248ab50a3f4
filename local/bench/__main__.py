"""`python -m local.bench`: one table, and the same in `.local/bench.json`."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from local import quota, shell
from local.bench import account, infrastructure, script, table
from local.bench.account import ENVIRONMENT, Account, Ran
from local.bench.table import Row
from local.errors import LocalError
from local.paths import LOCAL
from local.progress import Progress
from naming import ROLLBACK

RESULT = LOCAL / "bench.json"
_MANY = 500
# Resources, and how often they are measured.
_INFRASTRUCTURE = ((10, 3), (300, 2))
_RUNS = 3
_WIDTH = 118
# Load a core beyond which something else decides; the measuring itself makes less than one.
_BUSY = 1.5
_MEGABYTE = 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit code: 0 measured, 1 failed or, with `--strict`, a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m local.bench", description=__doc__)
    parser.add_argument("--thorough", action="store_true", help="three runs of everything, in pairs")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a bar is missed")
    parser.add_argument("--quick", action="store_true", help="without the script and the large catalogue")
    options = parser.parse_args(arguments)
    progress, rows, heading = Progress(), [], table.machine()
    try:
        shell.tools(progress)
        for row in measure(progress, thorough=options.thorough, quick=options.quick):
            rows.append(row)
            table.write(rows, RESULT)
    except LocalError as error:
        progress.done()
        print(error, file=sys.stderr)
        return 1
    progress.done()
    terminal = Console()
    table.show(rows, heading, terminal if terminal.is_terminal else Console(width=_WIDTH))
    if (load := os.getloadavg()[1]) > _BUSY * (os.cpu_count() or 1):
        print(f"The machine was busy with other things (load {load:.0f}): trust no ratio to the script.")
    print(f"The same as JSON: {RESULT}")
    return 1 if options.strict and any(row.met is False for row in rows) else 0


def measure(progress: Callable[[str], None], *, thorough: bool, quick: bool) -> Iterator[Row]:
    """Every row, in the order of the table."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        with account.running(Path(scratch) / "few", progress) as few:
            if not quick:
                yield from against_script(few, progress, pairs=_RUNS if thorough else 1)
            yield from against_quota(few, progress, runs=_RUNS)
            yield from at_hand(few, progress)
        if quick:
            return
        for size, pairs in _INFRASTRUCTURE:
            yield from infrastructure.rows(Path(scratch), progress, size, pairs)
        many = account.generated(_MANY)
        with account.running(Path(scratch) / "many", progress, many) as large:
            yield from against_quota(large, progress, runs=_RUNS if thorough else 1)


def against_script(few: Account, progress: Callable[[str], None], *, pairs: int) -> Iterator[Row]:
    """The whole process against the script, in the same account, one after the other."""
    count = len(few.functions)
    ours: list[float] = []
    theirs: list[float] = []
    unpaced: list[float] = []

    def again(seconds: list[float], *, paced: bool) -> None:
        few.release()
        progress(f"{count} functions: rollback lambda{'' if paced else ' without pace'}: {len(seconds) + 1}")
        seconds.append(few.put_back(paced=paced).seconds)

    for number in range(pairs):
        again(ours, paced=True)
        few.release()
        progress(f"{count} functions: the script, which takes a minute or two: {number + 1} of {pairs}")
        theirs.append(script.put_back(few.settings, few.checkout, few.environment(ROLLBACK)))
    while len(ours) < _RUNS:
        again(ours, paced=True)
    while len(unpaced) < _RUNS:
        again(unpaced, paced=False)
    script_seconds, rate = statistics.median(theirs), quota.AWS[quota.CONTROL]
    for name, seconds, bar in (
        (f"rollback lambda of {count}, against the script it replaces", statistics.median(ours), 50.0),
        ("  without pacing, which an account with a quota would throttle", statistics.median(unpaced), None),
        ("  what the quota alone asks of any rollback", (count - rate.burst) / rate.rate, None),
    ):
        yield Row(name=name, ours=seconds, theirs=script_seconds, better="larger", bar=bar)


def against_quota(where: Account, progress: Callable[[str], None], *, runs: int) -> Iterator[Row]:
    """A rollback under the enforced quota: its writes against the floor, throttles, and what it needs."""
    count = len(where.functions)
    rate = quota.AWS[quota.CONTROL]
    windows: list[quota.Window] = []
    whole: list[Ran] = []
    with quota.running(where.endpoint) as proxy:
        for number in range(runs):
            progress(f"{count} functions: releasing what is rolled back next")
            where.release()
            progress(f"{count} functions under the quota: {number + 1} of {runs}")
            proxy.reset()
            whole.append(where.put_back(endpoint=proxy.endpoint))
            windows.append(proxy.window)
    if any(window.calls["UpdateAlias"] < count for window in windows):
        raise LocalError("The rollback did not go through the quota's proxy.")
    seconds = statistics.median(window.seconds("UpdateAlias") for window in windows)
    throttled = max(window.throttled.total() for window in windows)
    yield Row(
        name=f"{count} under the quota: first to last UpdateAlias, against the floor",
        ours=seconds,
        theirs=(count - rate.burst) / rate.rate,
        bar=1.15,
    )
    yield Row(name=f"{count} under the quota: throttled calls", ours=throttled, unit="", bar=0)
    yield Row(
        name=f"{count} under the quota: whole process", ours=statistics.median(ran.seconds for ran in whole)
    )
    memory = max(ran.memory for ran in whole) / _MEGABYTE
    yield Row(name=f"{count} under the quota: peak memory", ours=memory, unit="MB", bar=150)


def at_hand(few: Account, progress: Callable[[str], None]) -> Iterator[Row]:
    """What is asked for while somebody waits at the keyboard."""
    count = len(few.functions)
    progress("help and status: measuring")
    helps = [few.rollback("--help").seconds for _ in range(_RUNS)]
    yield Row(name="rollback --help", ours=statistics.median(helps), bar=0.4)
    seconds: list[float] = []
    throttled = 0
    with quota.running(few.endpoint) as proxy:
        for _ in range(_RUNS):
            proxy.reset()
            seconds.append(few.rollback("status", "--env", ENVIRONMENT, endpoint=proxy.endpoint).seconds)
            throttled = max(throttled, proxy.window.throttled.total())
    yield Row(
        name=f"rollback status of {count}, weights included, under the quota",
        ours=statistics.median(seconds),
        bar=3,
    )
    yield Row(name="  its throttled calls", ours=throttled, unit="", bar=0)


if __name__ == "__main__":
    sys.exit(main())
