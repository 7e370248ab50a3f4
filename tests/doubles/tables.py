"""The access-management table with a past, in moto, and rollbacks of it from plan to end."""

from __future__ import annotations

import json
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from rollback import targets
from rollback.lifecycle.lifecycle import Lifecycle
from rollback.lifecycle.run import Finished
from rollback.model.request import StoredRequest, read
from rollback.targets.table.cutover import Cutover
from rollback.targets.table.restore import TableRestore
from rollback.util.errors import RollbackError
from tests.doubles.history import History
from tests.doubles.world import ALICE, BOB, Quiet, World, texts

PEOPLE = "acme-dev-ddb-access-management"
ACTOR = ("-c", "user.name=dan", "-c", "user.email=dan@example.org", "-c", "commit.gpgsign=false")
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

    def flow(self, actor: Any = ALICE) -> Lifecycle:
        return Lifecycle(session=self.world.session(actor), ui=Quiet(), stop=self.stop)

    def wait(self, kind: str = "table", **request: Any) -> Finished:
        asked = read(kind, StoredRequest(table=PEOPLE, **request))
        return self.flow().start(kind, asked, "data was overwritten")

    def approved(self, waiting: Finished) -> Finished:
        assert waiting.record is not None
        self.flow(BOB).approve(waiting.record.rollback_id, waiting.record.digest)
        return self.flow().apply(waiting.record.rollback_id)

    def restored(self, to: datetime) -> Finished:
        return self.approved(self.wait(to=to.isoformat()))

    def cut_over(self, restore: Finished, how: str, **request: Any) -> Finished:
        to = f"restored:{self.id(restore)}"
        return self.approved(self.wait("cutover", to=to, cutover=how, **request))

    def id(self, finished: Finished) -> str:
        assert finished.record is not None
        return finished.record.rollback_id

    def copy(self, restore: Finished) -> str:
        assert restore.plan is not None
        return restore.plan.facts["copy"]

    def losses(self, finished: Finished) -> dict[str, str]:
        (report,) = (event.data["report"] for event in finished.events if "loss" in event.data)
        text = self.object(finished, report["key"].rpartition("/")[2])
        lines = [json.loads(line) for line in text.splitlines()]
        return {line["key"]["id"]["S"]: line["kind"] for line in lines}

    def point(self, table: str) -> None:
        name = self.world.settings.names.table_parameter(PEOPLE)
        self.clients["ssm"].put_parameter(Name=name, Value=table, Type="String")

    def pointed(self) -> str:
        name = self.world.settings.names.table_parameter(PEOPLE)
        return str(self.clients["ssm"].get_parameter(Name=name)["Parameter"]["Value"])

    def object(self, finished: Finished, name: str) -> str:
        key = f"rollback/{self.id(finished)}/{name}"
        found = self.clients["s3"].get_object(Bucket=BUCKET, Key=key)
        assert found["ServerSideEncryption"] == "AES256"
        return str(found["Body"].read().decode())


class Stopping:
    """A client during whose call number `after` somebody presses Ctrl-C; the process ends with it, if it `dies`."""

    def __init__(
        self, client: Any, stop: threading.Event, name: str, *, after: int = 1, dies: bool = True
    ) -> None:
        self._client, self._stop, self._name, self._left, self._dies = client, stop, name, after, dies

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def one(*arguments: Any, **request: Any) -> Any:
            if name == self._name:
                self._left -= 1
                if self._left == 0:
                    self._stop.set()
                if self._left < 0 and self._dies:
                    raise RollbackError("the process is gone")
            return call(*arguments, **request)

        return one


class Paused:
    """A client whose process sleeps right before its first call of `name`, and wakes up after `meanwhile`."""

    def __init__(self, client: Any, name: str, meanwhile: Callable[[], None]) -> None:
        self._client, self._name, self._meanwhile = client, name, deque([meanwhile])

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def through(*arguments: Any, **request: Any) -> Any:
            if name == self._name:
                with suppress(IndexError):
                    self._meanwhile.popleft()()
            return call(*arguments, **request)

        return through


def others(estate: Estate, verb: str) -> None:
    """Another process resumes or aborts what is under way."""
    (held,) = estate.world.session().leases.holders().values()
    assert getattr(estate.flow(), verb)(str(held["owner"])).error is None


def create(dynamodb: Any, *, again: bool = False) -> None:
    """The table with all the settings that a restore leaves out."""
    if again:
        dynamodb.update_table(TableName=PEOPLE, DeletionProtectionEnabled=False)
        dynamodb.delete_table(TableName=PEOPLE)
    dynamodb.create_table(
        TableName=PEOPLE,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": "team", "Value": "access"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        DeletionProtectionEnabled=True,
    )
    dynamodb.update_continuous_backups(
        TableName=PEOPLE,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 7},
    )
    dynamodb.update_time_to_live(
        TableName=PEOPLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
    )


@contextmanager
def estate_of(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Estate]:
    """The table, empty, and a checkout whose settings are those of main; targets get moto's clients."""
    clients = {name: boto3.client(name, region_name="eu-west-1") for name in ("s3", "ssm")}
    clients["dynamodb"] = world.dynamodb
    clients["s3"].create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    create(world.dynamodb)
    for name, content in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(), strict=True):
        (world.root / name).write_text(content, encoding="utf-8")
    for parts in (["init", "-q", "-b", "main"], ["add", "."], [*ACTOR, "commit", "-qm", "settings"]):
        subprocess.run(["git", "-C", str(world.root), *parts], check=True)

    ordinary = targets.make

    def make(kind: str, context: Any) -> Any:
        maker = {"table": TableRestore, "cutover": Cutover}.get(kind)
        if maker is None:
            return ordinary(kind, context)
        return maker(context, clients=clients.__getitem__, now=world.clock.now, sleep=lambda _: None)

    monkeypatch.setattr(targets, "make", make)
    with History(PEOPLE, now=world.clock.now) as history:
        yield Estate(world=world, history=history, clients=clients)


def story(estate: Estate) -> None:
    """An hour ago alice was an admin and bob was there; since then alice was changed and carol is new."""
    estate.put("alice", role={"S": "admin"}, tags={"SS": ["a", "b"]}, key={"B": b"\x00\xff"})
    estate.put("bob", role={"S": "reader"})
    estate.put("dave", role={"S": "reader"})
    estate.history.keep(estate.at(-60))
    estate.put("alice", role={"S": "nobody"})
    estate.put("carol", role={"S": "reader"})
    estate.dynamodb.delete_item(TableName=PEOPLE, Key={"id": {"S": "bob"}})
    estate.history.keep(estate.at(-20))


ALICE_THEN = {"role": {"S": "admin"}, "tags": {"SS": ["a", "b"]}, "key": {"B": b"\x00\xff"}}
READER = {"role": {"S": "reader"}}
