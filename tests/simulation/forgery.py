"""What one with write access to the ledger changes of a record, past this command, and takes back afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rollback.ledger.repository import Ledger
from rollback.ledger.store import LedgerTable
from rollback.model.events import Approved, Happened, Resumed
from rollback.model.record import Status
from tests.doubles.world import ALICE, BOB, TABLE

if TYPE_CHECKING:
    from tests.simulation.world import World

_AT, _LATER = "2026-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


def status(world: World, record: str) -> None:
    """Another status, and nothing else."""
    waits = world.truth._status(record) == "AWAITING_APPROVAL"
    _change(world, record, "METADATA", status={"S": "IN_PROGRESS" if waits else "AWAITING_APPROVAL"})


def resumption(world: World, record: str) -> None:
    """An event that resumes what nobody has begun, or what has ended, in a chain that holds."""
    _append(world, record, Resumed(fence=1, reason=""))


def approval(world: World, record: str) -> None:
    """An event that tells of an approval that nobody gave, in a chain that holds."""
    digest = str(world.truth._metadata(record)["digest"])
    _append(world, record, Approved(digest=digest, by=BOB, at=_AT, expires_at=_LATER))


def plan(world: World, record: str) -> None:
    """A plan that moves its first function elsewhere."""
    item = world.item(f"ROLLBACK#{record}", "PLAN#0002")
    assert item is not None
    steps = json.loads(item["plan"])
    steps[0]["to_version"] = f"{steps[0]['to_version']}0"
    _change(world, record, "PLAN#0002", plan={"S": json.dumps(steps, separators=(",", ":"))})


@dataclass(frozen=True, slots=True)
class Forgery:
    """A change of a record, and the verb that acts upon the record by its status before."""

    change: Callable[[World, str], None]
    verbs: dict[str, str]


FORGERIES = (
    Forgery(status, {"AWAITING_APPROVAL": "resume", "IN_PROGRESS": "apply", "FAILED": "apply"}),
    Forgery(resumption, dict.fromkeys(("AWAITING_APPROVAL", "COMPLETE", "REVERTED"), "resume")),
    Forgery(approval, {"AWAITING_APPROVAL": "resume"}),
    Forgery(plan, {"AWAITING_APPROVAL": "apply", "IN_PROGRESS": "resume", "FAILED": "resume"}),
)


@contextmanager
def forged(world: World, record: str, forgery: Forgery) -> Iterator[None]:
    """A record that is forged inside, as `Truth` knows, and afterwards is as it was."""
    table, pk = world.dynamodb._tables[TABLE], f"ROLLBACK#{record}"
    before = dict(_partition(world, record))
    forgery.change(world, record)
    world.truth.forged = record
    try:
        yield
    finally:
        world.truth.forged = ""
        for sk in {*before, *_partition(world, record)}:
            was = before.get(sk)
            if was is not _partition(world, record).get(sk):
                table.write((pk, sk), was.item if was else None, was.size if was else 0)


def _partition(world: World, record: str) -> dict[str, Any]:
    return world.dynamodb._tables[TABLE].now[f"ROLLBACK#{record}"]


def _change(world: World, record: str, sk: str, **values: Any) -> None:
    stored = _partition(world, record)[sk]
    table = world.dynamodb._tables[TABLE]
    table.write((f"ROLLBACK#{record}", sk), {**stored.item, **values}, stored.size)


def _append(world: World, record: str, what: Happened) -> None:
    ledger = Ledger(LedgerTable(world.dynamodb, TABLE), world.settings.environment)  # type: ignore[arg-type] # a model
    # In the name of one whom no freeze binds.
    by = replace(ALICE, person=world.truth.frozen_by or ALICE.person)
    entered = what.entered(at=_AT, by=by)
    ledger.journal(ledger.load(record).record, entered, None, {"status": Status.IN_PROGRESS})
