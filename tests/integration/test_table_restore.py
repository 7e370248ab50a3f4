"""A table goes back to the second that was asked for, beside the live one, and says what that would cost."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from rollback import targets
from rollback.errors import Refused, RollbackError, UsageError
from rollback.flow import Flow
from rollback.holding import Finished
from rollback.plan import Request
from rollback.records import Status
from rollback.targets import copy_back, table_settings
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
        lines = [json.loads(line) for line in self.object(finished).splitlines()]
        return {line["key"]["id"]["S"]: line["kind"] for line in lines}

    def point(self, table: str) -> None:
        name = self.world.settings.names.table_parameter(PEOPLE)
        self.clients["ssm"].put_parameter(Name=name, Value=table, Type="String")

    def pointed(self) -> str:
        name = self.world.settings.names.table_parameter(PEOPLE)
        return str(self.clients["ssm"].get_parameter(Name=name)["Parameter"]["Value"])

    def object(self, finished: Finished, name: str = "loss.jsonl") -> str:
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

        def one(*words: Any, **request: Any) -> Any:
            if name == self._name:
                self._left -= 1
                if self._left == 0:
                    self._stop.set()
                if self._left < 0 and self._dies:
                    raise RollbackError("the process is gone")
            return call(*words, **request)

        return one


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


@pytest.fixture
def estate(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Estate]:
    clients = {name: boto3.client(name, region_name="eu-west-1") for name in ("s3", "ssm")}
    clients["dynamodb"] = world.dynamodb
    clients["s3"].create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    create(world.dynamodb)
    for name, content in zip(("Pulumi.yaml", "Pulumi.dev.yaml"), texts(), strict=True):
        (world.root / name).write_text(content, encoding="utf-8")
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*WHO, "commit", "-qm", "settings"]):
        subprocess.run(["git", "-C", str(world.root), *words], check=True)

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


# -- restoring -----------------------------------------------------------------------------------------------


def test_a_table_is_restored_to_the_second_and_the_live_one_is_left_alone(estate: Estate) -> None:
    story(estate)
    before = estate.items(PEOPLE)

    done = estate.restored(estate.at(-30))

    assert done.error is None
    assert estate.history.restored == [estate.at(-30)]
    assert estate.items(estate.copy(done)) == {"alice": ALICE_THEN, "bob": READER, "dave": READER}
    assert estate.items(PEOPLE) == before
    assert estate.losses(done) == {"alice": "different", "bob": "only_restored", "carol": "only_live"}


def test_the_record_tells_the_counts_and_no_keys(estate: Estate) -> None:
    story(estate)

    done = estate.restored(estate.at(-30))

    (told,) = [event.data for event in done.events if "report" in event.data]
    assert told["counts"] == {
        "live_items": 3, "restored_items": 3, "different": 1, "only_live": 1, "only_restored": 1, "expired": 0,
    }  # fmt: skip
    assert told["loss"] == "1 different, 1 only live, 1 only restored (and 0 expired) of 3 and 3"
    assert not any("alice" in str(event.data) or "carol" in str(event.data) for event in done.events)
    summary = json.loads(estate.object(done, "loss.json"))
    assert summary["first_keys"]["only_live"] == [{"id": {"S": "carol"}}]


def test_a_restored_table_gets_the_settings_that_a_restore_leaves_out(estate: Estate) -> None:
    story(estate)

    done = estate.restored(estate.at(-30))

    has = table_settings.read(estate.dynamodb, estate.copy(done))
    assert has.tags == {"team": "access", "rollback-id": estate.id(done)}
    assert (has.time_to_live, has.stream, has.recovery, has.deletion_protection) == (
        "ttl",
        "NEW_IMAGE",
        7,
        True,
    )


def test_an_item_whose_time_to_live_has_passed_is_no_loss(estate: Estate) -> None:
    estate.put("old", ttl={"N": str(int(time.time()) - 60)})
    estate.put("young", ttl={"N": str(int(time.time()) + 3600)})
    estate.history.keep(estate.at(-60))
    for name in ("old", "young"):
        estate.dynamodb.delete_item(TableName=PEOPLE, Key={"id": {"S": name}})

    done = estate.restored(estate.at(-30))

    assert done.error is None
    assert estate.losses(done) == {"young": "only_restored"}
    assert json.loads(estate.object(done, "loss.json"))["counts"]["expired"] == 1


def test_before_a_rollback_and_at_a_release_are_times_of_the_ledger(estate: Estate) -> None:
    estate.world.story()
    estate.world.clock.sleep(3600)
    began = estate.world.begin().record
    assert began is not None
    estate.world.clock.sleep(3600)

    before = estate.flow().preview("table", Request(table=PEOPLE, to=f"before:{began.rollback_id}"))
    release = estate.flow().preview("table", Request(table=PEOPLE, to="release:v1.1.0"))

    assert before.facts["at"] == "2026-11-24T13:00:00Z"
    assert release.facts["at"] == "2026-11-24T12:00:00Z"


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("2026-11-24T11:58:00Z", "after 2026-11-24T11:55:00Z, the latest .*5 min 0 s behind now"),
        ("2026-10-01T00:00:00Z", "before 2026-10-20T12:00:00Z, the earliest"),
        ("2026-11-24T10:00:00+01:00", ""),
    ],
)
def test_the_window_is_never_relaxed(estate: Estate, to: str, why: str) -> None:
    if not why:
        assert estate.flow().preview("table", Request(table=PEOPLE, to=to)).facts["at"] == (
            "2026-11-24T09:00:00Z"
        )
        return
    with pytest.raises(Refused, match=why):
        estate.flow().preview("table", Request(table=PEOPLE, to=to))


def test_a_table_without_recovery_is_refused(estate: Estate) -> None:
    estate.dynamodb.update_continuous_backups(
        TableName=PEOPLE, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )

    with pytest.raises(Refused, match="point-in-time recovery is off"):
        estate.wait(to=estate.at(-30).isoformat())


@pytest.mark.parametrize(
    "request_",
    [
        Request(table="acme-dev-ddb-deployments", to="2026-11-24T10:00:00Z"),
        Request(table=PEOPLE, to="previous"),
        Request(table=PEOPLE, to="2026-11-24"),
        Request(table=PEOPLE, to="release:v9.9.9"),
        Request(table=PEOPLE, to="before:01NOBODY"),
        Request(table=PEOPLE, to="2026-11-24T10:00:00Z", cutover="copy-back"),
    ],
    ids=["the ledger", "previous", "a date", "no release", "no rollback", "a cutover"],
)
def test_what_cannot_be_meant_is_wrong_usage(estate: Estate, request_: Request) -> None:
    with pytest.raises(UsageError):
        estate.flow().preview("table", request_)


def test_a_table_of_that_name_that_is_there_already_is_never_used(estate: Estate) -> None:
    story(estate)
    estate.restored(estate.at(-30))

    with pytest.raises(Refused, match="exists already"):
        estate.wait(to=estate.at(-30).isoformat())


def test_a_plan_is_stable_and_knows_its_table(estate: Estate) -> None:
    story(estate)
    waiting = estate.wait(to=estate.at(-30).isoformat())
    assert estate.flow().preview("table", Request(table=PEOPLE, to=estate.at(-30).isoformat())).digest() == (
        waiting.plan and waiting.plan.digest()
    )
    create(estate.dynamodb, again=True)

    with pytest.raises(Refused, match="no longer holds"):
        estate.approved(waiting)


def test_an_interrupted_restore_is_gone_on_with(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    story(estate)
    with monkeypatch.context() as patch:
        patch.setattr(table_settings, "active", lambda *_: estate.stop.set())
        interrupted = estate.restored(estate.at(-30))
    assert interrupted.record is not None
    assert interrupted.record.status is Status.IN_PROGRESS
    estate.stop.clear()
    done = estate.flow().resume(estate.id(interrupted))

    assert done.error is None
    assert len(estate.history.restored) == 1, "it was waited for, not begun again"


def test_a_comparison_that_was_interrupted_is_begun_again(estate: Estate) -> None:
    story(estate)
    healthy = estate.clients["dynamodb"]
    estate.clients["dynamodb"] = Stopping(healthy, estate.stop, "scan", dies=False)
    interrupted = estate.restored(estate.at(-30))
    assert interrupted.record is not None
    assert interrupted.record.status is Status.IN_PROGRESS
    assert not estate.clients["s3"].list_objects_v2(Bucket=BUCKET).get("Contents")
    estate.stop.clear()

    done = estate.flow().resume(estate.id(interrupted))

    assert done.error is None
    assert estate.losses(done) == {"alice": "different", "bob": "only_restored", "carol": "only_live"}


def test_an_aborted_restore_takes_its_table_away_again(estate: Estate) -> None:
    story(estate)
    estate.clients["s3"] = Stopping(estate.clients["s3"], estate.stop, "upload_fileobj")
    interrupted = estate.restored(estate.at(-30))
    assert interrupted.plan is not None
    estate.stop.clear()

    done = estate.flow().abort(estate.id(interrupted), "not needed any more")

    assert done.error is None
    assert done.record is not None
    assert done.record.status is Status.REVERTED
    assert set(estate.dynamodb.list_tables()["TableNames"]) == {PEOPLE, "acme-dev-ddb-deployments"}


# -- cutting over --------------------------------------------------------------------------------------------


def test_copy_back_writes_the_differences_and_keeps_what_is_new(estate: Estate) -> None:
    story(estate)
    restore = estate.restored(estate.at(-30))

    done = estate.cut_over(restore, "copy-back")

    assert done.error is None
    assert estate.items(PEOPLE) == {
        "alice": ALICE_THEN, "bob": READER, "carol": READER, "dave": READER,
    }  # fmt: skip
    assert estate.dynamodb.list_backups(TableName=PEOPLE)["BackupSummaries"][0]["BackupName"] == (
        f"before-{estate.id(done)}"
    )
    assert estate.losses(done) == {"carol": "only_live"}, "compared again"


def test_copy_back_deletes_what_is_new_only_when_told(estate: Estate) -> None:
    story(estate)
    restore = estate.restored(estate.at(-30))

    done = estate.cut_over(restore, "copy-back", delete_new=True)

    assert done.error is None
    assert estate.items(PEOPLE) == estate.items(estate.copy(restore))
    assert estate.losses(done) == {}


def test_an_item_that_was_changed_since_the_report_is_left_alone(estate: Estate) -> None:
    story(estate)
    restore = estate.restored(estate.at(-30))
    estate.put("alice", role={"S": "nobody"}, note={"S": "an attribute more"})

    done = estate.cut_over(restore, "copy-back")

    assert done.error is None
    assert estate.items(PEOPLE)["alice"] == {"role": {"S": "nobody"}, "note": {"S": "an attribute more"}}
    (told,) = [event.data for event in done.events if "items" in event.data]
    assert told["items"] == "1 written, 0 already, 1 left"
    assert json.loads(estate.object(done, "left-000000002.jsonl")) == {"id": {"S": "alice"}}
    assert done.record is not None
    assert "1 somebody has changed" in done.record.verification[0].detail


@pytest.mark.parametrize("dies_at", [1, 3])
def test_a_copy_back_that_died_is_resumed_or_undone(
    estate: Estate, dies_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_back, "BATCH", 2)
    for number in range(6):
        estate.put(f"person-{number}", role={"S": "admin"})
    estate.history.keep(estate.at(-60))
    for number in range(6):
        estate.put(f"person-{number}", role={"S": "nobody"})
    restore = estate.restored(estate.at(-30))
    before = estate.items(PEOPLE)
    healthy = estate.clients["dynamodb"]
    for end in ("abort", "resume"):
        estate.clients["dynamodb"] = Stopping(healthy, estate.stop, "put_item", after=dies_at)
        interrupted = estate.cut_over(restore, "copy-back")
        assert interrupted.error is not None
        assert interrupted.error.exit_code == 1
        assert estate.items(PEOPLE) != before
        estate.clients["dynamodb"] = healthy
        estate.stop.clear()

        done = getattr(estate.flow(), end)(estate.id(interrupted))

        assert done.error is None
        assert estate.items(PEOPLE) == (before if end == "abort" else estate.items(estate.copy(restore)))


def test_a_report_that_is_not_the_approved_one_moves_nothing(estate: Estate) -> None:
    story(estate)
    restore = estate.restored(estate.at(-30))
    before = estate.items(PEOPLE)
    estate.clients["s3"].put_object(
        Bucket=BUCKET, Key=f"rollback/{estate.id(restore)}/loss.jsonl", Body=b"{}\n"
    )

    done = estate.cut_over(restore, "copy-back")

    assert "is not the one that was written" in str(done.error)
    assert estate.items(PEOPLE) == before


def test_the_parameter_is_pointed_to_the_restored_table_and_back(estate: Estate) -> None:
    story(estate)
    restore = estate.restored(estate.at(-30))
    with pytest.raises(Refused, match="no such parameter"):
        estate.wait("cutover", to=f"restored:{estate.id(restore)}", cutover="parameter")
    estate.point(PEOPLE)
    healthy = estate.clients["s3"]
    estate.clients["s3"] = Stopping(healthy, estate.stop, "upload_fileobj")

    interrupted = estate.cut_over(restore, "parameter")
    assert interrupted.error is not None
    assert estate.pointed() == estate.copy(restore)
    estate.stop.clear()
    undone = estate.flow().abort(estate.id(interrupted))
    assert undone.error is None
    assert estate.pointed() == PEOPLE
    estate.clients["s3"] = healthy
    done = estate.cut_over(restore, "parameter")

    assert done.error is None
    assert estate.pointed() == estate.copy(restore)
    newest = estate.world.timeline().newest
    assert newest.stands[f"@table/{PEOPLE}"] == estate.copy(restore)


def test_only_a_complete_restore_of_the_same_table_can_be_cut_over_to(estate: Estate) -> None:
    story(estate)
    waiting = estate.wait(to=estate.at(-30).isoformat())

    with pytest.raises(Refused, match="AWAITING_APPROVAL"):
        estate.wait("cutover", to=f"restored:{estate.id(waiting)}", cutover="copy-back")
    with pytest.raises(UsageError):
        estate.wait("cutover", to=f"restored:{estate.id(waiting)}")


def test_who_started_it_cannot_approve_it(estate: Estate) -> None:
    story(estate)
    waiting = estate.wait(to=estate.at(-30).isoformat())
    assert waiting.record is not None

    with pytest.raises(Refused, match="cannot approve"):
        estate.flow().approve(estate.id(waiting), waiting.record.digest)
