"""An account's resources, as read: functions, tables and trails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Tags that CloudFormation adds
# (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html).
STACK, LOGICAL = "aws:cloudformation:stack-name", "aws:cloudformation:logical-id"


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundFunction:
    """A function and its tags."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def stack(self) -> str:
        """The CloudFormation stack that created it; empty without one."""
        return self.tags.get(STACK, "")

    @property
    def logical(self) -> str:
        """Its logical id in its stack's template; empty without one."""
        return self.tags.get(LOGICAL, "")


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundTable:
    """A table: its stack, and whether it can be restored to a point in time (None: unknown)."""

    name: str
    stack: str = ""
    recoverable: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An account and region as seen by a caller: all functions and tables, and texts about what could not be read.

    `caller` is an ARN.
    """

    account: str
    region: str
    caller: str
    functions: tuple[FoundFunction, ...]
    tables: tuple[FoundTable, ...] = ()
    unlooked: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Deletes:
    """A stack whose next deployment deletes the previous version: `version` is the logical id of one,
    `by_cdk` whether CDK made the template.
    """

    stack: str
    version: str
    by_cdk: bool = False

    def __str__(self) -> str:
        return (
            f"stack {self.stack} deletes the previous version at each deployment ({self.version} has no DeletionPolicy: "
            "Retain), so that you cannot roll back to it"
        )

    @property
    def advice(self) -> str:
        """The text as complete sentences, with the line to add."""
        text = str(self)
        return f"{text[:1].upper()}{text[1:]}. Add: {self.remedy}"

    @property
    def remedy(self) -> str:
        """The line to add."""
        return (
            _CDK_LINE
            if self.by_cdk
            else f"DeletionPolicy: Retain and UpdateReplacePolicy: Retain on {self.version}"
        )


_CDK_LINE = "current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.RETAIN)"
# If it is unknown what deploys.
ADVICE = f"In CDK, for each function: {_CDK_LINE}; in a template, for each AWS::Lambda::Version: DeletionPolicy: Retain."


@dataclass(frozen=True, kw_only=True, slots=True)
class Details:
    """The details of some functions: `aliases` maps function → alias → version, `paths` function → CDK path.

    `deletes` are the stacks whose next deployment deletes
    a version. `trails` are the names of trails that record.
    """

    aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    deletes: tuple[Deletes, ...] = ()
    tables: tuple[FoundTable, ...] = ()
    trails: tuple[str, ...] = ()
    unlooked: tuple[str, ...] = ()
