"""Whether rolling back a commit's changes to resources would lose data. Pure.

A rollback creates again what was deleted, empty; and deletes what was created, with all that it holds by
then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollback.actions.reversibility.rules import CheckAnswer, Judgement
from rollback.core.canonical import canonical
from rollback.integrations import hcl
from rollback.integrations.pulumi.preview_events import PreviewStep
from rollback.model.resource_changes import (
    CREATE,
    DELETE,
    REPLACE,
    UPDATE,
    ResourceChange,
    holds,
    kind,
    spelled,
    weakened,
)
from rollback.targets.terraform import plan_json

# How a program spells the parts of a DynamoDB table: as Pulumi does, or as Terraform.
_ATTRIBUTES = ("attributes", "attribute")
_INDEXES = (
    "global_secondary_indexes",
    "global_secondary_index",
    "local_secondary_indexes",
    "local_secondary_index",
)
_KEYS = ("hash_key", "range_key", "key_schemas", "key_schema")

ADVICE = "leave it as it is in this commit; what has to go, goes by a change of its own, after a backup"


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedResource:
    """One resource and what a deployment would do to it; its values before and after (attribute → value,
    spelled as in Terraform).

    `protected`: the engine itself refuses it; `unprotects`: it loses that protection; `retains`: it leaves
    the state only.
    """

    subject: str
    type: str
    op: str
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    protected: bool = False
    unprotects: bool = False
    retains: bool = False


def of_stack(steps: Iterable[PreviewStep]) -> list[JudgedResource]:
    """The resources in the engine's preview."""
    return [
        JudgedResource(
            subject=step.urn,
            type=step.type,
            op=step.op,
            before=spelled(step.old or {}),
            after=spelled(step.new or {}),
            protected=step.protected,
            unprotects=step.unprotects,
            retains=step.retains,
        )
        for step in steps
    ]


def of_terraform(
    changes: Iterable[ResourceChange], shown: Mapping[str, Any], dropped: Iterable[str]
) -> list[JudgedResource]:
    """The resources in `shown`, the JSON of `terraform show -json` of the plan whose changes are `changes`.

    `dropped` are the addresses whose `prevent_destroy` the commit no longer has, which no plan shows.
    """
    values = plan_json.values(shown)
    lost = set(dropped)
    return [
        JudgedResource(
            subject=change.urn,
            type=change.type,
            op=change.op,
            before=values.get(change.urn, ({}, {}))[0],
            after=values.get(change.urn, ({}, {}))[1],
            unprotects=_declared(change.urn) in lost,
            retains=change.retains,
        )
        for change in changes
    ]


def _declared(address: str) -> str:
    """What declares a resource, in whatever module: `module.a.aws_x.b["c"]` → `aws_x.b`."""
    return ".".join(re.sub(r"\[[^\]]*\]", "", address).rsplit(".", 2)[-2:])


def judged(
    check: str, resources: Sequence[JudgedResource], holds_data: Sequence[str], commit: str
) -> list[Judgement]:
    """One finding for each reason why a rollback of `commit` would lose data; a yes where there is none; and
    a note for what the rollback would delete.
    """
    against = [
        Judgement(check=check, subject=one.subject, answer=CheckAnswer.NO, why=why, next=ADVICE)
        for one in resources
        for why in _reasons(one, holds(one.type, holds_data))
    ]
    made = [
        Judgement(
            check=check,
            subject=one.subject,
            answer=CheckAnswer.NOTE,
            why="it would be created: its step back deletes it, with all that it holds by then",
            next=f"--allow-destroy '{one.subject}', if it may",
        )
        for one in resources
        if one.op == CREATE and holds(one.type, holds_data)
    ]
    if against:
        return [*against, *made]
    ops = [one.op for one in resources]
    counted = ", ".join(f"{ops.count(op)} to {op}" for op in (CREATE, UPDATE, REPLACE, DELETE) if op in ops)
    why = f"{commit[:12]} would have {counted or 'nothing to change'}; what holds data stays as it is"
    return [Judgement(check=check, answer=CheckAnswer.YES, why=why), *made]


def _reasons(one: JudgedResource, stateful: bool) -> list[str]:  # noqa: FBT001 - what kind it is
    found = []
    if one.op in (DELETE, REPLACE):
        if one.protected:
            found.append(f"it is protected and would be {one.op}d")
        elif stateful and one.retains:
            found.append("it would leave the state only: the step back would make another one, and empty")
        elif stateful:
            found.append(f"it holds data and would be {one.op}d: the step back makes it again, empty")
    if one.unprotects:
        found.append("it would lose its protection, without which the next change may delete it")
    if stateful and one.op in (UPDATE, REPLACE):
        found += weakened(one.before, one.after)
    if kind(one.type) == "dynamodb_table" and one.op in (UPDATE, REPLACE):
        found += _narrowed(one.before, one.after)
    return found


def _narrowed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What of a table's keys and attributes would be less, or other."""
    found = []
    if _keys(before) != _keys(after):
        found.append("its key schema would change")
    types = _named(after, _ATTRIBUTES)
    for name, definition in _named(before, _ATTRIBUTES).items():
        if name not in types:
            found.append(f"attribute {name} would no longer be defined")
        elif types[name].get("type") != definition.get("type"):
            found.append(f"attribute {name} would be of another type")
    indexes = _named(after, _INDEXES)
    for name, index in _named(before, _INDEXES).items():
        if name not in indexes:
            found.append(f"index {name} would go")
        elif _keys(indexes[name]) != _keys(index):
            found.append(f"index {name} would have other keys")
    return found


def _keys(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: canonical(values[name]) for name in _KEYS if values.get(name)}


def _named(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The blocks under any of `names`, by their own name."""
    blocks = (block for name in names for block in values.get(name) or () if isinstance(block, Mapping))
    return {str(block.get("name")): block for block in blocks}


def kept(text: str) -> tuple[set[str], set[str]]:
    """Of a Terraform file: the addresses that it declares, and those of them with `prevent_destroy = true`.

    No plan shows it: it is read from the text. Raises `hcl.UnreadableHcl`.
    """
    found = dict(hcl.resources(text))
    guarded = {
        address
        for address, body in found.items()
        if any(block.get("prevent_destroy") is True for block in _blocks(body.get("lifecycle")))
    }
    return set(found), guarded


def _blocks(value: Any) -> list[Mapping[str, Any]]:
    return [block for block in value if isinstance(block, Mapping)] if isinstance(value, list) else []
