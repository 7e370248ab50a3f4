"""A table goes back to the second that was asked for, beside the live one, and says what that would cost."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from rollback import targets
from rollback.flow import Flow
from rollback.holding import Finished
from rollback.plan import Request
from rollback.records import Status
from rollback.targets.cutover import Cutover
from rollback.targets.table import TableRestore
from tests.doubles.history import History
from tests.doubles.world import ALICE, BOB, Quiet, World, texts

PEOPLE = "acme-dev-ddb-access-management"
WHO = ("-c", "user.name=dan", "-c", "user.email=dan@example.org", "-c", "commit.gpgsign=false")
BUCKET = "acme-dev-terraform-state"


@dataclass
class Estate:
    """The access-management table with a past, its state bucket, and rollbacks of it that somebody approves."""

    world: World
    history: History
    clients: dict[str, Any]
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def dynamodb(self) -> Any:
        return self.clients["dynamodb"]

    def put(self, name: str, **attributes: Any) -> None:
        item = {"id": {"S": name}, **attributes}
        self.dynamodb.put_item(TableName=PEOPLE, Item=item)

    def items(self, table: str) -> dict[str, Any]:
        return {
            item["id"]["S"]: {name: value for name, value in item.items() if name != "id"}
            for item in self.dynamodb.scan(TableName=table)["Items"]
        }

    def at(self, minutes: int) -> datetime:
        return self.world.clock.now() + timedelta(minutes=minutes)

    def flow(self, who: Any = ALICE) -> Flow:
        return Flow(session=self.world.session(who), ui=Quiet(), stop=self.stop)

    def wait(self, kind: str = "table", **request: Any) -> Finished:
        return self.flow().start(kind, Request(table=PEOPLE, **request), "data was overwritten")

    def approved(self, waiting: Finished) -> Finished:
        assert waiting.record is not None
        self.flow(BOB).approve(waiting.record.rollback_id, waiting.record.digest)
        return self.flow().apply(waiting.record.rollback_id)

    def restored(self, to: datetime) -> Finished:
        return self.approved(self.wait(to=to.isoformat()))

    def object(self, rollback_id: str, name: str = "loss.jsonl") -> str:
        found = self.clients["s3"].get_object(Bucket=BUCKET, Key=f"rollback/{rollback_id}/{name}")
        assert found["ServerSideEncryption"] == "AES256"
        return str(found["Body"].read().decode())


@pytest.fixture
def estate(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Estate]:
    clients = {name: boto3.client(name, region_name="eu-west-1") for name in ("s3", "ssm")}
    clients["dynamodb"] = world.dynamodb
    clients["s3"].create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    world.dynamodb.create_table(
        TableName=PEOPLE,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": "team", "Value": "access"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        DeletionProtectionEnabled=True,
    )
    world.dynamodb.update_continuous_backups(
        TableName=PEOPLE, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    world.dynamodb.update_time_to_live(
        TableName=PEOPLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
    )

    for name, content in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(), strict=True):
        (world.root / name).write_text(content, encoding="utf-8")
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*WHO, "commit", "-qm", "settings"]):
        subprocess.run(["git", "-C", str(world.root), *words], check=True)

    def make(kind: str, context: Any) -> Any:
        maker = {"table": TableRestore, "cutover": Cutover}[kind]
        return maker(context, clients=clients.__getitem__, now=world.clock.now, sleep=lambda _: None)

    monkeypatch.setattr(targets, "make", make)
    with History(PEOPLE, now=world.clock.now) as history:
        yield Estate(world=world, history=history, clients=clients)


def test_a_table_is_restored_to_the_second_and_the_live_one_is_left_alone(estate: Estate) -> None:
    estate.put("alice", role={"S": "admin"})
    estate.put("bob", role={"S": "reader"})
    estate.history.keep(estate.at(-60))
    estate.put("alice", role={"S": "nobody"})
    estate.put("carol", role={"S": "reader"})
    estate.dynamodb.delete_item(TableName=PEOPLE, Key={"id": {"S": "bob"}})
    estate.history.keep(estate.at(-20))
    before = estate.items(PEOPLE)

    done = estate.restored(estate.at(-30))

    assert done.error is None
    assert done.record and done.plan and done.record.status is Status.COMPLETE
    copy = done.plan.facts["copy"]
    assert estate.history.restored == [estate.at(-30)]
    assert estate.items(copy) == {"alice": {"role": {"S": "admin"}}, "bob": {"role": {"S": "reader"}}}
    assert estate.items(PEOPLE) == before
    kinds = {
        json.loads(line)["key"]["id"]["S"]: json.loads(line)["kind"]
        for line in estate.object(done.record.rollback_id).splitlines()
    }
    assert kinds == {"alice": "different", "bob": "only_restored", "carol": "only_live"}
