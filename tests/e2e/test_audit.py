"""`rollback audit` as the person on call types it, over a ledger and an archive that the command has written."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.estate_under_test import ALICE, BOB, DAN, REASON, Platform


def test_a_rollback_leaves_a_whole_trail_and_one_edited_item_is_named(dev: Platform) -> None:
    assert dev.record("v1.0.0").code == 0
    dev.release("v1.1.0")
    done = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
    assert done.code == 0, str(done)

    whole = dev.rollback("audit", "--json", as_=ALICE)

    assert whole.code == 0, str(whole)
    assert "archive lacks" not in done.screen
    document = whole.json
    assert {
        name: document[name] for name in ("trail", "releases", "records", "unkept", "put", "declared")
    } == {
        "trail": "whole",
        "releases": 2,
        "records": 1,
        "unkept": [],
        "put": 0,
        "declared": True,
    }

    # As root, with nobody's policy in the way.
    key = {"PK": {"S": f"ROLLBACK#{done.id}"}, "SK": {"S": "METADATA"}}
    dev.root_client("dynamodb").update_item(
        TableName=dev.settings.names.deployments_table,
        Key=key,
        UpdateExpression="SET reason = :reason",
        ExpressionAttributeValues={":reason": {"S": "it was never me"}},
    )
    broken = dev.rollback("audit", as_=ALICE)

    assert broken.code == 5, str(broken)
    assert f"ROLLBACK#{done.id} / METADATA" in broken.screen

    bucket = dev.settings.names.audit_bucket(dev.settings.account)
    kept = dev.root_client("s3").list_object_versions(Bucket=bucket)["Versions"]
    head = {"Bucket": bucket, "Key": next(one["Key"] for one in kept if one["Key"].startswith("timeline/"))}
    assert [one["Key"].partition("/")[0] for one in kept] == ["releases"] * 2 + ["timeline"] * 4
    for person in (ALICE, DAN, BOB):
        s3 = dev.client("s3", person)
        version = kept[-1]["VersionId"]
        refused(lambda s3=s3: s3.delete_object(**head))
        refused(lambda s3=s3, version=version: s3.delete_object(**head, VersionId=version))
        refused(lambda s3=s3: s3.put_bucket_versioning(**suspended(bucket)))
        refused(lambda s3=s3: s3.put_object(Bucket=bucket, Key="elsewhere", Body=b""))
    refused(lambda: dev.client("s3", BOB).put_object(**head, Body=b""))


def suspended(bucket: str) -> dict[str, Any]:
    return {"Bucket": bucket, "VersioningConfiguration": {"Status": "Suspended"}}


def refused(call: Any) -> None:
    with pytest.raises(ClientError) as raised:
        call()
    assert raised.value.response["Error"]["Code"] == "AccessDenied"
