"""A table goes back to the second that was asked for, beside the live one, and says what that would cost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from rollback.ledger.lease import LeaseLost
from rollback.model.record import Record, Status
from rollback.model.request import Request, TableRequest
from rollback.targets.table import table_settings
from rollback.util.errors import Code, Refused, UsageError
from rollback.views.json_output import commands
from tests.coded import coded
from tests.command_lines import parsed
from tests.doubles.tables import (
    ALICE_THEN,
    BUCKET,
    PEOPLE,
    READER,
    Estate,
    Paused,
    Stopping,
    create,
    estate_of,
    others,
    story,
)
from tests.doubles.world import World, previewed


@pytest.fixture
def estate(moto_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Estate]:
    with estate_of(moto_world, monkeypatch) as made:
        yield made


def test_a_table_is_restored_to_the_second_and_the_live_one_is_left_alone(estate: Estate) -> None:
    story(estate)
    before = estate.items(PEOPLE)

    done = estate.restored(estate.at(-30))

    assert done.error is None
    assert estate.history.restored == [estate.at(-30)]
    assert estate.items(estate.copy(done)) == {"alice": ALICE_THEN, "bob": READER, "dave": READER}
    assert estate.items(PEOPLE) == before
    assert estate.losses(done) == {"alice": "different", "bob": "only_restored", "carol": "only_live"}


def test_the_record_shows_the_counts_and_no_keys(estate: Estate) -> None:
    story(estate)

    done = estate.restored(estate.at(-30))

    (document,) = [event.data for event in done.events if "report" in event.data]
    assert document["counts"] == {
        "live_items": 3, "restored_items": 3, "different": 1, "only_live": 1, "only_restored": 1, "expired": 0,
    }  # fmt: skip
    assert document["loss"] == "1 different, 1 only live, 1 only restored (and 0 expired) of 3 and 3"
    assert not any("alice" in str(event.data) or "carol" in str(event.data) for event in done.events)
    summary = json.loads(estate.object(done, "loss.json"))
    assert summary["first_keys"]["only_live"] == [{"id": {"S": "carol"}}]


def test_each_line_after_a_restore_is_a_command_that_can_be_typed(estate: Estate) -> None:
    story(estate)

    done = estate.restored(estate.at(-30))

    (document,) = [event.data for event in done.events if "report" in event.data]
    typed = commands(str(document["next"]))
    assert len(typed) == len(str(document["next"]).splitlines())
    for line in typed:
        parsed(line)
        assert "|" not in line


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

    before = previewed(estate.flow(), "table", TableRequest(table=PEOPLE, at=f"before:{began.rollback_id}"))
    release = previewed(estate.flow(), "table", TableRequest(table=PEOPLE, at="release:v1.1.0"))

    assert before.facts["at"] == "2026-11-24T13:00:00Z"
    assert release.facts["at"] == "2026-11-24T12:00:00Z"


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("2026-11-24T11:58:00Z", "after 2026-11-24T11:55:00Z, the latest .*5 min ago"),
        ("2026-10-01T00:00:00Z", "before 2026-10-20T12:00:00Z, the earliest"),
        ("2026-11-24T10:00:00+01:00", ""),
    ],
)
def test_the_window_is_never_relaxed(estate: Estate, to: str, why: str) -> None:
    if not why:
        assert previewed(estate.flow(), "table", TableRequest(table=PEOPLE, at=to)).facts["at"] == (
            "2026-11-24T09:00:00Z"
        )
        return
    with pytest.raises(Refused, match=why, check=coded(Code.PLAN_REFUSED)):
        previewed(estate.flow(), "table", TableRequest(table=PEOPLE, at=to))


def test_a_table_without_recovery_is_refused(estate: Estate) -> None:
    estate.dynamodb.update_continuous_backups(
        TableName=PEOPLE, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )

    with pytest.raises(Refused, match="point-in-time recovery is disabled", check=coded(Code.PLAN_REFUSED)):
        estate.wait(to=estate.at(-30).isoformat())


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (TableRequest(table="acme-dev-ddb-deployments", at="2026-11-24T10:00:00Z"), Code.UNKNOWN_TABLE),
        (TableRequest(table=PEOPLE, at="previous"), Code.OPTION_INVALID),
        (TableRequest(table=PEOPLE, at="2026-11-24"), Code.OPTION_INVALID),
        (TableRequest(table=PEOPLE, at="release:v9.9.9"), Code.UNKNOWN_RELEASE),
        (TableRequest(table=PEOPLE, at="before:01NOBODY"), Code.UNKNOWN_ROLLBACK),
    ],
    ids=["the ledger", "previous", "a date", "no release", "no rollback"],
)
def test_what_cannot_be_meant_is_wrong_usage(estate: Estate, request_: Request, code: Code) -> None:
    with pytest.raises(UsageError, check=coded(code)):
        previewed(estate.flow(), "table", request_)


def test_a_table_of_that_name_that_is_there_already_is_never_used(estate: Estate) -> None:
    story(estate)
    estate.restored(estate.at(-30))

    with pytest.raises(Refused, match="already exists", check=coded(Code.PLAN_REFUSED)):
        estate.wait(to=estate.at(-30).isoformat())


def test_a_plan_is_stable_and_knows_its_table(estate: Estate) -> None:
    story(estate)
    waiting = estate.wait(to=estate.at(-30).isoformat())
    assert previewed(
        estate.flow(), "table", TableRequest(table=PEOPLE, at=estate.at(-30).isoformat())
    ).digest() == (waiting.plan and waiting.plan.digest())
    create(estate.dynamodb, again=True)

    with pytest.raises(Refused, match="is out of date"):
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


def test_a_table_that_a_paused_process_restores_after_it_was_undone_is_deleted_by_it(estate: Estate) -> None:
    story(estate)
    tables = estate.dynamodb.list_tables()["TableNames"]
    name = "restore_table_to_point_in_time"
    estate.clients["dynamodb"] = Paused(estate.clients["dynamodb"], name, lambda: others(estate, "abort"))

    with pytest.raises(LeaseLost):
        estate.restored(estate.at(-30))

    assert estate.dynamodb.list_tables()["TableNames"] == tables


def test_a_report_that_a_paused_process_writes_is_not_that_of_who_has_taken_over(estate: Estate) -> None:
    story(estate)
    estate.clients["s3"] = Paused(estate.clients["s3"], "upload_fileobj", lambda: others(estate, "resume"))
    with pytest.raises(LeaseLost):
        estate.restored(estate.at(-30))
    (record, *_) = estate.world.session().ledger.history(1)
    assert isinstance(record, Record)

    done = estate.approved(estate.wait("cutover", to=f"restored:{record.rollback_id}", cutover="copy-back"))

    assert done.error is None
    assert estate.items(PEOPLE)["alice"] == ALICE_THEN


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
