"""What an account has, as it was read: functions, tables and trails. Nothing here decides anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# What CloudFormation puts on what it makes
# (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html).
STACK, LOGICAL = "aws:cloudformation:stack-name", "aws:cloudformation:logical-id"


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundFunction:
    """A function and its tags."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def stack(self) -> str:
        """The CloudFormation stack that made it; empty where none did."""
        return self.tags.get(STACK, "")

    @property
    def logical(self) -> str:
        """What its stack's template calls it; empty where there is none."""
        return self.tags.get(LOGICAL, "")


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundTable:
    """A table: the stack that made it, and whether it can be restored to a point in time (None: not known)."""

    name: str
    stack: str = ""
    recoverable: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An account and region as a caller sees it: all functions and tables, and in words what could not be looked at.

    `caller` is an ARN.
    """

    account: str
    region: str
    caller: str
    functions: tuple[FoundFunction, ...]
    tables: tuple[FoundTable, ...] = ()
    unlooked: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Details:
    """What was read of some functions: `aliases` maps function → alias → version, `paths` function → CDK path.

    `deletes` are the stacks that delete a version at
    the deployment after it, with a logical id each of such a version. `trails` are the names of trails that record.
    """

    aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    deletes: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[FoundTable, ...] = ()
    trails: tuple[str, ...] = ()
    unlooked: tuple[str, ...] = ()
