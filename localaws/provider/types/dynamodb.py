"""DynamoDB: tables."""

# ruff: noqa: ARG002 (the arguments are those of the protocol)

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from localaws.provider.cloud import Cloud, as_list, as_map, unless_missing
from localaws.provider.resource import ReadResult, Resource
from localaws.provider.schema import REGION, TAGS, CheckFailure, Field, normal
from localaws.provider.values import Values

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PATIENCE = 600.0  # seconds for a table or an index to settle
NAME = Field(required=True)
KEYS = Field(
    kind="list",
    fields={"attributeName": NAME, "keyType": Field(required=True, choices=("HASH", "RANGE"))},
)
INDEX = {
    "name": NAME,
    "hashKey": Field(),
    "rangeKey": Field(),
    "keySchemas": KEYS,
    "projectionType": Field(required=True, choices=("ALL", "INCLUDE", "KEYS_ONLY")),
    "nonKeyAttributes": Field(kind="set"),
    "readCapacity": Field(kind="number"),
    "writeCapacity": Field(kind="number"),
}


def with_plain_keys(indexes: Any) -> Any:
    """Indexes with `hashKey` and `rangeKey`, be their keys given so or as `keySchemas`.

    The official provider takes both and calls the first deprecated.
    """
    return [_plain_keys(one) for one in indexes] if isinstance(indexes, list) else indexes


def _plain_keys(index: Any) -> Any:
    if not isinstance(index, dict) or not isinstance(index.get("keySchemas"), list):
        return index
    parts = {"HASH": "hashKey", "RANGE": "rangeKey"}
    keys = {parts.get(key.get("keyType")): key.get("attributeName") for key in index["keySchemas"]}
    return {key: value for key, value in index.items() if key != "keySchemas"} | keys


