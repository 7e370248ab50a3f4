"""5,000 functions: every item and every transaction fits, and what is asked of the ledger does not grow.

The table is the model in memory, which refuses what DynamoDB refuses: items above 400 KB, transactions of
more than 100 members or 4 MB (tests/integration/aws/test_models_keep_the_contract.py).
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.account import generated
from rollback.ledger.schema import record_item
from rollback.ledger.store import Write
from rollback.model.alias_moves import Move
from rollback.model.plan import from_chunks, to_chunks
from rollback.model.record import Status
from rollback.model.request import AliasesRequest
from rollback.queries.history import past
from rollback.targets.aliases.recorded import recorded
from tests.doubles.world import World, create_table, previewed, settings
from tests.integration.conftest import OneByOne
from tests.simulation.aws.dynamodb_model import DynamoDB

COUNT = 5000
ITEM = 400 * 1024


class Asked(OneByOne):
    """Counts the requests, and measures what they carry."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.calls: Counter[str] = Counter()
        self.members, self.item = 0, 0

    def __getattr__(self, name: str) -> Any:
        call = super().__getattr__(name)

        def one(**request: Any) -> Any:
            self.calls[name] += 1
            members = request.get("TransactItems", [])
            self.members = max(self.members, len(members))
            puts = [member["Put"]["Item"] for member in members if "Put" in member]
            self.item = max(
                [self.item, *(len(json.dumps(item, ensure_ascii=False).encode()) for item in puts)]
            )
            return call(**request)

        return one


@pytest.fixture
def table() -> Asked:
    model = DynamoDB()
    create_table(model)
    return Asked(model)


def test_a_rollback_of_5000_functions_fits_and_can_be_undone(table: Asked, tmp_path: Path) -> None:
    """Nothing of it is sampled: planned, approved of by none, moved, failed by its smoke command, put back."""
    failing = ["python", "-c", "raise SystemExit(1)"]
    world = World(dynamodb=table, root=tmp_path, settings=settings(services=generated(COUNT), smoke=failing))
    for version in ("v1.0.0", "v1.1.0"):
        world.release(version)
        world.record(version)
    weighted = world.names[::7]
    for name in weighted:
        alias = world.functions.aliases[name]
        world.functions.point(name, alias.version, {"1": 0.125})
    before = world.functions.deployed()
    world.functions.calls.clear()

    finished = world.begin(adopt_current=True)

    assert finished.record is not None
    assert finished.record.status is Status.FAILED, "by its smoke command"
    assert finished.record.counts["moved"] == COUNT
    assert Counter(name for name, _ in world.functions.calls) == {
        # Where it stands, where it goes, and whether it stands there: each is asked once.
        "GetFunction": 3 * COUNT,
        "UpdateAlias": COUNT,
        # What weights it has, which no record knows, and whether any are left.
        "GetAlias": 2 * COUNT,
    }
    opened = world.session().ledger.load(finished.record.rollback_id)
    plan = opened.plan(Move)
    assert len(plan.steps) == COUNT
    assert len(opened.plan_chunks) > 2, "a plan of this size is written in parts"
    assert len(opened.events) <= COUNT / 25 + len(weighted) + 10
    aborted = world.flow().abort(finished.record.rollback_id)
    assert aborted.record is not None
    assert aborted.record.status is Status.REVERTED
    assert world.functions.deployed() == before
    session, catalogue = world.session(), world.settings.catalogue()
    assert len(recorded(session.ledger, world.timeline(), catalogue, catalogue).states) == COUNT
    assert 50_000 < table.item < ITEM
    assert table.members <= 100


def test_a_plan_of_5000_functions_with_names_as_long_as_they_may_be_fits(
    table: Asked, tmp_path: Path
) -> None:
    world = World(dynamodb=table, root=tmp_path, settings=settings())
    world.story()
    plan = previewed(world.flow(), "aliases", AliasesRequest())
    steps = tuple(
        Move(
            function=f"{number:064d}",
            service=f"{number:063d}",
            from_version="99999999",
            to_version="99999998",
            code_sha256="s" * 44,
            revision_id="r" * 36,
            weights={"99999997": 0.123456789},
            provisioned=1000,
        )
        for number in range(COUNT)
    )

    chunks = to_chunks(replace(plan, steps=steps))

    assert max(len(chunk.encode()) for chunk in chunks) < ITEM - 1000
    assert from_chunks(chunks, Move).steps == steps


def test_a_history_of_1000_entries_is_read_page_by_page_and_asks_once_for_what_they_share(
    table: Asked, tmp_path: Path
) -> None:
    world = World(dynamodb=table, root=tmp_path, settings=settings())
    world.story()
    record = world.begin().record
    assert record is not None
    session = world.session()
    for number in range(1000):
        copy = replace(
            record, rollback_id=f"{number:026d}", initiated_at=f"2026-01-01T00:00:{number / 20:06.3f}Z"
        )
        session.ledger.table.transact([Write(name="record", item=record_item(copy))])
    table.calls.clear()

    entries = past(world.session(), 1000, "aliases")

    assert len(entries.moments) == 1000
    assert not entries.broken
    # In pages of 200, or of 1 MB.
    assert table.calls.keys() == {"query"}
    assert table.calls["query"] <= 6
    table.calls.clear()
    assert [moment.deployed for moment in past(world.session(), 3, "release").moments] == [False, True, False]
    assert table.calls["query"] <= 7, "what stands is asked once for all releases"
