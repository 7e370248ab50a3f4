"""The id of a resource in its account, which shows that two names in a program are the same object. Pure.

Only types whose id can be derived from their inputs are listed ("Import" in the provider's pages,
https://www.pulumi.com/registry/packages/aws/api-docs/). Other types, such as policies, topics, queues and REST APIs, get
their id from AWS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollback.engines.pulumi.preview_events import CREATE, DELETE, PreviewStep
from rollback.util.canonical import canonical

_NAMED = (
    "aws:cloudwatch/logGroup:LogGroup",
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    "aws:dynamodb/table:Table",
    "aws:iam/group:Group",
    "aws:iam/instanceProfile:InstanceProfile",
    "aws:iam/role:Role",
    "aws:iam/user:User",
    "aws:lambda/function:Function",
    "aws:ssm/parameter:Parameter",
)
# A bucket, and settings of a bucket: `aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock` and the like.
_OF_BUCKETS = "aws:s3/bucket"
_OF_OBJECTS = ("aws:s3/bucketObject:", "aws:s3/bucketObjectv2:", "aws:s3/bucketNotification:")
# The parts of an id: names of inputs, and separators.
_IDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_NAMED, ("name",)),
    "aws:iam/rolePolicy:RolePolicy": ("role", ":", "name"),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ("role", "/", "policyArn"),
    "aws:lambda/alias:Alias": ("functionName", "/", "name"),
    "aws:lambda/permission:Permission": ("function", "/", "statementId"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SameObject:
    """An object in the account that a program would delete under one URN and create under another."""

    deleted: str
    created: str
    type: str
    id: str

    @property
    def is_renamed(self) -> bool:
        """Whether the URNs differ only by the name, not by project, stack, type or parents."""
        return self.deleted.rpartition("::")[0] == self.created.rpartition("::")[0]


def physical_id(type_: str, inputs: Mapping[str, Any]) -> str:
    """The id of a resource with these inputs (property → value); empty if it cannot be derived."""
    parts = _IDS.get(type_, ())
    if type_.startswith(_OF_BUCKETS) and not type_.startswith(_OF_OBJECTS):
        parts = ("bucket",)
    texts = [part if part in ":/" else inputs.get(part) for part in parts]
    return "".join(map(str, texts)) if all(isinstance(part, str) for part in texts) else ""


def same_objects(steps: Sequence[PreviewStep]) -> list[SameObject]:
    """The steps that delete and create one object, in pairs, sorted by URN.

    If an id cannot be derived, two resources of one type with equal inputs count as the same object.
    """
    created = [step for step in steps if step.op == CREATE and step.custom]
    found = []
    for step in steps:
        if step.op != DELETE or not step.custom:
            continue
        for other in created:
            if other.type == step.type and _is_one(step, other):
                found.append(SameObject(deleted=step.urn, created=other.urn, type=step.type, id=step.name))
                created.remove(other)
                break
    return sorted(found, key=lambda pair: pair.deleted)


def _is_one(deleted: PreviewStep, created: PreviewStep) -> bool:
    before, after = deleted.old or {}, created.new or {}
    if (is_called := physical_id(created.type, after)) and physical_id(deleted.type, before):
        return is_called in (deleted.name, physical_id(deleted.type, before))
    return canonical(before) == canonical(after)