class Table(Resource):
    """`aws:dynamodb/table:Table`, known by its name."""

    pulumi_type: ClassVar = "aws:dynamodb/table:Table"
    fields: ClassVar = {
        "name": Field(replaces=True, autoname=True),
        "billingMode": Field(default="PROVISIONED", choices=("PROVISIONED", "PAY_PER_REQUEST")),
        "hashKey": Field(required=True, replaces=True),
        "rangeKey": Field(replaces=True),
        "attributes": Field(
            kind="set",
            required=True,
            fields={"name": NAME, "type": Field(required=True, choices=("S", "N", "B"))},
        ),
        "globalSecondaryIndexes": Field(kind="set", fields=INDEX, canon=with_plain_keys),
        "readCapacity": Field(kind="number", computed=True),
        "writeCapacity": Field(kind="number", computed=True),
        "pointInTimeRecovery": Field(
            kind="object",
            computed=True,
            fields={
                "enabled": Field(kind="bool", required=True),
                "recoveryPeriodInDays": Field(kind="number", computed=True),
            },
        ),
        "deletionProtectionEnabled": Field(kind="bool"),
        "serverSideEncryption": Field(
            kind="object",
            computed=True,
            fields={"enabled": Field(kind="bool", required=True), "kmsKeyArn": Field(computed=True)},
        ),
        "streamEnabled": Field(kind="bool"),
        "streamViewType": Field(computed=True),
        "tableClass": Field(default="STANDARD"),
        "ttl": Field(kind="object", fields={"enabled": Field(kind="bool"), "attributeName": Field()}),
        "tags": TAGS,
        "region": REGION,
    }
    outputs: ClassVar = ("arn", "streamArn", "streamLabel", "tagsAll")
    identity: ClassVar = ("name", "region")

    def problems(self, inputs: Values) -> Iterator[CheckFailure]:
        defined = {attribute["name"] for attribute in inputs["attributes"]}
        indexes = with_plain_keys(inputs.get("globalSecondaryIndexes", []))
        for number, index in enumerate(indexes):
            if not index.get("hashKey"):
                yield CheckFailure(
                    key=f"globalSecondaryIndexes[{number}]",
                    reason="one of keySchemas and hashKey is required",
                )
        owners = [inputs, *indexes]
        used = {owner[key] for owner in owners for key in ("hashKey", "rangeKey") if owner.get(key)}
        if unused := sorted(defined - used):
            yield CheckFailure(
                key="attributes", reason=f"all attributes must be indexed. Unused attributes: {unused}"
            )
        if undefined := sorted(used - defined):
            yield CheckFailure(
                key="attributes", reason=f"all indexes must match a defined attribute. Missing: {undefined}"
            )
        if inputs.get("streamEnabled") and not inputs.get("streamViewType"):
            yield CheckFailure(key="streamViewType", reason="required where streamEnabled is true")

    def create(self, cloud: Cloud, inputs: Values) -> str:
        settings: dict[str, Any] = {
            "TableName": inputs["name"],
            "KeySchema": _keys(inputs),
            "AttributeDefinitions": _attributes(inputs),
            "BillingMode": inputs["billingMode"],
            "DeletionProtectionEnabled": bool(inputs.get("deletionProtectionEnabled")),
        }
        if inputs["billingMode"] == "PROVISIONED":
            settings["ProvisionedThroughput"] = _throughput(inputs)
        if indexes := inputs.get("globalSecondaryIndexes"):
            settings["GlobalSecondaryIndexes"] = [
                _index(one, inputs["billingMode"]) for one in with_plain_keys(indexes)
            ]
        if inputs.get("serverSideEncryption", {}).get("enabled"):
            settings["SSESpecification"] = _encryption(inputs)
        if inputs.get("streamEnabled"):
            settings["StreamSpecification"] = _stream(inputs)
        if inputs.get("tableClass"):
            settings["TableClass"] = inputs["tableClass"]
        if tags := cloud.tag_list(inputs):
            settings["Tags"] = tags
        return cloud.dynamodb(inputs).create_table(**settings)["TableDescription"]["TableName"]

    def finish(self, cloud: Cloud, id_: str, inputs: Values) -> None:
        client = cloud.dynamodb(inputs)
        _settle(client, id_)
        if inputs.get("ttl", {}).get("enabled"):
            client.update_time_to_live(TableName=id_, TimeToLiveSpecification=_ttl(inputs))
        if inputs.get("pointInTimeRecovery", {}).get("enabled"):
            client.update_continuous_backups(
                TableName=id_, PointInTimeRecoverySpecification=_recovery(inputs)
            )

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return str(inputs["name"])

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        client = cloud.dynamodb(known)
        answer = unless_missing(lambda: client.describe_table(TableName=id_))
        if answer is None or answer["Table"]["TableStatus"] == "DELETING":
            return None
        table: Any = answer["Table"]
        lives = client.describe_time_to_live(TableName=id_)["TimeToLiveDescription"]
        backups: Any = client.describe_continuous_backups(TableName=id_)["ContinuousBackupsDescription"]
        recovery = backups.get("PointInTimeRecoveryDescription", {})
        tags: list[Any] = []
        for page in client.get_paginator("list_tags_of_resource").paginate(ResourceArn=table["TableArn"]):
            tags += page["Tags"]
        mode = table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
        throughput = table.get("ProvisionedThroughput", {}) if mode == "PROVISIONED" else {}
        keys = {key["KeyType"]: key["AttributeName"] for key in table["KeySchema"]}
        encryption = table.get("SSEDescription", {})
        encrypted = encryption.get("Status") in ("ENABLED", "ENABLING", "UPDATING")
        stream = table.get("StreamSpecification", {})
        state: Values = {
            "name": table["TableName"],
            "billingMode": mode,
            "hashKey": keys["HASH"],
            "rangeKey": keys.get("RANGE"),
            "attributes": [
                {"name": one["AttributeName"], "type": one["AttributeType"]}
                for one in table["AttributeDefinitions"]
            ],
            "globalSecondaryIndexes": [
                _described(one, mode) for one in table.get("GlobalSecondaryIndexes") or []
            ],
            "readCapacity": throughput.get("ReadCapacityUnits", 0),
            "writeCapacity": throughput.get("WriteCapacityUnits", 0),
            "pointInTimeRecovery": {
                "enabled": recovery.get("PointInTimeRecoveryStatus") == "ENABLED",
                "recoveryPeriodInDays": recovery.get("RecoveryPeriodInDays"),
            },
            "deletionProtectionEnabled": bool(table.get("DeletionProtectionEnabled")),
            "streamEnabled": bool(stream.get("StreamEnabled")),
            "streamViewType": stream.get("StreamViewType", ""),
            "tableClass": table.get("TableClassSummary", {}).get("TableClass", "STANDARD"),
            "ttl": {
                "enabled": lives.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"),
                "attributeName": lives.get("AttributeName", ""),
            },
            "arn": table["TableArn"],
            "streamArn": table.get("LatestStreamArn", ""),
            "streamLabel": table.get("LatestStreamLabel", ""),
            "tagsAll": as_map(tags),
            "region": cloud.region_of(known),
        }
        if encrypted:
            state["serverSideEncryption"] = {"enabled": True, "kmsKeyArn": encryption.get("KMSMasterKeyArn")}
        return ReadResult(id=table["TableName"], state=state)

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        client = cloud.dynamodb(old)
        for step in _steps(old, new, changed):
            client.update_table(TableName=id_, **step)
            _settle(client, id_)
        if "ttl" in changed:
            was = old.get("ttl", {})
            wanted = _ttl(new)
            if not wanted["AttributeName"]:
                wanted = {"Enabled": False, "AttributeName": was["attributeName"]}
            client.update_time_to_live(TableName=id_, TimeToLiveSpecification=wanted)
        if "pointInTimeRecovery" in changed:
            client.update_continuous_backups(TableName=id_, PointInTimeRecoverySpecification=_recovery(new))
        before, wanted_tags = old.get("tagsAll", {}), cloud.all_tags(new)
        if gone := sorted(before.keys() - wanted_tags.keys()):
            client.untag_resource(ResourceArn=old["arn"], TagKeys=gone)
        if added := {key: value for key, value in wanted_tags.items() if before.get(key) != value}:
            client.tag_resource(ResourceArn=old["arn"], Tags=as_list(added))

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        client = cloud.dynamodb(state)
        client.delete_table(TableName=id_)
        _wait(
            f"table {id_} to go", lambda: unless_missing(lambda: client.describe_table(TableName=id_)) is None
        )


