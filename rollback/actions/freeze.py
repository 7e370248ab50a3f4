"""A freeze: until it is ended, only the person who set it may deploy or roll back. What is in flight may end.

It is recorded as quarantines are: in the ledger's chain, in its archive, and audited.
"""

from __future__ import annotations

from rollback.actions.context import Session
from rollback.actions.quarantine import said
from rollback.core.errors import Code, Refused
from rollback.ledger.repository import Ledger
from rollback.model.messages import checked_reason
from rollback.model.release import Freeze


def freeze(session: Session, reason: str) -> Freeze:
    """Freezes the environment for everybody but the caller. Raises `Refused` where it is frozen already."""
    reason = checked_reason(reason)
    if (standing := frozen(session.ledger)) is not None:
        raise Refused(f"{session.environment} is frozen already: {told(standing)}.", code=Code.FROZEN)
    at = session.clocks.now()
    made = Freeze(reason=reason, by=session.caller, at=at)
    session.ledger.append(said(session, "freeze", "", reason, at), bars=[made])
    return made


def unfreeze(session: Session, reason: str) -> Freeze:
    """Ends the freeze. Anybody may, and is recorded. Raises `Refused` where the environment is not frozen."""
    reason = checked_reason(reason)
    standing = frozen(session.ledger)
    if standing is None:
        raise Refused(f"{session.environment} is not frozen.", code=Code.NOTHING_TO_LIFT)
    session.ledger.append(said(session, "unfreeze", "", reason, session.clocks.now()), lifts=[standing])
    return standing


def frozen(ledger: Ledger) -> Freeze | None:
    """The freeze that there is now; None where there is none."""
    return ledger.frozen()


def respected(session: Session) -> None:
    """Raises `Refused` where somebody else has frozen the environment."""
    standing = frozen(session.ledger)
    if standing is not None and standing.by.person.casefold() != session.caller.person.casefold():
        raise Refused(
            f"{session.environment} is frozen: {told(standing)}.",
            code=Code.FROZEN,
            next=f"Ask {standing.by.person}; or rollback unfreeze --env {session.environment} --reason …",
        )


def told(standing: Freeze) -> str:
    """A freeze in words."""
    return f"{standing.by} since {standing.at}: {standing.reason}"
