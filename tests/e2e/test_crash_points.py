"""Killed at any call, a rollback is finished or undone by somebody else; stopped there, it moves nothing later.

A tenth of the calls, and one of every phase. Which, follows from the commit, so that each commit has another
tenth and finds the same again; `make soak` runs them all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from localaws.clients import connect
from localaws.emulator.server import Emulator
from tests.crashes import aliases, scenes, table_scenes
from tests.crashes.alias_estate import LEASE_SECONDS, AliasEstate
from tests.crashes.report import table
from tests.e2e.estate_under_test import ROOT, Platform, Template, git, stamp
from tests.warm import Warm

# As many at a time: most of a run is waiting for a lease to run out.
AT_ONCE = 3
_ACCOUNTS = itertools.count(720_000_000_000)
SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Bench:
    estates: list[AliasEstate]
    seen: aliases.Undisturbed
    seed: str


@pytest.fixture(scope="module")
def bench(
    warm: Warm,
    emulator: Emulator,
    templates: Callable[[str], Template],
    tmp_path_factory: pytest.TempPathFactory,
) -> Bench:
    def estate() -> AliasEstate:
        account = str(next(_ACCOUNTS))
        folder = tmp_path_factory.mktemp(account)
        platform = stamp(templates("dev"), emulator.endpoint, account, folder / account, {})
        return AliasEstate(platform=platform, warm=warm)

    estates = [estate() for _ in range(AT_ONCE)]
    seed = git(ROOT, "rev-parse", "HEAD")
    return Bench(estates=estates, seen=aliases.undisturbed(estates[0]), seed=seed)


def test_killed_at_any_call_it_is_finished_or_undone_from_another_clone(bench: Bench) -> None:
    cases = aliases.chosen(bench.seen, aliases.every(bench.seen), SHARE, bench.seed)

    rows = aliases.run_all(bench.estates, bench.seen, cases, aliases.killed)

    told = table(rows)
    assert not [row for row in rows if row.wrong], told
    assert {row.phase for row in rows} == {name for name, _ in aliases.PHASES}, told


def test_stopped_at_any_call_it_moves_nothing_once_another_has_gone_on(bench: Bench) -> None:
    cases = aliases.chosen(bench.seen, aliases.owned(bench.seen), SHARE, bench.seed, phases=False)

    rows = aliases.run_all(bench.estates, bench.seen, cases, aliases.stopped)

    assert not [row for row in rows if row.wrong], table(rows)


def test_stopped_at_its_first_item_a_copy_back_that_was_aborted_leaves_the_table_as_it_was(
    warm: Warm, dev: Platform, templates: Callable[[str], Template]
) -> None:
    table_scenes.remove(connect("s3", dev.endpoint, templates("dev").settings), dev)
    dev.configure(leaseSeconds=LEASE_SECONDS)
    with table_scenes.scenes(dev, warm) as (scene, _):
        seen = scenes.undisturbed(scene)
        cases = [case for case in scenes.owned(seen) if seen.phases[case.point.call] == "put"]

        row = scenes.stopped(scene, seen, cases[0])

    assert (row.point, row.then) == ("before PutItem access-management", "abort")
    assert not row.wrong, row.wrong
