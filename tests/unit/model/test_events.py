"""Typed events: what recorded journals hold is read by type and stored again byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

from rollback.ledger.schema import model
from rollback.ledger.store import _read
from rollback.model import events
from rollback.model.record import Event

RECORDED = Path(__file__).parents[2] / "recorded"
# Kinds whose data depends on the target, or on the step: not of one type.
_SEVERAL = {"changed", "unchanged", "reverted", "restored", "done", "imported"}
TYPES = {
    one.kind: one
    for one in vars(events).values()
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
