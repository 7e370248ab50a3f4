"""The kinds of things that can be put back, and where each is made. A new kind is one line here."""

from __future__ import annotations

from rollback.aws import Account
from rollback.errors import RollbackError
from rollback.ledger import Ledger
from rollback.targets import aliases
from rollback.targets.protocol import Target

_MAKERS = {"aliases": aliases.Aliases}


def make(kind: str, account: Account, ledger: Ledger) -> Target:
    """The target of `kind`. Raises `RollbackError` for a kind that this version does not know."""
    if kind not in _MAKERS:
        raise RollbackError(
            f"This version of the command cannot put back {kind!r}.", next="Update your checkout."
        )
    return _MAKERS[kind](account, ledger)
