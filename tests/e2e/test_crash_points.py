"""Killed at any call, a rollback is finished or undone by somebody else; stopped there, it moves nothing later.

Here at the calls of a fixed list, in every phase; `make soak` runs them all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from localaws.emulator.server import Emulator
from tests.crashes import aliases, scenes, table_scenes
from tests.crashes.alias_estate import LEASE_SECONDS, AliasEstate
from tests.crashes.aliases import ABORT, RESUME, Case
from tests.crashes.calls import Point
from tests.crashes.report import table
from tests.e2e.accounts_under_test import Kept, stamp
from tests.e2e.estate_under_test import Platform
from tests.warm import Warm

# As many at a time: most of a run is waiting for a lease to run out.
AT_ONCE = 3
_ACCOUNTS = itertools.count(720_000_000_000)
TAKE, PLANNED, MOVED, CLOSED = (
    "UpdateItem LOCK#dev/aliases take",
    *(f"TransactWriteItems ROLLBACK#<run> {what}" for what in ("planned", "moved", "closed")),
)
PARAMETER = "PutParameter dev/deployed-version"
KILLED = [
    Case(point=Point(call, after), then=then)
    for call, after, then in (
        ("GetCallerIdentity", False, RESUME),
        (TAKE, True, ABORT),
        ("GetFunction role-service-get:live", False, RESUME),
        (PLANNED, True, RESUME),
        ("UpdateAlias role-service-admin-get", False, RESUME),
        ("UpdateAlias role-service-assign", True, RESUME),
        ("UpdateAlias team-service-list", True, ABORT),
        # What was found there is journalled, and not yet overwritten.
        ("UpdateAlias team-service-get #2", False, ABORT),
        (MOVED, False, RESUME),
        (MOVED, False, ABORT),
        ("GetFunction audit-service-record:live #2", True, ABORT),
        (PARAMETER, False, RESUME),
        (PARAMETER, True, ABORT),
        (CLOSED, False, RESUME),
        (CLOSED, True, ABORT),
    )
]
STOPPED = [
    Case(point=Point(call, after=False), then=then)
    for call, then in (
        (PLANNED, ABORT),
        ("UpdateAlias team-service-list", RESUME),
        ("UpdateAlias role-service-assign", ABORT),
        (MOVED, ABORT),
        (PARAMETER, RESUME),
        (CLOSED, ABORT),
    )
]


@dataclass(frozen=True, kw_only=True)
class Bench:
    estates: list[AliasEstate]
    seen: aliases.Undisturbed


@pytest.fixture(scope="module")
def bench(
    warm: Warm,
    emulator: Emulator,
    kept: Callable[[str], Kept],
    tmp_path_factory: pytest.TempPathFactory,
) -> Bench:
    def estate() -> AliasEstate:
        account = str(next(_ACCOUNTS))
        folder = tmp_path_factory.mktemp(account)
        platform = stamp(kept("dev").template, emulator.endpoint, account, folder / account)
        return AliasEstate(platform=platform, warm=warm)

    estates = [estate() for _ in range(AT_ONCE)]
    return Bench(estates=estates, seen=aliases.undisturbed(estates[0]))


@pytest.mark.soak  # tests/integration/actions/test_lifecycle_killed.py kills at any write, the simulation at any call; test_interrupted.py a real process
def test_killed_at_any_call_it_is_finished_or_undone_from_another_clone(bench: Bench) -> None:
    assert set(KILLED) <= set(aliases.every(bench.seen)), "a call is not made any more, or has another name"

    rows = aliases.run_all(bench.estates, bench.seen, KILLED, aliases.killed)

    result = table(rows)
    assert not [row for row in rows if row.wrong], result
    assert {row.phase for row in rows} == {name for name, _ in aliases.PHASES}, result


def test_stopped_at_any_call_it_moves_nothing_once_another_has_gone_on(bench: Bench) -> None:
    assert set(STOPPED) <= set(aliases.owned(bench.seen)), "a call is not made any more, or has another name"

    rows = aliases.run_all(bench.estates, bench.seen, STOPPED, aliases.stopped)

    assert not [row for row in rows if row.wrong], table(rows)


@pytest.mark.soak  # tests/integration/targets/table/test_cutover.py has a paused copy back take its item back
def test_stopped_at_its_first_item_a_copy_back_that_was_aborted_leaves_the_table_as_it_was(
    warm: Warm, dev: Platform
) -> None:
    dev.configure(leaseSeconds=LEASE_SECONDS)
    with table_scenes.scenes(dev, warm) as (scene, _):
        seen = scenes.undisturbed(scene)
        cases = [case for case in scenes.owned(seen) if seen.phases[case.point.call] == "put"]

        row = scenes.stopped(scene, seen, cases[0])

    assert (row.point, row.then) == ("before PutItem access-management", "abort")
    assert not row.wrong, row.wrong
