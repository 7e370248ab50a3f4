"""The role that a command needs, and how the caller gets it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rollback.config.model import Settings
from rollback.config.naming import (
    APPROVER,
    BREAK_GLASS,
    DEPLOYER,
    DRILL,
    ROLLBACK,
    permission_set_of,
    role_of,
)
from rollback.model.identity import Actor


@dataclass(frozen=True, kw_only=True, slots=True)
class Taking:
    """`under` is the role's name, and who may assume it if the caller may not; `login` is what the caller types
    to assume it, empty if they may not. Both are empty if they already have the role.
    """

    under: str = ""
    login: str = ""

    def __str__(self) -> str:
        """`under acme-dev-github-actions-role: rollback login --env dev --role deployer`"""
        under = f"under {self.under}" if self.under else ""
        return f"{under}: {self.login}" if self.login else under


def taking(settings: Settings, role: str, caller: Actor) -> Taking:
    """How `caller` gets a role that people or workflows assume (`naming.DEPLOYER`, …)."""
    names, people = settings.names, settings.people
    name = names.role(role)
    if settings.acts_as(caller.role, role):
        return Taking()
    takers = {
        DEPLOYER: people.deployers,
        ROLLBACK: people.on_call,
        DRILL: people.on_call,
        APPROVER: people.approvers,
        BREAK_GLASS: people.break_glass,
    }[role]
    users = [arn.rpartition("/")[2] for arn in takers]
    if caller.person.casefold() in map(str.casefold, users):
        return Taking(under=name, login=f"rollback login --env {settings.environment} --role {role}")
    if role in settings.permission_sets.of_roles:
        return Taking(under=settings.called(role))
    if users:
        return Taking(under=f"{name} ({', '.join(users)})")
    if role == BREAK_GLASS:
        return Taking(under=name)
    return Taking(under=f"{name} (jobs of {names.github_environment(role)})")


def login(environment: str, role: str = "") -> str:
    """What somebody who has the role of this name types for new credentials of it."""
    if permission_set_of(role):
        return "aws sso login"
    _, taken = role_of(role)
    return f"rollback login --env {environment}" + (f" --role {taken}" if taken else "")
