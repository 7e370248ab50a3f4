"""`python -m bench`: prints a table of measurements, and writes them to `.local/bench.json`.

Rows with 5,000 functions take 45 minutes: without `--all` the last published values are shown.
"""

from __future__ import annotations

import argparse
import compileall
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import account, automatic, browsing, figures, infrastructure, paced, script, table
from bench.account import ENVIRONMENT, BenchAccount
from bench.table import Measurement
from localaws import shell
from localaws.errors import LocalError
from localaws.paths import LOCAL, ROOT
from localaws.progress import BuildProgress
from localaws.toolchain.tools import find_browser
from rollback.config.naming import ROLLBACK

RESULT = LOCAL / "bench.json"
_MANY, _HUGE = 500, 5000
# Numbers of resources, and of pairs of measurements for each.
_INFRASTRUCTURE = ((10, 3), (300, 3))
_RUNS = 3
_HISTORY = 1000
_WIDTH = 132
# Load for each core above which other work disturbs the measurement, which itself causes less than one.
_BUSY = 1.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures. The exit code: 0 measured, 1 failed or, with `--strict`, a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--all", action="store_true", help=f"{_HUGE} functions as well: 45 minutes more")
    parser.add_argument("--thorough", action="store_true", help="three runs of everything, in pairs")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a bar is missed")
    parser.add_argument("--quick", action="store_true", help="only the platform's own functions, no script")
    parser.add_argument(
        "--publish", action="store_true", help="also write docs/bench.json and docs/benchmarks.md"
    )
    options = parser.parse_args(arguments)
    progress, heading, began = BuildProgress(), table.machine(), time.monotonic()
    measured: list[dict[str, Any]] = []
    minutes = 1 if options.quick else 60 if options.all else 12
    print(f"About {minutes} minutes on two cores.", file=sys.stderr)
    try:
        shell.tools(progress)
        # As pip does on installation: if the environment forbids bytecode files, each command would compile everything.
        compileall.compile_dir(ROOT / "rollback", quiet=2)
        for row in measure(progress, everything=options.all, thorough=options.thorough, quick=options.quick):
            measured.append(row.document())
            table.write(measured, RESULT)
    except LocalError as error:
        progress.done()
        print(error, file=sys.stderr)
        return 1
    progress.done()
    rows = [*measured, *published(measured, figures.published())]
    table.write(rows, RESULT)
    terminal = Console()
    table.show(rows, heading, terminal if terminal.is_terminal else Console(width=_WIDTH))
    if (load := os.getloadavg()[1]) > _BUSY * (os.cpu_count() or 1):
        print(
            f"The machine was busy with other work (load {load:.0f}): do not trust the ratios to the script."
        )
    print(f"The same as JSON: {RESULT}. It took {(time.monotonic() - began) / 60:.0f} minutes.")
    if options.publish:
        figures.publish(measured, heading)
    return 1 if options.strict and any(row["met"] is False for row in rows) else 0


