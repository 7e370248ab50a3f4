"""Killed at any call, a rollback is finished or undone by somebody else; stopped there, it moves nothing later.

A tenth of the calls, and one of every phase. Which, follows from the commit, so that each commit has another
tenth and finds the same again; `make soak` runs them all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from estate_under_test import ROOT, Template, git, stamp

from local.emulator.server import Emulator
from tests.crashes import aliases
from tests.crashes.alias_estate import AliasEstate
from tests.crashes.forks import Forks
from tests.crashes.report import table

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
    emulator: Emulator, templates: Callable[[str], Template], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    with Forks() as forks:

        def estate() -> AliasEstate:
            account = str(next(_ACCOUNTS))
            folder = tmp_path_factory.mktemp(account)
            platform = stamp(templates("dev"), emulator.endpoint, account, folder / account, {})
            return AliasEstate(platform=platform, forks=forks)

        estates = [estate() for _ in range(AT_ONCE)]
        seed = git(ROOT, "rev-parse", "HEAD")
        yield Bench(estates=estates, seen=aliases.undisturbed(estates[0]), seed=seed)


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