def _steps(old: Values, new: Values, changed: Collection[str]) -> Iterator[dict[str, Any]]:
    """The UpdateTable calls, in order: AWS takes one kind of change at a time."""
    what = set(changed)
    mode = new["billingMode"]
    if "deletionProtectionEnabled" in what:
        yield {"DeletionProtectionEnabled": bool(new.get("deletionProtectionEnabled"))}
    if {"billingMode", "readCapacity", "writeCapacity"} & what:
        throughput = {"ProvisionedThroughput": _throughput(new)} if mode == "PROVISIONED" else {}
        yield {"BillingMode": mode, **throughput}
    if "tableClass" in what:
        yield {"TableClass": new.get("tableClass", "STANDARD")}
    if "serverSideEncryption" in what:
        yield {"SSESpecification": _encryption(new)}
    if {"streamEnabled", "streamViewType"} & what:
        if old.get("streamEnabled"):
            yield {"StreamSpecification": {"StreamEnabled": False}}
        if new.get("streamEnabled"):
            yield {"StreamSpecification": _stream(new)}
    if "globalSecondaryIndexes" in what:
        yield from _index_steps(old, new, mode)


def _index_steps(old: Values, new: Values, mode: str) -> Iterator[dict[str, Any]]:
    spec = Field(kind="object", fields=INDEX)
    was = {one["name"]: one for one in with_plain_keys(old.get("globalSecondaryIndexes", []))}
    wanted = {one["name"]: one for one in with_plain_keys(new.get("globalSecondaryIndexes", []))}
    different = {
        name for name in was.keys() & wanted if normal(spec, was[name]) != normal(spec, wanted[name])
    }
    for name in sorted((was.keys() - wanted.keys()) | different):
        yield {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": name}}]}
    for name in sorted((wanted.keys() - was.keys()) | different):
        yield {
            "AttributeDefinitions": _attributes(new),
            "GlobalSecondaryIndexUpdates": [{"Create": _index(wanted[name], mode)}],
        }


def _keys(owner: Values) -> list[dict[str, str]]:
    keys = [{"AttributeName": owner["hashKey"], "KeyType": "HASH"}]
    if owner.get("rangeKey"):
        keys.append({"AttributeName": owner["rangeKey"], "KeyType": "RANGE"})
    return keys


def _attributes(inputs: Values) -> list[dict[str, str]]:
    return [{"AttributeName": one["name"], "AttributeType": one["type"]} for one in inputs["attributes"]]


def _index(one: Values, mode: str) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": one["projectionType"]}
    if one.get("nonKeyAttributes"):
        projection["NonKeyAttributes"] = one["nonKeyAttributes"]
    index = {"IndexName": one["name"], "KeySchema": _keys(one), "Projection": projection}
    return index | ({"ProvisionedThroughput": _throughput(one)} if mode == "PROVISIONED" else {})


def _described(one: Any, mode: str) -> Values:
    keys = {key["KeyType"]: key["AttributeName"] for key in one["KeySchema"]}
    throughput = one.get("ProvisionedThroughput", {}) if mode == "PROVISIONED" else {}
    values = {
        "name": one["IndexName"],
        "hashKey": keys["HASH"],
        "rangeKey": keys.get("RANGE"),
        "projectionType": one["Projection"]["ProjectionType"],
        "nonKeyAttributes": one["Projection"].get("NonKeyAttributes"),
        "readCapacity": throughput.get("ReadCapacityUnits"),
        "writeCapacity": throughput.get("WriteCapacityUnits"),
    }
    return {key: value for key, value in values.items() if value}


def _throughput(owner: Values) -> dict[str, int]:
    return {
        "ReadCapacityUnits": owner.get("readCapacity") or 1,
        "WriteCapacityUnits": owner.get("writeCapacity") or 1,
    }


def _encryption(inputs: Values) -> dict[str, Any]:
    wanted = inputs.get("serverSideEncryption", {})
    if not wanted.get("enabled"):
        return {"Enabled": False}
    key = {"KMSMasterKeyId": wanted["kmsKeyArn"]} if wanted.get("kmsKeyArn") else {}
    return {"Enabled": True, "SSEType": "KMS", **key}


def _stream(inputs: Values) -> dict[str, Any]:
    return {"StreamEnabled": True, "StreamViewType": inputs["streamViewType"]}


def _ttl(inputs: Values) -> Any:
    ttl = inputs.get("ttl", {})
    return {"Enabled": bool(ttl.get("enabled")), "AttributeName": ttl.get("attributeName", "")}


def _recovery(inputs: Values) -> Any:
    wanted = inputs.get("pointInTimeRecovery", {})
    enabled = bool(wanted.get("enabled"))
    days = wanted.get("recoveryPeriodInDays")
    return {
        "PointInTimeRecoveryEnabled": enabled,
        **({"RecoveryPeriodInDays": days} if enabled and days else {}),
    }


def _settle(client: DynamoDBClient, name: str) -> None:
    def ready() -> bool:
        table = client.describe_table(TableName=name)["Table"]
        indexes = table.get("GlobalSecondaryIndexes") or []
        return table["TableStatus"] == "ACTIVE" and all(
            one.get("IndexStatus", "ACTIVE") == "ACTIVE" for one in indexes
        )

    _wait(f"table {name} to be active", ready)


def _wait(what: str, ready: Callable[[], bool]) -> None:
    deadline, pause = time.monotonic() + PATIENCE, 0.05
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE:.0f} s for {what}")
        time.sleep(pause)
        pause = min(2 * pause, 5.0)
