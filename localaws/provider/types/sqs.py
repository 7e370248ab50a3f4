"""SQS: queues."""

# ruff: noqa: ARG002 (the arguments are those of the protocol)

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Final

from localaws.provider.cloud import Cloud, unless_missing
from localaws.provider.resource import ReadResult, Resource
from localaws.provider.schema import REGION, TAGS, Field
from localaws.provider.types.iam import tag_changes
from localaws.provider.values import Values

_DAYS: Final = 24 * 3600
_ATTRIBUTES: Final = {
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
}


class Queue(Resource):
    """`aws:sqs/queue:Queue`, known by its URL."""

    pulumi_type: ClassVar = "aws:sqs/queue:Queue"
    fields: ClassVar = {
        "name": Field(replaces=True, autoname=True),
        "messageRetentionSeconds": Field(kind="number", default=4 * _DAYS),
        "visibilityTimeoutSeconds": Field(kind="number", default=30),
        "sqsManagedSseEnabled": Field(kind="bool", computed=True),
        "tags": TAGS,
        "region": REGION,
    }
    outputs: ClassVar = ("arn", "url", "tagsAll")
    identity: ClassVar = ("name", "region")

    def create(self, cloud: Cloud, inputs: Values) -> str:
        answer = cloud.queues(inputs).create_queue(
            QueueName=inputs["name"], Attributes=_attributes(inputs), tags=cloud.all_tags(inputs)
        )
        return str(answer["QueueUrl"])

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return str(cloud.queues(inputs).get_queue_url(QueueName=inputs["name"])["QueueUrl"])

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        client = cloud.queues(known)
        answer = unless_missing(lambda: client.get_queue_attributes(QueueUrl=id_, AttributeNames=["All"]))
        if answer is None:
            return None
        found = answer["Attributes"]
        state: Values = {key: int(found[aws]) for key, aws in _ATTRIBUTES.items()}
        state |= {
            "name": id_.rsplit("/", 1)[1],
            "sqsManagedSseEnabled": found.get("SqsManagedSseEnabled", "true") == "true",
            "arn": found["QueueArn"],
            "url": id_,
            "tagsAll": client.list_queue_tags(QueueUrl=id_).get("Tags", {}),
            "region": cloud.region_of(known),
        }
        return ReadResult(id=id_, state=state)

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        client = cloud.queues(old)
        client.set_queue_attributes(QueueUrl=id_, Attributes=_attributes(new))
        gone, added = tag_changes(cloud, old, new)
        if gone:
            client.untag_queue(QueueUrl=id_, TagKeys=gone)
        if added:
            client.tag_queue(QueueUrl=id_, Tags=dict(added))

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        cloud.queues(state).delete_queue(QueueUrl=id_)


def _attributes(inputs: Values) -> dict[str, str]:
    made = {aws: str(inputs[key]) for key, aws in _ATTRIBUTES.items() if key in inputs}
    if (managed := inputs.get("sqsManagedSseEnabled")) is not None:
        made["SqsManagedSseEnabled"] = str(managed).lower()
    return made