def published(measured: Sequence[Mapping[str, Any]], document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the largest catalogue that were not measured this time, as published before, with their date."""
    names = {row["name"] for row in measured}
    return [
        {**row, "name": f"{row['name']} ({row['at']})"}
        for row in document["rows"]
        if str(_HUGE) in row["name"] and row["name"] not in names
    ]


def measure(
    progress: Callable[[str], None], *, everything: bool, thorough: bool, quick: bool
) -> Iterator[Measurement]:
    """Every row, in the order of the table."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        with account.running(Path(scratch) / "few", progress) as few:
            if not quick:
                yield from against_script(few, progress, pairs=_RUNS if thorough else 1)
            yield from paced.rows(paced.alone(few, progress, runs=_RUNS))
            yield from paced.shared(few, progress)
            yield from at_hand(few, progress)
        if quick:
            return
        with account.running(Path(scratch) / "guarded", progress, guard=automatic.GUARD) as guarded:
            yield from automatic.rows(guarded, progress)
        for size, pairs in _INFRASTRUCTURE:
            yield from infrastructure.rows(Path(scratch), progress, size, pairs)
        with account.running(Path(scratch) / "many", progress, account.generated(_MANY)) as many:
            measured = paced.alone(many, progress, runs=_RUNS if thorough else 1)
            yield from paced.rows(measured)
            yield from paced.shared(many, progress)
        if not everything:
            return
        with account.running(Path(scratch) / "huge", progress, account.generated(_HUGE)) as huge:
            most = paced.alone(huge, progress, runs=1)
            yield from paced.rows(most)
            yield paced.growth(measured, most)
            yield from paced.large(huge, progress)
            yield from paced.shared(huge, progress)


def against_script(
    few: BenchAccount, progress: Callable[[str], None], *, pairs: int
) -> Iterator[Measurement]:
    """Compares the whole process with the script, in the same account, one after the other.

    With pacing, the quota limits the ratio, so the bar is for the command without pacing. How close execution
    comes to the quota's floor is a separate bar (`paced`).
    """
    count = len(few.functions)
    ours: list[float] = []
    baseline: list[float] = []
    unpaced: list[float] = []

    def again(seconds: list[float], *, paced: bool) -> None:
        few.release()
        progress(f"{count} functions: rollback lambda{'' if paced else ' without pace'}: {len(seconds) + 1}")
        seconds.append(few.roll_back(paced=paced).seconds)

    for number in range(pairs):
        again(ours, paced=True)
        few.release()
        progress(f"{count} functions: the script, which takes a minute or two: {number + 1} of {pairs}")
        baseline.append(script.roll_back(few.settings, few.checkout, few.environment(ROLLBACK)))
    while len(ours) < _RUNS:
        again(ours, paced=True)
    while len(unpaced) < _RUNS:
        again(unpaced, paced=False)
    script_seconds, rate = statistics.median(baseline), paced.RATE
    for name, seconds, limit in (
        (f"rollback lambda of {count}, against the script it replaces", statistics.median(ours), None),
        ("without pacing, which an account with a quota would throttle", statistics.median(unpaced), 60.0),
        ("what the quota alone asks of any rollback", (count - rate.burst) / rate.rate, None),
    ):
        yield Measurement(name=name, ours=seconds, theirs=script_seconds, better="larger", bar=limit)


def at_hand(few: BenchAccount, progress: Callable[[str], None]) -> Iterator[Measurement]:
    """Commands for which a person waits at the keyboard."""
    progress("help, status and history: measuring")
    helps = [few.rollback("--help").seconds for _ in range(_RUNS)]
    yield Measurement(name="rollback --help", ours=statistics.median(helps), bar=0.3)
    yield from paced.status(few, runs=_RUNS, limit=3, expected="weights included, under the quota")
    yield paced.first_screen(few, runs=_RUNS)
    few.remember(_HISTORY)
    arguments = ("history", "--env", ENVIRONMENT, "--limit", str(_HISTORY))
    histories = [few.rollback(*arguments).seconds for _ in range(_RUNS)]
    yield Measurement(
        name=f"rollback history of {_HISTORY} entries", ours=statistics.median(histories), bar=2
    )
    if find_browser() is not None:
        progress(f"the report of {_HISTORY} entries in a browser: measuring")
        yield from in_a_browser(few)


def in_a_browser(few: BenchAccount) -> Iterator[Measurement]:
    """The report of as many entries, as a browser loads and filters it."""
    path = few.checkout / "report.html"
    few.rollback("report", "--env", ENVIRONMENT, "--limit", str(_HISTORY), "--file", str(path))
    loads, filters = zip(*browsing.seconds(path, _RUNS, words=f"{_HISTORY // 2:026d}"), strict=True)
    name = f"the report of {_HISTORY} entries in a browser"
    yield Measurement(name=f"{name}: to load it", ours=statistics.median(loads), bar=0.5)
    yield Measurement(name=f"{name}: to filter it", ours=statistics.median(filters), bar=0.5)


if __name__ == "__main__":
    sys.exit(main())
