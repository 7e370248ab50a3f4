"""`python -m tests.simulation --schedules 10000`: as many schedules, on all cores, and what they met.

Each run has a seed of its own, which it prints first; `--seed` runs the same schedules again.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections import Counter
from concurrent.futures import as_completed
from contextlib import redirect_stdout
from io import StringIO

from tests.simulation.faults import CELLS
from tests.simulation.machine import Schedules
from tests.simulation.mutants import MUTANTS
from tests.simulation.pool import pool
from tests.simulation.running import caught_after, missing, part, table
from tests.simulation.standby_machine import Standbys

# Schedules with a guard begin with no cell: into how many parts they go, for all cores.
_PARTS = 20


def main(arguments: list[str]) -> int:
    """Exit code 1 where an invariant was broken, a mutant survived, or a cell was never met."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=500)
    parser.add_argument(
        "--guard", action="store_true", help="each begins with something on standby, and has a guard"
    )
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--mutants", type=int, default=0, help="schedules that each mutant gets")
    chosen = parser.parse_args(arguments)
    seed = secrets.randbelow(1_000_000) if chosen.seed is None else chosen.seed
    print(f"{chosen.schedules} schedules, --seed {seed}", flush=True)  # noqa: T201 - a command's output
    began, ran, struck, broken = time.monotonic(), 0, Counter[tuple[str, str]](), list[str]()
    with pool() as running:
        cells = (None,) * _PARTS if chosen.guard else CELLS
        # Hypothesis runs a fifth more than it counts: what repeats an earlier one, or ends before its time; but few of
        # those that begin with no cell.
        each = (
            -(-chosen.schedules // _PARTS) if chosen.guard else -(-chosen.schedules * 5 // (len(cells) * 6))
        )
        kind = Standbys if chosen.guard else Schedules
        parts = [running.submit(part, cell, each, seed * 1_000 + n, kind) for n, cell in enumerate(cells)]
        for future in as_completed(parts):
            count, met, wrong = future.result()
            ran, struck = ran + count, struck + met
            broken += [wrong] if wrong else []
    print(f"{ran} schedules in {time.monotonic() - began:.0f} s, {struck.total()} faults")  # noqa: T201
    print(table(struck))  # noqa: T201
    survived = _mutants(chosen.mutants, seed) if chosen.mutants else []
    # Around a standby nothing is planned for itself: not every cell can be met there.
    never = [] if chosen.guard else [f"never met: {fault} in {phase}" for fault, phase in missing(struck)]
    wrong_ = [*broken, *never, *(f"not noticed: {name}" for name in survived)]
    print("\n".join(wrong_) or "nothing broken")  # noqa: T201
    return 1 if wrong_ else 0


def _mutants(schedules: int, seed: int) -> list[str]:
    """Runs every mutant; those that nothing noticed."""
    survived = []
    for mutant in MUTANTS:
        with mutant.at_large(), redirect_stdout(StringIO()):
            after = caught_after(schedules, seed, mutant.where)
        print(f"{mutant.name}: " + ("survived" if after is None else f"noticed after {after}"), flush=True)  # noqa: T201
        survived += [mutant.name] if after is None else []
    return survived


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
