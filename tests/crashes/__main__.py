"""Every crash point, as `make soak` runs them: a table of where a process ended, and how that was gone on from.

    python -m tests.crashes [aliases] [--at-once N]

Exits 1 where a promise was not kept.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from local import shell
from local.emulator import server
from tests.crashes import aliases
from tests.crashes.alias_estate import AliasEstate
from tests.crashes.forks import Forks
from tests.crashes.report import Row, table
from tests.e2e.estate_under_test import declare, stamp

_ACCOUNTS = itertools.count(710_000_000_000)


def main() -> int:
    """Runs what is asked for, prints its tables; the exit code."""
    suites: dict[str, Callable[[int], Sequence[Row]]] = {"aliases": of_aliases}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="*", choices=[*suites, []], help=f"default: {' '.join(suites)}")
    parser.add_argument(
        "--at-once", type=int, default=4, help="runs at the same time, each in its own account"
    )
    asked = parser.parse_args()
    shell.tools(lambda _: None)
    wrong = 0
    for name in asked.what or suites:
        began = time.monotonic()
        rows = suites[name](asked.at_once)
        print(f"\n{name}\n{table(rows)}\nin {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
        wrong += sum(bool(row.wrong) for row in rows)
    return 1 if wrong else 0


def of_aliases(at_once: int) -> list[Row]:
    """All of the alias target's points, killed and stopped."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crashes-")))
        emulator = stack.enter_context(server.running(auth=True))
        forks = stack.enter_context(Forks())
        template = declare(emulator.endpoint, "dev", str(next(_ACCOUNTS)), folder / "template")

        def estate() -> AliasEstate:
            account = str(next(_ACCOUNTS))
            platform = stamp(template, emulator.endpoint, account, folder / account, {})
            return AliasEstate(platform=platform, forks=forks)

        estates = [estate() for _ in range(at_once)]
        seen = aliases.undisturbed(estates[0])
        return [
            *aliases.run_all(estates, seen, aliases.every(seen), aliases.killed),
            *aliases.run_all(estates, seen, aliases.owned(seen), aliases.stopped),
        ]


if __name__ == "__main__":
    sys.exit(main())
