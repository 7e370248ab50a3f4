"""Typed events: what recorded journals hold is read by type and stored again byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

from rollback.ledger.schema import model
from rollback.ledger.store import _read
from rollback.model import events
from rollback.model.identity import Actor
from rollback.model.record import Check, Event, Status
from rollback.targets.stack import events as stack
from rollback.targets.table import events as table
from rollback.targets.terraform import events as terraform
from rollback.util.canonical import plain

ALICE = Actor(role="rollback", person="alice")
RECORDED = Path(__file__).parents[2] / "recorded"
# Kinds whose data depends on the target, or on the step: not of one type.
_SEVERAL = {"changed", "unchanged", "reverted", "restored", "done", "imported"}
TYPES = {
    one.kind: one
    for module in (events, stack, terraform, table)
    for one in vars(module).values()
    if isinstance(one, type) and issubclass(one, events.Happened) and one is not events.Happened
}


def test_every_recorded_event_is_stored_again_as_it_was() -> None:
    seen = set()
    for path in sorted(RECORDED.glob("*.json")):
        for item in json.loads(path.read_text(encoding="utf-8"))["items"]:
            event = model(Event, _read(item)) if item["SK"]["S"].startswith("EVENT#") else None
            if event is None or event.kind in _SEVERAL or event.kind not in TYPES:
                continue
            assert events.stored(events.typed(event, TYPES[event.kind])) == event.data, (path.name, event)
            seen.add(event.kind)
    assert seen >= {"planned", "approved", "moved", "found", "failed", "reverting", "resumed", "aborting"}
    assert seen >= {"interrupted", "closed", "aborted", "deleted", "wrote"}


def _end(number: int, status: Status, *checks: Check) -> Event:
    data = {"status": status, "counts": {}, "checks": plain(checks)}
    return Event(
        number=number, kind="closed", at="", by=ALICE, data=data, previous="", hash=f"h{number}", record=""
    )


def test_an_end_failed_in_verification_where_a_check_failed_and_not_where_it_was_undone() -> None:
    failed = _end(1, Status.FAILED, Check(check="smoke", ok=True), Check(check="parameter", ok=False))
    undone = _end(2, Status.FAILED)

    assert events.failed_in_verification([failed, undone], "h1")
    assert not events.failed_in_verification([failed, undone], "h2")
    assert not events.failed_in_verification([], "h1")
