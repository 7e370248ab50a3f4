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
class Deletes:
    """A stack whose next deployment deletes the version that it deployed before: `version` is the logical id of one,
    `by_cdk` whether CDK has made the template.
    """

    stack: str
    version: str
    by_cdk: bool = False

    def __str__(self) -> str:
        return (
            f"stack {self.stack} deletes the version before at each deployment ({self.version} has no DeletionPolicy: "
            "Retain), so that nothing is left to roll back to"
        )

    @property
    def advice(self) -> str:
        """The same as sentences of their own, with the line to add."""
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
# Where it is not known what deploys.
ADVICE = f"In CDK, of each function: {_CDK_LINE}; in a template, of each AWS::Lambda::Version: DeletionPolicy: Retain."


@dataclass(frozen=True, kw_only=True, slots=True)
class Details:
    """What was read of some functions: `aliases` maps function → alias → version, `paths` function → CDK path.

    `deletes` are the stacks whose next deployment deletes
    a version. `trails` are the names of trails that record.
    """

    aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    deletes: tuple[Deletes, ...] = ()
    tables: tuple[FoundTable, ...] = ()
    trails: tuple[str, ...] = ()
    unlooked: tuple[str, ...] = ()
