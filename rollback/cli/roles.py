"""Which role a verb needs, for those whom AWS does not allow it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rollback.config.model import Settings
from rollback.config.naming import APPROVER, DEPLOYER, ROLLBACK
from rollback.model.identity import Actor
from rollback.model.taking import taking
from rollback.util.errors import Code, RollbackError

# The verb, or its group → who may do it (docs/reference/permissions.md); what is not here the rollback role may.
_NEEDS: Mapping[str, str] = {
    **dict.fromkeys(("stack", "terraform", "full", "prune", "release", "adopt"), DEPLOYER),
    "approve": APPROVER,
}
# What continues a record needs the role of its kind, which the verb does not say.
_OF_A_RECORD = frozenset({"apply", "resume", "abort"})


def role_named(error: RollbackError, verb: str, settings: Settings, caller: Actor) -> None:
    """Has an `ACCESS_DENIED` of `verb` (`lambda`, `release`) say whose credentials these are, and which role it needs.

    The error stays as it is where the caller has that role, and where any role may be needed.
    """
    needed = _NEEDS.get(verb, ROLLBACK)
    others = () if verb in _NEEDS else (DEPLOYER,)
    if error.code is not Code.ACCESS_DENIED or any(
        settings.acts_as(caller.role, one) for one in (needed, *others)
    ):
        return
    if verb in _OF_A_RECORD and settings.acts_as(caller.role, ROLLBACK):
        return
    role = taking(settings, needed, caller)
    again = f"You are {caller}; `rollback {verb}` needs the {needed} role: {role.under}."
    error.next = f"{role.login}\n{again}" if role.login else again
