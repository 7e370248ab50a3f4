"""A table restored and cut over to under the real roles, with an approval for each, on the emulator.

The emulator restores the present: what is written between the restore and its comparison is the difference.
It tells no window worth the name either, so that a proxy answers with a real-shaped one; that the right
second is asked for and restored is proved in `tests/integration/targets/table/test_restore.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rollback.config.naming import RESTORE
from tests.e2e.estate_under_test import ALICE, DAN, Person, Platform, Run
from tests.proxy import Proxy

REASON = "an import overwrote it"


@dataclass
class Table:
    """The access-management table of one environment; alice's commands reach it through a proxy."""

    platform: Platform
    proxy: Proxy

    @property
    def name(self) -> str:
        return self.platform.settings.names.table("ddb-access-management")

    @property
    def root(self) -> Any:
        return self.platform.root_client("dynamodb")

    def put(self, key: str, **attributes: Any) -> None:
        self.root.put_item(TableName=self.name, Item={"PK": {"S": key}, "SK": {"S": "-"}, **attributes})

    def items(self, table: str) -> dict[str, Any]:
        return {
            item["PK"]["S"]: {name: value for name, value in item.items() if name not in ("PK", "SK")}
            for item in self.root.scan(TableName=table)["Items"]
        }

    def rollback(self, *arguments: str, as_: Person = ALICE) -> Run:
        return self.platform.rollback(*arguments, "--json", as_=as_, endpoint=self.proxy.endpoint)

    def waiting(self, *arguments: str, as_: Person = ALICE) -> Run:
        return self.rollback("table", "--table", self.name, "--reason", REASON, *arguments, as_=as_)

    def approved(self, *arguments: str) -> str:
        """The id of what alice has asked for and bob has approved."""
        waiting = self.waiting(*arguments)
        assert waiting.code == 10, str(waiting)
        assert self.platform.approve(waiting).code == 0
        return waiting.id

    def done(self, *arguments: str) -> Run:
        """The same, applied by alice."""
        run = self.rollback("apply", self.approved(*arguments))
        assert run.code == 0, str(run)
        return run

    def losses(self, identifier: str) -> dict[str, str]:
        s3, bucket = self.platform.root_client("s3"), self.platform.settings.names.state_bucket
        (key,) = {
            event["data"]["report"]["key"]
            for event in self.platform.show(identifier)["events"]
            if "loss" in event["data"]
        }
        kept = s3.get_object(Bucket=bucket, Key=key)
        assert kept["ServerSideEncryption"] == "AES256"
        lines = [json.loads(line) for line in kept["Body"].read().decode().splitlines()]
        return {line["key"]["PK"]["S"]: line["kind"] for line in lines}


def remove(s3: Any, bucket: str) -> None:
    """A bucket with all versions of all that is in it."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    kinds = ("Versions", "DeleteMarkers")
    for found in (item for page in pages for kind in kinds for item in page.get(kind, [])):
        s3.delete_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])
    s3.delete_bucket(Bucket=bucket)


@pytest.fixture
def bucket(dev: Platform) -> Iterator[None]:
    """The state bucket of `dev`, which no account but this one has now: a bucket's name is one for all."""
    name, region = dev.settings.names.state_bucket, dev.settings.region
    own = dev.root_client("s3")
    own.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    yield
    remove(own, name)


