"""Who acts: a role, and the person who assumed it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """A role and the person who acts under it.

    The person is the session's name: trust policies require the user's name (`sts:RoleSessionName`)
    and workflows set it to the actor's name. STS does not show callers their source identity.
    """

    role: str
    person: str

    def __str__(self) -> str:
        return f"{self.person} ({self.role})"
