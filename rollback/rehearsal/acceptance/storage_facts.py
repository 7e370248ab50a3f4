"""Facts about DynamoDB and S3, which the ledger and its archive rely on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws.account import code
from rollback.rehearsal.acceptance.fact import Differs, Fact, Skipped
from rollback.rehearsal.acceptance.function_facts import refusal
from rollback.rehearsal.acceptance.sandbox import DENIALS, Sandbox

# Seconds for which the test object is locked; who may bypass governance can delete it earlier.
_LOCKED = 120
_ABSENT = "attribute_not_exists(PK)"


def _item(key: str, value: str) -> dict[str, Any]:
    return {"PK": {"S": key}, "SK": {"S": "-"}, "value": {"S": value}}


def _value(sandbox: Sandbox, table: str, key: str) -> str | None:
    found = sandbox.client("dynamodb").get_item(
        TableName=table, Key={"PK": {"S": key}, "SK": {"S": "-"}}, ConsistentRead=True
    )
    return found["Item"]["value"]["S"] if "Item" in found else None


def _conditional_put(sandbox: Sandbox) -> str:
    table, dynamodb = sandbox.table, sandbox.client("dynamodb")

    def put(value: str) -> None:
        dynamodb.put_item(TableName=table, Item=_item("condition", value), ConditionExpression=_ABSENT)

    put("first")
    answered, _ = refusal(lambda: put("second"))
    if not answered:
        raise Differs("the second put succeeded")
    if answered != "ConditionalCheckFailedException":
        raise Differs(f"the second put failed with {answered}")
    if (found := _value(sandbox, table, "condition")) != "first":
        raise Differs(f"the second put was refused, but the item is {found!r}")
    return "the second put failed with ConditionalCheckFailedException; a consistent read returns the first"


def _transaction(sandbox: Sandbox) -> str:
    table, dynamodb = sandbox.table, sandbox.client("dynamodb")
    dynamodb.put_item(TableName=table, Item=_item("there", "before"))
    members = [
        {"Put": {"TableName": table, "Item": _item(key, "after"), "ConditionExpression": _ABSENT}}
        for key in ("new-1", "there", "new-2")
    ]
    try:
        dynamodb.transact_write_items(TransactItems=members)
    except ClientError as error:
        if code(error) in DENIALS:
            raise
        if code(error) != "TransactionCanceledException":
            raise Differs(f"it failed with {code(error)}") from None
        reasons = [str(one.get("Code", "")) for one in error.response.get("CancellationReasons", ())]
    else:
        raise Differs("a transaction with a failing condition succeeded")
    if reasons != ["None", "ConditionalCheckFailed", "None"]:
        raise Differs(f"its reasons are {reasons}")
    found = {key: _value(sandbox, table, key) for key in ("new-1", "there", "new-2")}
    if found != {"new-1": None, "there": "before", "new-2": None}:
        raise Differs(f"it was cancelled, but written in part: {found}")
    dynamodb.transact_write_items(TransactItems=[members[0], members[2]])
    return (
        "cancelled as a whole, with one reason per member in order; without the failing member it succeeded"
    )


def _locked_version(sandbox: Sandbox) -> str:
    bucket, s3 = sandbox.bucket, sandbox.client("s3")
    until = sandbox.now() + timedelta(seconds=_LOCKED)
    first = s3.put_object(
        Bucket=bucket,
        Key="locked",
        Body=b"first",
        ChecksumAlgorithm="CRC32",  # S3 requires one to lock an object
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=until,
    )["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="locked", Body=b"second")["VersionId"]
    if second == first:
        raise Differs("a second put overwrote the locked version")
    answered, message = refusal(lambda: s3.delete_object(Bucket=bucket, Key="locked", VersionId=first))
    if not answered:
        raise Differs("the locked version was deleted")
    if answered not in DENIALS:
        raise Differs(f"deleting the locked version failed with {answered}: {message}")
    s3.delete_object(Bucket=bucket, Key="locked")
    found = s3.get_object(Bucket=bucket, Key="locked", VersionId=first)["Body"].read()
    if found != b"first":
        raise Differs("the locked version has different content now")
    return "it survived a put, a delete of its key, and a delete of the version, which was denied (mode GOVERNANCE)"


def _audit_bucket(sandbox: Sandbox) -> str:
    settings, s3 = sandbox.account.settings, sandbox.client("s3")
    bucket = {
        "Bucket": settings.names.audit_bucket(settings.account),
        "ExpectedBucketOwner": settings.account,
    }
    try:
        found = s3.get_object_lock_configuration(**bucket)["ObjectLockConfiguration"]
    except ClientError as error:
        if code(error) == "NoSuchBucket":
            raise Skipped("there is none: `pulumi up` of the foundation creates it") from None
        if code(error) == "ObjectLockConfigurationNotFoundError":
            raise Differs("it has no object lock") from None
        raise
    rule = found.get("Rule", {}).get("DefaultRetention", {})
    mode, days = rule.get("Mode"), rule.get("Days", 365 * rule.get("Years", 0))
    if found.get("ObjectLockEnabled") != "Enabled" or mode != "COMPLIANCE":
        raise Differs(f"its mode is {mode or 'none'}")
    if days < settings.audit_retention_days:
        raise Differs(f"it locks for {days} days, but the settings require {settings.audit_retention_days}")
    if (status := s3.get_bucket_versioning(**bucket).get("Status")) != "Enabled":
        raise Differs(f"its versioning is {status or 'off'}")
    return f"COMPLIANCE for {days} days, versioned; only its settings were read, because a test object could not be deleted"


_DYNAMODB = "https://docs.aws.amazon.com/amazondynamodb/latest"
_S3 = "https://docs.aws.amazon.com/AmazonS3/latest/userguide"
FACTS = (
    Fact(
        name="conditional-put",
        says="A put with attribute_not_exists never replaces an item, and a consistent read returns it at once.",
        why="If two processes write the same entry of the ledger, one succeeds and the other is refused.",
        source=f"{_DYNAMODB}/developerguide/Expressions.ConditionExpressions.html",
        tried=_conditional_put,
    ),
    Fact(
        name="transaction",
        says="A transaction succeeds or fails as a whole, and reports which member's condition failed.",
        why="A record, its event and its number in the timeline are written together, under the lease.",
        source=f"{_DYNAMODB}/APIReference/API_TransactWriteItems.html",
        tried=_transaction,
    ),
    Fact(
        name="locked-version",
        says="The version of an object that is locked can be neither deleted nor overwritten.",
        why="The archive's copies of the ledger show what was changed in it.",
        source=f"{_S3}/object-lock.html",
        tried=_locked_version,
    ),
    Fact(
        name="audit-bucket",
        says="The environment's audit bucket is versioned, and locks objects for everybody as long as the settings require.",
        why="Not even an administrator can delete the evidence of a change of the ledger.",
        source=f"{_S3}/object-lock-configure.html",
        tried=_audit_bucket,
    ),
)
