"""SNS: topics, their policies and subscriptions."""

# ruff: noqa: ARG002 (the arguments are those of the protocol)

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, ClassVar

from localaws.provider.cloud import Cloud, as_list, as_map, unless_missing
from localaws.provider.policies import canonical
from localaws.provider.resource import ReadResult, Resource
from localaws.provider.schema import REGION, TAGS, CheckFailure, Field
from localaws.provider.types.iam import DOCUMENT, document_problems, tag_changes
from localaws.provider.values import Values


class Topic(Resource):
    """`aws:sns/topic:Topic`, known by its ARN."""

    pulumi_type: ClassVar = "aws:sns/topic:Topic"
    fields: ClassVar = {
        "name": Field(replaces=True, autoname=True),
        "displayName": Field(),
        "kmsMasterKeyId": Field(),
        "policy": Field(computed=True, canon=canonical),
        "tags": TAGS,
        "region": REGION,
    }
    outputs: ClassVar = ("arn", "owner", "tagsAll")
    identity: ClassVar = ("name", "region")

    def create(self, cloud: Cloud, inputs: Values) -> str:
        attributes = _attributes(inputs)
        answer = cloud.topics(inputs).create_topic(
            Name=inputs["name"], Attributes=attributes, Tags=cloud.tag_list(inputs)
        )
        return str(answer["TopicArn"])

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return f"arn:{cloud.partition}:sns:{cloud.region_of(inputs)}:{cloud.account}:{inputs['name']}"

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        client = cloud.topics(known)
        answer = unless_missing(lambda: client.get_topic_attributes(TopicArn=id_))
        if answer is None:
            return None
        found = answer["Attributes"]
        state: Values = {
            "name": id_.rsplit(":", 1)[1],
            "displayName": found.get("DisplayName", ""),
            "kmsMasterKeyId": found.get("KmsMasterKeyId", ""),
            "policy": found.get("Policy", ""),
            "arn": id_,
            "owner": cloud.account,
            "tagsAll": as_map(client.list_tags_for_resource(ResourceArn=id_)["Tags"]),
            "region": cloud.region_of(known),
        }
        return ReadResult(id=id_, state=state)

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        client = cloud.topics(old)
        for name, value in _attributes(new).items():
            client.set_topic_attributes(TopicArn=id_, AttributeName=name, AttributeValue=value)
        gone, added = tag_changes(cloud, old, new)
        if gone:
            client.untag_resource(ResourceArn=id_, TagKeys=gone)
        if added:
            client.tag_resource(ResourceArn=id_, Tags=as_list(added))

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        cloud.topics(state).delete_topic(TopicArn=id_)


def _attributes(inputs: Values) -> dict[str, str]:
    names = {"displayName": "DisplayName", "kmsMasterKeyId": "KmsMasterKeyId", "policy": "Policy"}
    return {aws: inputs[key] for key, aws in names.items() if inputs.get(key)}


class TopicPolicy(Resource):
    """`aws:sns/topicPolicy:TopicPolicy`, known by the topic's ARN."""

    pulumi_type: ClassVar = "aws:sns/topicPolicy:TopicPolicy"
    fields: ClassVar = {"arn": Field(required=True, replaces=True), "policy": DOCUMENT, "region": REGION}
    outputs: ClassVar = ("owner",)
    identity: ClassVar = ("arn",)

    def problems(self, inputs: Values) -> Iterator[CheckFailure]:
        yield from document_problems("policy", inputs)

    def create(self, cloud: Cloud, inputs: Values) -> str:
        self._put(cloud, inputs, inputs["arn"], inputs["policy"])
        return str(inputs["arn"])

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return str(inputs["arn"])

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        answer = unless_missing(lambda: cloud.topics(known).get_topic_attributes(TopicArn=id_))
        if answer is None:
            return None
        state: Values = {
            "arn": id_,
            "policy": answer["Attributes"].get("Policy", "{}"),
            "owner": cloud.account,
            "region": cloud.region_of(known),
        }
        return ReadResult(id=id_, state=state)

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        self._put(cloud, old, id_, new["policy"])

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        """As the official provider: the policy that a new topic has, by which its own account alone may publish."""
        owner = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{cloud.partition}:iam::{cloud.account}:root"},
            "Action": "sns:Publish",
            "Resource": id_,
        }
        self._put(cloud, state, id_, json.dumps({"Version": "2012-10-17", "Statement": [owner]}))

    def _put(self, cloud: Cloud, known: Values, topic: Any, policy: str) -> None:
        cloud.topics(known).set_topic_attributes(
            TopicArn=topic, AttributeName="Policy", AttributeValue=policy
        )


class TopicSubscription(Resource):
    """`aws:sns/topicSubscription:TopicSubscription`, known by its ARN."""

    pulumi_type: ClassVar = "aws:sns/topicSubscription:TopicSubscription"
    fields: ClassVar = {
        "topic": Field(required=True, replaces=True),
        "protocol": Field(required=True, replaces=True, choices=("lambda", "sqs", "email", "https")),
        "endpoint": Field(required=True, replaces=True),
        "region": REGION,
    }
    outputs: ClassVar = ("arn", "ownerId")
    identity: ClassVar = ("topic", "protocol", "endpoint")

    def create(self, cloud: Cloud, inputs: Values) -> str:
        answer = cloud.topics(inputs).subscribe(
            TopicArn=inputs["topic"],
            Protocol=inputs["protocol"],
            Endpoint=inputs["endpoint"],
            ReturnSubscriptionArn=True,
        )
        return str(answer["SubscriptionArn"])

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return self.create(cloud, inputs)  # the same subscription again is the one that is there

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        answer = unless_missing(lambda: cloud.topics(known).get_subscription_attributes(SubscriptionArn=id_))
        if answer is None:
            return None
        found = answer["Attributes"]
        state: Values = {
            "topic": found["TopicArn"],
            "protocol": found["Protocol"],
            "endpoint": found["Endpoint"],
            "arn": id_,
            "ownerId": cloud.account,
            "region": cloud.region_of(known),
        }
        return ReadResult(id=id_, state=state)

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        """Nothing of it changes in place."""

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        cloud.topics(state).unsubscribe(SubscriptionArn=id_)
