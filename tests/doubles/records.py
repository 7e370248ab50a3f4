"""A record and a plan of a rollback of aliases: each as a test wants it, and otherwise as any."""

from __future__ import annotations

from typing import Any

from rollback.model.alias_moves import Move
from rollback.model.plan import Plan
from rollback.model.record import Record, Status
from rollback.model.request import AliasesRequest
from tests.doubles.world import ALICE


def a_record(**as_wanted: Any) -> Record:
    """Begun by alice, to take service `teams` from v2 to v1."""
    usual: dict[str, Any] = {
        "rollback_id": "R1",
        "kind": "aliases",
        "environment": "dev",
        "from_version": "v2",
        "to_version": "v1",
        "services": ("teams",),
        "without": (),
        "reason": "bad",
        "initiated_by": ALICE,
        "initiated_at": "2026-11-24T12:00:00.000Z",
        "status": Status.IN_PROGRESS,
        "digest": "d",
        "counts": {},
        "rto_seconds": 300,
    }
    return Record(**usual | as_wanted)


def a_plan(*steps: Move, **as_wanted: Any) -> Plan[Move]:
    """The same, of these steps."""
    usual: dict[str, Any] = {
        "kind": "aliases",
        "environment": "dev",
        "account": "111122223333",
        "region": "eu-west-1",
        "request": AliasesRequest(),
        "from_version": "v2",
        "to_version": "v1",
        "leaves": {"teams": "v2"},
        "targets": {"teams": "v1"},
        "quarantines": {},
        "steps": steps,
    }
    return Plan(**usual | as_wanted)
