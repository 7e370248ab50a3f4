"""Callers get what a restored table holds, by items or by a parameter, and only what was reported moves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rollback.ledger.lease import LeaseLost
from rollback.targets.table import copy_back
from rollback.util.errors import Code, Refused, UsageError
from tests.coded import coded
from tests.doubles.tables import (
    ALICE_THEN,
    BUCKET,
    PEOPLE,
    READER,
    Estate,
    Paused,
    Stopping,
    estate_of,
    others,
    story,
)
from tests.doubles.world import World


@pytest.fixture
def estate(moto_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Estate]:
    with estate_of(moto_world, monkeypatch) as made:
        yield made


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


def test_copy_back_deletes_what_is_new_only_when_asked(estate: Estate) -> None:
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
    (document,) = [event.data for event in done.events if "items" in event.data]
    assert document["items"] == "1 written, 0 already, 1 left"
    assert json.loads(estate.object(done, "left-000000002.jsonl")) == {"id": {"S": "alice"}}
    assert done.record is not None
    assert "1 were changed by somebody else" in done.record.verification[0].detail


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


@pytest.mark.parametrize("end", ["abort", "resume"])
def test_an_item_that_a_paused_process_writes_after_it_was_undone_is_taken_back_by_it(
    estate: Estate, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It sleeps with all of its threads: another one would renew the lease.
    monkeypatch.setattr(copy_back, "workers", lambda: ThreadPoolExecutor(1))
    story(estate)
    restore = estate.restored(estate.at(-30))
    before = estate.items(PEOPLE)
    estate.clients["dynamodb"] = Paused(estate.clients["dynamodb"], "put_item", lambda: others(estate, end))

    with pytest.raises(LeaseLost):
        estate.cut_over(restore, "copy-back")

    if end == "abort":
        assert estate.items(PEOPLE) == before
    else:
        assert estate.items(PEOPLE)["alice"] == ALICE_THEN
        assert estate.items(PEOPLE)["bob"] == READER


def test_a_parameter_that_a_paused_process_points_after_it_was_undone_is_pointed_back_by_it(
    estate: Estate,
) -> None:
    story(estate)
    restore = estate.restored(estate.at(-30))
    estate.point(PEOPLE)
    estate.clients["ssm"] = Paused(estate.clients["ssm"], "put_parameter", lambda: others(estate, "abort"))

    with pytest.raises(LeaseLost):
        estate.cut_over(restore, "parameter")

    assert estate.pointed() == PEOPLE


def test_a_report_that_is_not_the_approved_one_moves_nothing(estate: Estate) -> None:
    story(estate)
    restore = estate.restored(estate.at(-30))
    before = estate.items(PEOPLE)
    estate.clients["s3"].put_object(
        Bucket=BUCKET, Key=f"rollback/{estate.id(restore)}/loss.jsonl", Body=b"{}\n"
    )

    done = estate.cut_over(restore, "copy-back")

    assert "was changed since it was written" in str(done.error)
    assert estate.items(PEOPLE) == before


def test_the_parameter_is_pointed_to_the_restored_table_and_back(estate: Estate) -> None:
    story(estate)
    restore = estate.restored(estate.at(-30))
    with pytest.raises(Refused, match="parameter does not exist", check=coded(Code.PLAN_REFUSED)):
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

    with pytest.raises(Refused, match="AWAITING_APPROVAL", check=coded(Code.WRONG_STATUS)):
        estate.wait("cutover", to=f"restored:{estate.id(waiting)}", cutover="copy-back")
    with pytest.raises(UsageError, check=coded(Code.OPTION_INVALID)):
        estate.wait("cutover", to=f"restored:{estate.id(waiting)}")


def test_who_started_it_cannot_approve_it(estate: Estate) -> None:
    story(estate)
    waiting = estate.wait(to=estate.at(-30).isoformat())
    assert waiting.record is not None

    with pytest.raises(Refused, check=coded(Code.APPROVAL_REFUSED)):
        estate.flow().approve(estate.id(waiting), waiting.record.digest)


@pytest.mark.finding("D4")
def test_losses_are_shown_as_of_the_newest_comparison_and_with_its_time(estate: Estate) -> None:
    story(estate)
    restore = estate.restored(estate.at(-30))
    estate.point(PEOPLE)
    to = f"restored:{estate.id(restore)}"
    before = estate.wait("cutover", to=to, cutover="parameter")
    estate.world.clock.sleep(3600)
    back = estate.cut_over(restore, "copy-back")
    estate.world.clock.sleep(3600)

    after = estate.wait("cutover", to=to, cutover="parameter")

    shown = [
        [re.search(r"(\d+) .*as of (\S+),", notice).groups() for notice in one.plan.notices[:2]]
        for one in (before, after)
    ]
    compared = [next(event.at for event in one.events if event.data.get("report")) for one in (restore, back)]
    assert shown == [[("1", compared[0]), ("1", compared[0])], [("1", compared[1]), ("0", compared[1])]]
    assert compared[0] < compared[1]
