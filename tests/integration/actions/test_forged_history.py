"""What `audit` calls forged is not planned by, and keeps nobody from writing down what was done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollback.emergency.repair_ledger import mend
from rollback.lifecycle.freeze import freeze, unfreeze
from rollback.lifecycle.quarantine import lift, quarantine
from rollback.model.record import DeployedVersion, Status
from rollback.model.release import manifest_hash
from rollback.model.situation import State
from rollback.queries import as_recorded
from rollback.queries.audit import audit
from rollback.queries.status import overview
from rollback.util.errors import Code, RollbackError
from tests.command_lines import parsed
from tests.doubles.world import ALICE, DAN, TABLE, Quiet, World, create_table


@pytest.fixture
def world(world: World) -> World:
    """With a history."""
    world.story()
    return world


def put(world: World, pk: str, sk: str, **changed: Any) -> None:
    """Changes an item past this command; one that is not there is a copy of the newest entry of the timeline."""
    key = {"PK": {"S": pk}, "SK": {"S": sk}}
    found = world.dynamodb.get_item(TableName=TABLE, Key=key).get("Item")
    if found is None:
        newest = {"PK": {"S": pk}, "SK": {"S": "SEQ#0000000003"}}
        found = world.dynamodb.get_item(TableName=TABLE, Key=newest)["Item"] | key
    world.dynamodb.put_item(TableName=TABLE, Item=found | changed)


def findings(world: World) -> list[str]:
    session = world.session()
    return [str(found) for found in audit(session.ledger, session.account.each, Quiet()).findings]


def refused(world: World, **request: Any) -> None:
    with pytest.raises(RollbackError) as caught:
        world.begin(**request)
    assert (caught.value.code, caught.value.exit_code) == (Code.LEDGER_DAMAGED, 3)
    assert "rollback audit" in caught.value.next
    assert world.functions.writes == []


@pytest.mark.finding("G4")
@pytest.mark.parametrize("planted", [{"seq": {"N": "3"}}, {"seq": {"S": "three"}}])
@pytest.mark.parametrize("sk", ["SEQ#0000000004", "SEQ#0000000009", "SEQ#9999999999", "SEQ#zzz"])
def test_an_item_that_is_no_entry_of_its_number_keeps_nobody_from_writing(
    world: World, planted: dict[str, Any], sk: str
) -> None:
    put(world, "RELEASE#dev", sk, **planted)

    assert quarantine(world.session(ALICE), "v1.0.0", (), "it leaks")
    freeze(world.session(ALICE), "looking into it")

    session = world.session()
    timeline = session.ledger.timeline(readable=True)
    first = 5 if sk == "SEQ#0000000004" else 4
    assert [entry.seq for entry in timeline][:3] == [first + 1, first, 3]
    assert {entry.version for entry in session.ledger.quarantines()} >= {"v1.0.0"}
    assert any(sk in notice for notice in session.ledger.notices)
    assert any(sk in line for line in findings(world))
    assert overview(world.session()).stands == "v1.2.0"


@pytest.mark.finding("G5")
@pytest.mark.parametrize("sk", ["SEQ#0000000003", "SEQ#0000000004"])
def test_a_newest_entry_whose_hash_or_number_is_not_its_own_is_not_planned_by(world: World, sk: str) -> None:
    put(world, "RELEASE#dev", sk, stands={"M": {"teams": {"S": "v1.0.0"}, "roles": {"S": "v1.0.0"}}})

    refused(world)

    assert any(sk in line for line in findings(world))


@pytest.mark.finding("G5")
@pytest.mark.parametrize("honest_hash", [False, True])
def test_a_manifest_that_was_changed_is_not_planned_by_and_status_still_shows_the_rest(
    world: World, honest_hash: bool
) -> None:
    entry = world.timeline().release_of("v1.1.0")
    pk = f"DEPLOYMENT#{entry.id}"
    release = world.session().ledger.release(entry.id)
    plain = {
        name: {
            "version": "1",
            "code_sha256": one.code_sha256,
            "revision_id": None,
            "weights": {},
            "provisioned": 0,
        }
        for name, one in release.manifest.items()
    }
    put(world, pk, "FUNCTIONS#0001", functions={"S": json.dumps(plain)})
    if honest_hash:
        forged = {
            name: DeployedVersion(version="1", code_sha256=one["code_sha256"]) for name, one in plain.items()
        }
        put(world, pk, "METADATA", manifest_hash={"S": manifest_hash(forged)})

    refused(world)

    shown = overview(world.session())
    assert shown.stands == "v1.2.0"


@pytest.mark.finding("S6")
def test_status_shows_the_rest_where_the_newest_record_cannot_be_read(world: World) -> None:
    newest = world.timeline().newest
    put(world, f"DEPLOYMENT#{newest.id}", "METADATA", functions={"N": "99"})

    shown = overview(world.session())

    assert shown.stands == "v1.2.0"
    assert any(f"DEPLOYMENT#{newest.id}" in warning for warning in shown.warnings)
    assert {status.version for service in shown.services for status in service.functions} == {"3"}


@pytest.mark.finding("G5")
def test_a_quarantine_is_lifted_by_an_entry_of_the_timeline_and_not_by_hand(world: World) -> None:
    quarantine(world.session(ALICE), "v1.1.0", (), "it leaks")
    for service in ("teams", "roles"):
        put(
            world,
            "RELEASE#dev",
            f"QUARANTINE#{service}#v1.1.0",
            lifted_at={"S": "2026-11-24T12:00:00.000Z"},
            lifted_by={"M": {"role": {"S": "r"}, "person": {"S": "p"}}},
        )

    with pytest.raises(RollbackError) as caught:
        world.begin(to="v1.1.0")
    assert caught.value.exit_code == 3
    assert "quarantined" in caught.value.what

    assert lift(world.session(DAN), "v1.1.0", (), "it was another one") == ["roles", "teams"]
    done = world.begin(to="v1.1.0")
    assert done.error is None


@pytest.mark.finding("G10")
def test_an_audit_after_a_mending_names_what_is_lost_and_not_what_was_mended(world: World) -> None:
    done = world.begin()
    assert done.record is not None
    assert done.record.status is Status.COMPLETE
    gone = [
        ("RELEASE#dev", "SEQ#0000000004"),
        ("RELEASE#dev", "SEQ#0000000005"),
        ("RELEASE#dev", "QUARANTINE#teams#v1.2.0"),
        ("RELEASE#dev", "QUARANTINE#roles#v1.2.0"),
        *(
            (f"ROLLBACK#{done.record.rollback_id}", str(item["SK"]))
            for item in world.table().query(f"ROLLBACK#{done.record.rollback_id}")
        ),
    ]
    for pk, sk in gone:
        world.dynamodb.delete_item(TableName=TABLE, Key={"PK": {"S": pk}, "SK": {"S": sk}})

    assert mend(world.session(DAN), "restored to noon", Quiet()).entries == 2

    named = findings(world)
    assert [line.partition(": ")[0] for line in named] == [f"ROLLBACK#{done.record.rollback_id} / METADATA"]
    put(world, "RELEASE#dev", "QUARANTINE#teams#v1.2.0", reason={"S": "nothing"})
    assert any("QUARANTINE#teams#v1.2.0" in line for line in findings(world))


def table_lost(world: World) -> None:
    """The table is deleted, declared again, and mended."""
    world.dynamodb.delete_table(TableName=TABLE)
    create_table(world.dynamodb)
    mend(world.session(DAN), "table was deleted", Quiet())


def test_a_mended_ledger_has_freezes_and_quarantines_with_their_reasons(world: World) -> None:
    quarantine(world.session(ALICE), "v1.1.0", (), "it leaks")
    freeze(world.session(ALICE), "looking into it")
    unfreeze(world.session(ALICE), "it was nothing")
    freeze(world.session(ALICE), "looking again")
    before = world.session().ledger.bars()

    table_lost(world)

    assert findings(world) == []
    assert world.session().ledger.bars() == before
    put(world, "RELEASE#dev", "QUARANTINE#@environment#*", reason={"S": "nothing"})
    assert any("QUARANTINE#@environment#*" in line for line in findings(world))


@pytest.mark.parametrize("earlier", [False, True])
def test_a_reason_that_is_lost_with_its_record_is_not_called_changed(world: World, earlier: bool) -> None:
    world.begin()
    table_lost(world)
    if earlier:  # as earlier versions of this command mended
        for service in ("teams", "roles"):
            reason = "put back from the archive: table was deleted"
            put(world, "RELEASE#dev", f"QUARANTINE#{service}#v1.2.0", reason={"S": reason})

    assert not any("QUARANTINE" in line for line in findings(world))
    reasons = {each.reason for each in world.session().ledger.quarantines()}
    assert all(reason.endswith("archive: table was deleted") for reason in reasons)
    assert any(reason.startswith("put back") for reason in reasons) is earlier


def test_status_says_of_a_record_that_is_lost_with_its_table_that_it_is_missing(world: World) -> None:
    done = world.begin()
    assert done.record is not None
    table_lost(world)

    shown = overview(world.session())

    lost = done.record.rollback_id
    assert any(f"The record of rollback {lost} is missing" in warning for warning in shown.warnings)
    assert not any("There is no rollback" in warning for warning in shown.warnings)
    first = shown.advice[0]
    assert first.state is State.LEDGER_TAMPERED
    assert f"The record of rollback {lost} is missing" in first.what
    assert "changed by something else" not in first.what


def test_status_still_says_that_an_item_was_changed(world: World) -> None:
    newest = world.timeline().newest
    put(world, f"DEPLOYMENT#{newest.id}", "METADATA", functions={"N": "99"})

    assert "changed by something else" in overview(world.session()).advice[0].what


def test_without_a_lost_record_it_is_recorded_again_what_is_deployed(world: World) -> None:
    world.begin()
    table_lost(world)

    with pytest.raises(RollbackError) as caught:
        as_recorded.check(world.session())
    lines = caught.value.next.splitlines()
    for line in lines:
        parsed(line)
    assert any(" --adopt-current --to " in line and line.startswith("rollback lambda ") for line in lines)
    (again,) = (line for line in lines if line.startswith("rollback release record "))
    assert "--version v1.1.0" in again

    world.record("v1.1.0")

    assert all(each.ok for each in as_recorded.check(world.session()))


def test_without_a_lost_record_a_rollback_goes_on_from_the_current_aliases(world: World) -> None:
    world.begin()
    table_lost(world)

    with pytest.raises(RollbackError) as caught:
        world.begin(to="v1.0.0")
    assert " --adopt-current --to V " in caught.value.next
    assert world.begin(to="v1.0.0", adopt_current=True).error is None

    assert all(each.ok for each in as_recorded.check(world.session()))
