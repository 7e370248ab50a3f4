"""Every crash point, as `make soak` runs them: a table of where a process ended, and how that was gone on from.

    python -m tests.crashes [aliases] [table] [stack] [terraform] [--at-once N]

Exits 1 where a promise was not kept.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from localaws.clients import connect
from localaws.emulator import server
from tests import prepared
from tests.crashes import aliases, infrastructure_scenes, scenes, table_scenes
from tests.crashes.alias_estate import LEASE_SECONDS, AliasEstate
from tests.crashes.aliases import Case
from tests.crashes.report import Row, table
from tests.e2e.accounts_under_test import declare, stamp
from tests.warm import Warm

Suite = Callable[[int], Sequence[Row]]
_ACCOUNTS = itertools.count(710_000_000_000)


def main() -> int:
    """Runs what is asked for, prints its tables; the exit code."""
    suites: dict[str, Suite] = {
        "aliases": of_aliases,
        "table": of_tables,
        "stack": of_stack,
        "terraform": of_terraform,
    }
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="*", choices=[*suites, []], help=f"default: {' '.join(suites)}")
    parser.add_argument(
        "--at-once", type=int, default=4, help="runs at the same time, each in its own account"
    )
    asked = parser.parse_args()
    prepared.account()
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
        warm = stack.enter_context(Warm())
        template = declare(emulator.endpoint, "dev", str(next(_ACCOUNTS)), folder / "template")

        def estate() -> AliasEstate:
            account = str(next(_ACCOUNTS))
            platform = stamp(template, emulator.endpoint, account, folder / account)
            return AliasEstate(platform=platform, warm=warm)

        estates = [estate() for _ in range(at_once)]
        seen = aliases.undisturbed(estates[0])
        return [
            *aliases.run_all(estates, seen, aliases.every(seen), aliases.killed),
            *aliases.run_all(estates, seen, aliases.owned(seen), aliases.stopped),
        ]


def of_tables(at_once: int) -> Sequence[Row]:
    """A restore and a copy-back, killed and stopped."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crashes-")))
        emulator = stack.enter_context(server.running(auth=True))
        warm = stack.enter_context(Warm())
        template = declare(emulator.endpoint, "dev", str(next(_ACCOUNTS)), folder / "template")
        account = str(next(_ACCOUNTS))
        platform = stamp(template, emulator.endpoint, account, folder / account)
        platform.configure(leaseSeconds=LEASE_SECONDS)
        table_scenes.remove(connect("s3", emulator.endpoint, template.settings), platform)
        made = stack.enter_context(table_scenes.scenes(platform, warm))
        return [row for scene in made for row in _killed_and_stopped([scene])]


def of_stack(at_once: int) -> Sequence[Row]:
    """A stack, killed and stopped."""
    return _of_ground("stack", at_once)


def of_terraform(at_once: int) -> Sequence[Row]:
    """A Terraform configuration, killed and stopped."""
    return _of_ground("terraform", at_once)


def _of_ground(name: str, at_once: int) -> Sequence[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crashes-")))
        warm = stack.enter_context(Warm())
        made = []
        for number in range(at_once):
            place = folder / str(number)
            place.mkdir()
            made.append(stack.enter_context(infrastructure_scenes.scene(name, warm, place)))
        return _killed_and_stopped(made)


def _killed_and_stopped(alike: Sequence[scenes.Scene]) -> list[Row]:
    """As many at a time as there are scenes of the same."""
    with ThreadPoolExecutor(len(alike)) as pool:
        seen, *_ = pool.map(scenes.undisturbed, alike)

    def shown(what: str, one: scenes.One) -> scenes.One:
        """Tells each row as it ends, as this takes long."""

        def run(scene: scenes.Scene, seen: scenes.Seen, case: Case) -> Row:
            row = one(scene, seen, case)
            row = replace(row, phase=f"{scene.name}, {what}: {row.phase}")
            line = f"{row.phase}: {row.point}, {row.then}: {row.wrong or row.outcome}"
            print(line, flush=True)  # noqa: T201 - this command's own output
            return row

        return run

    return [
        *aliases.run_all(alike, seen, scenes.some(seen), shown("killed", scenes.killed)),
        *aliases.run_all(alike, seen, scenes.owned(seen), shown("stopped", scenes.stopped)),
    ]


if __name__ == "__main__":
    sys.exit(main())