@pytest.fixture
def table(dev: Platform, bucket: None, proxy: Proxy) -> Table:
    names, root = dev.settings.names, dev.root_client("dynamodb")
    root.create_table(
        TableName=names.table("ddb-access-management"),
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("PK", "SK")],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": "team", "Value": "access"}],
        DeletionProtectionEnabled=True,
    )
    root.update_continuous_backups(
        TableName=names.table("ddb-access-management"),
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    proxy.rewrite("DescribeContinuousBackups", window)
    return Table(platform=dev, proxy=proxy)


def window(answer: Any) -> Any:
    """What AWS tells of a table whose recovery has been on for long."""
    now = datetime.now(UTC)
    recovery = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    if recovery["PointInTimeRecoveryStatus"] == "ENABLED":
        recovery["EarliestRestorableDateTime"] = (now - timedelta(days=35)).timestamp()
        recovery["LatestRestorableDateTime"] = (now - timedelta(minutes=5)).timestamp()
    return answer


def an_hour_ago() -> str:
    return (datetime.now(UTC) - timedelta(hours=1)).isoformat()


def then_overwritten(table: Table) -> Callable[[], None]:
    """What happens to the live table between the restore and its comparison."""

    def do() -> None:
        table.put("alice", role={"S": "nobody"})
        table.put("carol", role={"S": "reader"})
        table.root.delete_item(TableName=table.name, Key={"PK": {"S": "bob"}, "SK": {"S": "-"}})

    return do


def test_a_table_is_restored_compared_and_copied_back_under_the_restore_role(table: Table) -> None:
    table.put("alice", role={"S": "admin"})
    table.put("bob", role={"S": "reader"})
    table.proxy.meanwhile("TagResource", then_overwritten(table))

    restore = table.done("--to", an_hour_ago())

    assert restore.json["status"] == "COMPLETE"
    assert restore.json["approved_by"]["person"] == "bob"
    assert table.losses(restore.id) == {"alice": "different", "bob": "only_restored", "carol": "only_live"}

    cut = table.done("--to", f"restored:{restore.id}", "--cutover", "copy-back")

    assert cut.json["status"] == "COMPLETE"
    assert table.items(table.name) == {
        "alice": {"role": {"S": "admin"}},
        "bob": {"role": {"S": "reader"}},
        "carol": {"role": {"S": "reader"}},
    }
    assert table.root.list_backups(TableName=table.name)["BackupSummaries"]
    assert table.losses(cut.id) == {"carol": "only_live"}


def test_a_restore_that_was_killed_while_it_compared_is_resumed(table: Table) -> None:
    table.put("alice", role={"S": "admin"})
    identifier = table.approved("--to", an_hour_ago())
    held = table.proxy.hold("Scan")
    running = table.platform.start("apply", identifier, as_=ALICE, endpoint=table.proxy.endpoint)
    held.wait()
    running.kill()
    held.release()

    done = table.rollback("resume", identifier)

    assert done.code == 0, str(done)
    assert table.proxy.counts["RestoreTableToPointInTime"] == 1
    assert table.losses(identifier) == {}


def test_the_parameter_is_pointed_under_the_restore_role(table: Table) -> None:
    names, ssm = table.platform.settings.names, table.platform.root_client("ssm")
    parameter = names.table_parameter(table.name)
    ssm.put_parameter(Name=parameter, Value=table.name, Type="String", Overwrite=True)
    table.put("alice", role={"S": "admin"})
    restore = table.done("--to", an_hour_ago())

    table.done("--to", f"restored:{restore.id}", "--cutover", "parameter")

    assert ssm.get_parameter(Name=parameter)["Parameter"]["Value"] == restore.json["to_version"]


def test_a_table_without_recovery_is_refused(table: Table) -> None:
    table.root.update_continuous_backups(
        TableName=table.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )

    run = table.waiting("--to", an_hour_ago())

    assert run.code == 3
    assert "point-in-time recovery is disabled" in run.err


def test_the_restore_role_is_taken_by_the_rollback_role_alone(table: Table) -> None:
    run = table.waiting("--to", an_hour_ago(), as_=DAN)

    assert run.code == 3
    assert "may not assume" in run.err
    assert table.platform.settings.names.role(RESTORE) in run.err


@pytest.mark.parametrize("action", ["get_item", "put_item"])
def test_the_restore_role_cannot_touch_the_ledger(table: Table, action: str) -> None:
    client = table.platform.client("dynamodb", Person(role=RESTORE, name="alice"))
    key = {"PK": {"S": "ROLLBACK#x"}, "SK": {"S": "METADATA"}}
    member = {"Key": key} if action == "get_item" else {"Item": key}

    with pytest.raises(ClientError, match=r"AccessDenied|not authorized"):
        getattr(client, action)(TableName=table.platform.settings.names.deployments_table, **member)
