"""Proposes an environment's settings from its account. Pure: a person, or options, decide."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollback.config.naming import FOUNDATION, permission_set_of
from rollback.model.found import Details, Found, FoundFunction, FoundTable
from rollback.setup.catalogue.grouping import By, Services, words

# With more, a role's policies use prefixes of names (docs/settings.md).
LISTED_FUNCTIONS = 280
_PRODUCTION = ("production", "live", "main")
# Calls per function in a rollback (reading, updating and verifying the alias), with a quota of 15 per second.
_CALLS, _A_SECOND, _USUAL_MINUTES = 3, 14.9, 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A proposed environment.

    `called` is a word for another environment in the names of all functions.
    `ungrouped` are functions without what they should be grouped by (`by`).
    `people` has the non-empty lists of the setting `people`. `stacks` are CloudFormation's of its functions.
    `declares`: the stack creates the aliases, because there are none yet.
    """

    environment: str
    account: str
    region: str
    prefix: str
    alias: str
    production: bool
    services: Services
    declares: bool = False
    tables: Mapping[str, str] = field(default_factory=dict)
    people: Mapping[str, Any] = field(default_factory=dict)
    permission_sets: Mapping[str, str] = field(default_factory=dict)
    stacks: tuple[str, ...] = ()
    repository: str = ""
    protected_branch: str = "main"
    gitlab: Mapping[str, str] = field(default_factory=dict)
    approval: Mapping[str, str] = field(default_factory=dict)
    rto_minutes: int = _USUAL_MINUTES
    by: By | None = None
    ungrouped: tuple[str, ...] = ()
    called: str = ""

    @property
    def functions(self) -> tuple[str, ...]:
        """The full names of all functions."""
        return tuple(name for entries in self.services.values() for name in entries.values())

    @property
    def state_bucket(self) -> str:
        """Contains the account id, because bucket names are global."""
        return f"{self.prefix}-{self.environment}-pulumi-{self.account}"

    @property
    def foundation_bucket(self) -> str:
        return f"{self.prefix}-{self.environment}-{FOUNDATION}-{self.account}"


def is_production(environment: str) -> bool:
    """Whether an environment's name is that of production: `production`, `prod-eu`, `live`."""
    said = {*_PRODUCTION, *words("production")}
    return any(word in said for word in environment.split("-"))


def prefix_of(folder: str) -> str:
    """A folder's name as a prefix; `app` if it has no usable characters."""
    text = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")[:20].strip("-")
    return text if text[:1].isalpha() else "app"


def rto_minutes(functions: int) -> int:
    """The minutes in which that many aliases can be updated and verified, at Lambda's quota; at least the default five."""
    return max(_USUAL_MINUTES, math.ceil(functions * _CALLS / _A_SECOND / 60) + 1)


def approval(*, production: bool, approvers: bool) -> dict[str, str]:
    """The setting `approval`, where it differs from the default.

    Without approvers the same person confirms, even in production.
    """
    if production and not approvers:
        return {"aliases": "none", "infrastructure": "confirm", "table": "confirm"}
    return {}


def permission_sets(prefix: str, environment: str, *, production: bool) -> dict[str, str]:
    """Proposed names of permission sets of IAM Identity Center, by the setting's keys: `ShopProductionOnCall`.

    Approvers are only needed in production. A set's name has at most 32 characters.
    """
    stem = "".join(part.capitalize() for part in f"{prefix}-{environment}".split("-"))[:22]
    roles = {"deployers": "Deploy", "onCall": "OnCall", "breakGlass": "BreakGlass"}
    roles |= {"approvers": "Approve"} if production else {}
    return {role: f"{stem}{does}" for role, does in roles.items()}


def by_permission_set(arn: str) -> bool:
    """Whether a caller uses IAM Identity Center."""
    return bool(permission_set_of(arn.partition(":assumed-role/")[2].partition("/")[0]))


def person(arn: str) -> str:
    """The caller's ARN if it is that of an IAM user, which a role's trust policy can contain; else empty."""
    return arn if re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:user/.+", arn) else ""


def candidate_tables(
    found: Found, functions: Sequence[FoundFunction], services: Services
) -> tuple[FoundTable, ...]:
    """The tables that belong to functions: those of their stacks, or named like a service."""
    stacks = {one.stack for one in functions if one.stack}
    return tuple(
        table
        for table in found.tables
        if table.stack in stacks
        or (not table.stack and table.name.lower().startswith(tuple(map(str.lower, services))))
    )


def tables(details: Details, environment: str) -> dict[str, str]:
    """Entry → full name of those tables that can be restored to a point in time."""
    made: dict[str, str] = {}
    for table in details.tables:
        if table.recoverable:
            made[_table_entry(table.name, environment, made)] = table.name
    return made


def _table_entry(name: str, environment: str, taken: Mapping[str, str]) -> str:
    """`orders` of `orders-prod-OrdersTable-1A2B3C4D5E6F`, if that is unique."""
    own = words(environment)
    text = re.sub(r"(?<=Table)-[0-9A-Z]{10,}$", "", name)
    parts = [part for part in re.split(r"[-_.]", text) if part.lower() not in own]
    short = re.sub(r"(?<=.)Table$", "", parts[-1]).lower() if parts else name
    return next((one for one in (short, "-".join(parts), name) if one and one not in taken), name)


def without_alias(
    functions: Sequence[str], aliases: Mapping[str, Mapping[str, str]], alias: str
) -> tuple[str, ...]:
    """The functions that lack an alias."""
    return tuple(name for name in functions if alias not in aliases.get(name, {}))


def unpublished(
    functions: Sequence[str], aliases: Mapping[str, Mapping[str, str]], alias: str
) -> tuple[str, ...]:
    """The functions whose alias points to $LATEST, which cannot be rolled back."""
    return tuple(name for name in functions if aliases.get(name, {}).get(alias) == "$LATEST")


def settings_of(proposal: Proposal) -> dict[str, Any]:
    """The settings of the environment's file, without the project's prefix, in the file's order."""
    made: dict[str, Any] = {"production": proposal.production}
    naming = {"stateBucket": proposal.state_bucket, "foundationBucket": proposal.foundation_bucket}
    made |= {
        "naming": naming,
        "declareAliases": proposal.declares,
        "services": {service: dict(entries) for service, entries in proposal.services.items()},
    }
    for key, value in (
        ("cloudformationStacks", list(proposal.stacks)),
        ("tables", dict(proposal.tables)),
        ("repository", proposal.repository),
        ("protectedBranch", "" if proposal.protected_branch == "main" else proposal.protected_branch),
        ("gitlab", dict(proposal.gitlab)),
        ("people", dict(proposal.people)),
        ("permissionSets", dict(proposal.permission_sets)),
        ("approval", dict(proposal.approval)),
    ):
        if value:
            made[key] = value
    if proposal.rto_minutes > _USUAL_MINUTES:
        made["rto"] = {"code": proposal.rto_minutes}
    return made
