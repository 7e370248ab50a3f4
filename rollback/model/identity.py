"""Who acts: a role, and the person who has taken it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """A role and the person who acts under it.

    The person is the session's name: trust policies make it the user's name (`sts:RoleSessionName`)
    and workflows make it the actor's. STS tells no caller its own source identity.
    """

    role: str
    person: str

    def __str__(self) -> str:
        return f"{self.person} ({self.role})"
