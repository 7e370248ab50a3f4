"""Stores drills in the ledger: their start, with what was deployed before, and their end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rollback.config.naming import APPROVER
from rollback.ledger.repository import Ledger
from rollback.ledger.schema import model
from rollback.ledger.store import ABSENT, Conflict, Write
from rollback.lifecycle.context import Session
from rollback.lifecycle.quarantine import manual_entry
from rollback.model.drill import BEGUN, PREFIX, Drill, drill_hash, drill_item
from rollback.model.release import DRILL
from rollback.util.errors import Code, Refused, RollbackError


def read(ledger: Ledger) -> Iterator[Drill | RollbackError]:
    """All drills, oldest first; a malformed one is returned as an error that names it."""
    for item in ledger.table.query(f"RELEASE#{ledger.environment}", PREFIX):
        try:
            yield model(Drill, item)
        except RollbackError as error:
            yield error


def drills(ledger: Ledger) -> list[Drill]:
    """All drills, oldest first. Raises `RollbackError` for one that is malformed."""
    found = []
    for drill in read(ledger):
        if isinstance(drill, RollbackError):
            raise drill
        found.append(drill)
    return found


def found(session: Session, name: str) -> Drill | None:
    """The drill with this id, or with the release of this name; None if there is none, and under the approver role,
    which may not read it. Raises `RollbackError` if it is malformed.
    """
    if session.settings.acts_as(session.caller.role, APPROVER):
        return None
    key = PREFIX + name.removeprefix(f"{DRILL}-").upper()
    items = session.ledger.table.query(f"RELEASE#{session.environment}", key)
    return next((model(Drill, item) for item in items if item["SK"] == key), None)


def unfinished(ledger: Ledger) -> list[Drill]:
    """The drills that started and have not ended."""
    return [drill for drill in drills(ledger) if drill.status == BEGUN]


def begin(ledger: Ledger, drill: Drill) -> None:
    """Stores the start of a drill, and what was deployed before. Must come before any change."""
    ledger.table.transact([Write(name=DRILL, item=drill_item(drill), condition=ABSENT)])


def end(session: Session, drill: Drill) -> None:
    """Stores the end of a drill. Raises `Refused` where another command has stored it."""
    entry = manual_entry(session, DRILL, "", drill.status, drill.ended_at or session.clocks.now())
    put = Write(
        name=DRILL,
        item=drill_item(drill),
        condition="#status = :begun",
        names={"#status": "status"},
        values={":begun": BEGUN},
    )
    try:
        session.ledger.append(replace(entry, id=drill.drill_id, covers=drill_hash(drill)), [put])
    except Conflict:
        raise Refused(
            f"Drill {drill.drill_id} has already been ended by another command.", code=Code.LEDGER_BUSY
        ) from None
