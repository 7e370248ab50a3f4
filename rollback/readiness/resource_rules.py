"""Whether rolling back a commit's changes to resources would lose data. Pure.

A rollback recreates what was deleted, but empty, and deletes what was created, with all data it has by
then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollback.engines import hcl
from rollback.engines.pulumi.preview_events import PreviewStep
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
from rollback.readiness.rules import CheckAnswer, Judgement
from rollback.targets.terraform import plan_json
from rollback.util.canonical import canonical

# The names of a DynamoDB table's parts in Pulumi and in Terraform.
_ATTRIBUTES = ("attributes", "attribute")
_INDEXES = (
    "global_secondary_indexes",
    "global_secondary_index",
    "local_secondary_indexes",
    "local_secondary_index",
)
_KEYS = ("hash_key", "range_key", "key_schemas", "key_schema")

ADVICE = "keep it unchanged in this commit; remove it in a separate change, after a backup"


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedResource:
    """One resource and what a deployment would do to it; its values before and after (attribute → value,
    spelled as in Terraform).

    `protected`: the engine refuses the change; `unprotects`: it loses that protection; `retains`: it is only
    removed from the state.
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

    `dropped` are the addresses whose `prevent_destroy` the commit removed, which no plan shows.
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
    """The declaring address of a resource, without modules and keys: `module.a.aws_x.b["c"]` → `aws_x.b`."""
    return ".".join(re.sub(r"\[[^\]]*\]", "", address).rsplit(".", 2)[-2:])


def judged(
    check: str, resources: Sequence[JudgedResource], holds_data: Sequence[str], commit: str
) -> list[Judgement]:
    """One finding per reason why a rollback of `commit` would lose data; a yes if there is none; and
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
            why="it would be created: a rollback deletes it with all the data it has by then",
            next=f"--allow-destroy '{one.subject}'  # if it may be deleted",
        )
        for one in resources
        if one.op == CREATE and holds(one.type, holds_data)
    ]
    if against:
        return [*against, *made]
    ops = [one.op for one in resources]
    counted = ", ".join(f"{ops.count(op)} to {op}" for op in (CREATE, UPDATE, REPLACE, DELETE) if op in ops)
    why = f"{commit[:12]} would have {counted or 'nothing to change'}; no resource with data is deleted or replaced"
    return [Judgement(check=check, answer=CheckAnswer.YES, why=why), *made]


def _reasons(one: JudgedResource, stateful: bool) -> list[str]:  # noqa: FBT001 - what kind it is
    found = []
    if one.op in (DELETE, REPLACE):
        if one.protected:
            found.append(f"it is protected and would be {one.op}d")
        elif stateful and one.retains:
            found.append(
                "it would only be removed from the state: a rollback would create another, empty one"
            )
        elif stateful:
            found.append(f"it holds data and would be {one.op}d: a rollback recreates it empty")
    if one.unprotects:
        found.append("it would lose its protection, so that the next change could delete it")
    if stateful and one.op in (UPDATE, REPLACE):
        found += weakened(one.before, one.after)
    if kind(one.type) == "dynamodb_table" and one.op in (UPDATE, REPLACE):
        found += _narrowed(one.before, one.after)
    return found


def _narrowed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The keys, attributes and indexes of a table that would be removed or changed."""
    found = []
    if _keys(before) != _keys(after):
        found.append("its key schema would change")
    types = _named(after, _ATTRIBUTES)
    for name, definition in _named(before, _ATTRIBUTES).items():
        if name not in types:
            found.append(f"attribute {name} would no longer be defined")
        elif types[name].get("type") != definition.get("type"):
            found.append(f"attribute {name} would change its type")
    indexes = _named(after, _INDEXES)
    for name, index in _named(before, _INDEXES).items():
        if name not in indexes:
            found.append(f"index {name} would be removed")
        elif _keys(indexes[name]) != _keys(index):
            found.append(f"index {name} would change its keys")
    return found


def _keys(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: canonical(values[name]) for name in _KEYS if values.get(name)}


def _named(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The blocks under any of `names`, by their name."""
    blocks = (block for name in names for block in values.get(name) or () if isinstance(block, Mapping))
    return {str(block.get("name")): block for block in blocks}


def kept(text: str) -> tuple[set[str], set[str]]:
    """The addresses that a Terraform file declares, and those with `prevent_destroy = true`.

    It is read from the text, because no plan shows it. Raises `hcl.UnreadableHcl`.
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
