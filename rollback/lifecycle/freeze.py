"""A freeze: until it is lifted, only the person who set it may deploy or roll back. Running rollbacks may finish.

It is recorded like a quarantine: in the ledger's chain and archive, and audited.
"""

from __future__ import annotations

from rollback.ledger.repository import Ledger
from rollback.lifecycle.context import Session
from rollback.lifecycle.quarantine import manual_entry
from rollback.model.messages import checked_reason
from rollback.model.release import Freeze
from rollback.util.errors import Code, Refused


def freeze(session: Session, reason: str) -> Freeze:
    """Freezes the environment for everybody but the caller. Raises `Refused` where it is already frozen."""
    reason = checked_reason(reason)
    if (freeze_entry := frozen(session.ledger)) is not None:
        raise Refused(
            f"{session.environment} is already frozen: {freeze_entry}.",
            code=Code.FROZEN,
            next=f'rollback unfreeze --env {session.environment} --reason "…"',
        )
    at = session.clocks.now()
    made = Freeze(reason=reason, by=session.caller, at=at)
    session.ledger.append(manual_entry(session, "freeze", "", reason, at), quarantines=[made])
    return made


def unfreeze(session: Session, reason: str) -> Freeze:
    """Lifts the freeze. Anybody may, and who did it is recorded. Raises `Refused` where the environment is not frozen."""
    reason = checked_reason(reason)
    freeze_entry = frozen(session.ledger)
    if freeze_entry is None:
        raise Refused(
            f"{session.environment} is not frozen.",
            code=Code.NOTHING_TO_LIFT,
            next=f"rollback status --env {session.environment}",
        )
    session.ledger.append(
        manual_entry(session, "unfreeze", "", reason, session.clocks.now()), lifts=[freeze_entry]
    )
    return freeze_entry


def frozen(ledger: Ledger) -> Freeze | None:
    """The current freeze; None if there is none."""
    return ledger.frozen()


def respected(session: Session) -> None:
    """Raises `Refused` where somebody else has frozen the environment. An early check: it is repeated
    in the transaction that opens a record (`Ledger.open`, `journal`, `record_release`).
    """
    freeze_entry = frozen(session.ledger)
    if freeze_entry is not None and freeze_entry.binds(session.caller.person):
        raise freeze_entry.refusal(session.environment)
