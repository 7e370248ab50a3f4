"""The ledger on a table: conditions, conflicts, order, sizes, and items that are not as they should be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from rollback.ledger.lease import ALIASES, LeaseLost
from rollback.ledger.store import ABSENT, Conflict, Write
from rollback.model.alias_moves import Move
from rollback.model.plan import Plan
from rollback.model.record import Approval, DeployedVersion, Entered, Record, Status, chain_break
from rollback.model.release import Entry, Quarantine, Release, entry_hash, manifest_hash
from rollback.util.canonical import canonical
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)
from tests.coded import coded
from tests.doubles.instead import Instead
from tests.doubles.records import a_plan, a_record
from tests.doubles.world import ALICE, BOB, TABLE, World

ID = "01M80000000000000000000001"


def plan(count: int = 3) -> Plan[Move]:
    steps = tuple(
        Move(
            function=f"bbws-access-prod-lambda-{'x' * 30}-{number:05d}",
            service="teams",
            from_version="2",
            to_version="1",
            code_sha256="a" * 44,
            revision_id=f"{number:036d}",
            weights={"3": 0.1},
        )
        for number in range(count)
    )
    return a_plan(*steps, quarantines={"teams": "v2"})


def record(what: Plan[Move], identifier: str = ID) -> Record:
    counts = {"planned": len(what.steps)}
    return a_record(rollback_id=identifier, status=Status.PLANNED, digest=what.digest(), counts=counts)


def entered(kind: str, **data: Any) -> Entered:
    return Entered(kind=kind, at="2026-11-24T12:00:00.000Z", by=ALICE, data=data)


def entry(kind: str = "rollback", **changed: Any) -> Entry:
    return Entry(
        **{
            "seq": 0,
            "kind": kind,
            "id": ID,
            "version": "",
            "at": "",
            "by": ALICE,
            "services": ("teams",),
            "stands": {"teams": "v1"},
            "covers": "",
            **changed,
        }
    )


def opened(world: World, lease: Any = None, count: int = 3) -> Record:
    what = plan(count)
    data = entered("planned", digest=what.digest())
    return world.session().ledger.open(record(what), Status.IN_PROGRESS, what, data, lease)[0]


def test_a_record_comes_back_as_it_was_written_with_its_plan_and_a_whole_chain(world: World) -> None:
    ledger = world.session().ledger

    written = opened(world)

    back = ledger.load(ID)
    assert back.record == written
    assert back.plan(Move) == plan()
    assert chain_break(back.record, back.events) is None


def test_a_record_of_five_thousand_functions_fits(world: World) -> None:
    opened(world, count=5000)

    back = world.session().ledger.load(ID)

    assert len(back.plan(Move).steps) == 5000
    assert max(len(chunk.encode()) for chunk in back.plan_chunks) < 400_000


def test_an_id_is_taken_once(world: World) -> None:
    opened(world)

    with pytest.raises(Refused, check=coded(Code.LEDGER_BUSY)):
        opened(world)


def test_of_two_who_write_to_a_record_the_second_is_refused(world: World) -> None:
    ledger = world.session().ledger
    first = opened(world)
    second = ledger.load(ID).record

    after, _ = ledger.journal(first, entered("one"), None)
    with pytest.raises(Refused, check=coded(Code.LEDGER_BUSY)):
        ledger.journal(second, entered("other"), None)

    assert [event.kind for event in ledger.load(ID).events] == ["planned", "one"]
    ledger.journal(after, entered("two"), None, {"status": Status.FAILED})
    assert ledger.load(ID).record.status is Status.FAILED


def test_an_old_holder_can_neither_journal_nor_close_nor_record(world: World) -> None:
    session = world.session()
    old = session.leases.take(ALIASES, ID)
    current = opened(world, old)
    session.leases.take_over(ALIASES, ID, lambda _: None)
    old._renewed = world.clock.seconds  # as if it had been paused a moment ago only

    with pytest.raises(LeaseLost):
        session.ledger.journal(current, entered("moved"), old)
    old._lost = ""
    with pytest.raises(LeaseLost):
        session.ledger.close(current, entered("closed"), old, {"status": Status.COMPLETE}, entry=entry())

    back = session.ledger.load(ID)
    assert [event.kind for event in back.events] == ["planned"]
    assert back.record.status is Status.IN_PROGRESS
    assert [item.kind for item in session.ledger.timeline()] == ["opened"]


def test_of_several_conditions_that_fail_the_lost_lease_is_the_one_that_is_reported(world: World) -> None:
    session = world.session()
    old = session.leases.take(ALIASES, ID)
    current = opened(world, old)
    new = session.leases.take_over(ALIASES, ID, lambda _: None)
    session.ledger.journal(current, entered("resumed"), new)
    old._renewed = world.clock.seconds  # as if it had been paused a moment ago only

    with pytest.raises(LeaseLost):
        session.ledger.journal(current, entered("moved"), old)


def test_an_old_holder_leaves_no_part_of_a_plan_behind(world: World) -> None:
    session = world.session()
    old = session.leases.take(ALIASES, ID)
    session.leases.take_over(ALIASES, ID, lambda _: None)

    with pytest.raises(LeaseLost):
        opened(world, old, count=5000)

    assert not list(session.ledger.table.query(f"ROLLBACK#{ID}"))


def test_closing_writes_record_event_timeline_and_quarantine_and_frees_the_lease_in_one(world: World) -> None:
    session = world.session()
    lease = session.leases.take(ALIASES, ID)
    current = opened(world, lease)
    quarantine = Quarantine(service="teams", version="v2", reason="bad", by=ALICE, at="", rollback_id=ID)

    after, event = session.ledger.close(
        current,
        entered("closed"),
        lease,
        {"status": Status.COMPLETE},
        entry=entry(),
        quarantines=[quarantine],
    )

    newest = session.ledger.timeline().newest
    assert newest is not None
    assert (newest.seq, newest.covers, newest.stands) == (2, event.hash, {"teams": "v1"})
    assert newest.bars == ("teams#v2",)
    assert session.ledger.load(ID).record == after
    assert session.ledger.quarantines() == [quarantine]
    assert session.leases.holder(ALIASES) is None


def test_more_quarantines_than_a_transaction_takes_are_all_written(world: World) -> None:
    session = world.session()
    current = opened(world)
    quarantines = [
        Quarantine(service=f"service_{number}", version="v2", reason="bad", by=ALICE, at="")
        for number in range(250)
    ]

    session.ledger.close(current, entered("closed"), None, {}, entry=entry(), quarantines=quarantines)

    assert len(session.ledger.quarantines()) == 250


def test_timeline_numbers_are_unique_and_chained_under_concurrent_appends(world: World) -> None:
    def append(number: int) -> int:
        ledger = world.session().ledger
        return ledger.append(entry("quarantine", id=f"id-{number}", services=(), stands={})).seq

    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(append, range(12)))

    assert sorted(numbers) == list(range(1, 13))
    entries = list(reversed(list(world.session().ledger.timeline())))
    assert [item.seq for item in entries] == list(range(1, 13))
    assert all(item.hash == entry_hash(item) for item in entries)
    assert all(after.previous == before.hash for before, after in pairwise(entries))


def test_the_timeline_carries_forward_what_is_deployed_and_drops_what_is_no_longer_known(
    world: World,
) -> None:
    ledger = world.session().ledger

    ledger.append(entry(stands={"teams": "v1", "roles": "v1"}))
    ledger.append(entry(stands={"teams": "v2"}))
    ledger.append(entry(stands={"roles": ""}))

    assert [dict(item.stands) for item in ledger.timeline()] == [
        {"teams": "v2"},
        {"teams": "v2", "roles": "v1"},
        {"teams": "v1", "roles": "v1"},
    ]


def test_a_release_of_five_thousand_functions_is_written_and_read(world: World) -> None:
    session = world.session()
    manifest = {
        f"bbws-access-prod-lambda-{'x' * 35}-{number:05d}": DeployedVersion(
            version="120", code_sha256="a" * 44, revision_id="r" * 36, weights={"121": 0.1}, provisioned=5
        )
        for number in range(5000)
    }
    release = Release(
        deployment_id="D1",
        version="v1",
        environment="dev",
        commit="a" * 40,
        stack_commit=None,
        terraform_commit=None,
        recorded_by=ALICE,
        recorded_at="2026-11-24T12:00:00.000Z",
        services=("teams",),
        manifest_hash=manifest_hash(manifest),
        functions=5000,
        manifest=manifest,
    )

    with_lease = session.leases.take(ALIASES, "deployment-D1")
    session.ledger.record_release(release, entry("deployment", id="D1", version="v1"), with_lease)

    assert session.ledger.release("D1") == release
    sizes = [len(canonical(item)) for item in session.ledger.table.query("DEPLOYMENT#D1")]
    assert max(sizes) < 400_000


def test_history_is_the_newest_first_and_no_longer_than_asked(world: World) -> None:
    ledger = world.session().ledger
    for number in range(5):
        what = plan()
        item = replace(
            record(what, f"01M8000000000000000000000{number}"),
            initiated_at=f"2026-11-24T12:0{number}:00.000Z",
        )
        ledger.open(item, Status.COMPLETE, what, entered("planned", digest=what.digest()), None)

    found = list(ledger.history(3))

    assert [item.rollback_id[-1] for item in found if isinstance(item, Record)] == ["4", "3", "2"]


@pytest.mark.parametrize("identifier", ["", "nobody", "R" * 5000, "../x", "$(id)", "01M8\n"])
def test_an_unknown_record_is_wrong_usage(world: World, identifier: str) -> None:
    with pytest.raises(UsageError, check=coded(Code.UNKNOWN_ROLLBACK)):
        world.session().ledger.load(identifier)


def test_a_record_of_another_environment_is_not_this_ones(world: World) -> None:
    what = plan()
    elsewhere = replace(record(what), environment="sit")
    world.session().ledger.open(elsewhere, Status.PLANNED, what, entered("planned"), None)

    with pytest.raises(UsageError, check=coded(Code.UNKNOWN_ROLLBACK)):
        world.session().ledger.load(ID)


def spoil(world: World, sk: str, name: str, value: Any, pk: str = f"ROLLBACK#{ID}") -> None:
    world.dynamodb.update_item(
        TableName=TABLE,
        Key={"PK": {"S": pk}, "SK": {"S": sk}},
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )


@pytest.mark.parametrize(
    ("sk", "name", "value"),
    [
        ("METADATA", "status", {"S": "WELL"}),
        ("METADATA", "initiated_by", {"S": "alice"}),
        ("METADATA", "schema", {"S": "first"}),
        ("METADATA", "events", {"S": "many"}),
        ("EVENT#000001", "data", {"S": "{"}),
        ("EVENT#000001", "data", {"N": "1"}),
        ("EVENT#000001", "by", {"NULL": True}),
        ("PLAN#0001", "chunks", {"S": "two"}),
        ("PLAN#0001", "chunks", {"N": "3"}),
    ],
)
def test_a_malformed_item_of_a_record_is_named(world: World, sk: str, name: str, value: Any) -> None:
    opened(world)
    spoil(world, sk, name, value)

    with pytest.raises(RollbackError, match=ID, check=coded(Code.LEDGER_DAMAGED)) as raised:
        world.session().ledger.load(ID)

    assert raised.value.exit_code == 1


@pytest.mark.parametrize("text", ["{}", "not json", '[{"function":"x"}]'])
def test_a_plan_that_is_not_the_one_that_was_opened_is_refused(world: World, text: str) -> None:
    opened(world)
    spoil(world, "PLAN#0002", "plan", {"S": text})

    with pytest.raises(RollbackError, match="changed in the table", check=coded(Code.LEDGER_DAMAGED)):
        world.session().ledger.load(ID).plan(Move)


def test_a_record_whose_digest_was_changed_has_no_plan(world: World) -> None:
    opened(world)
    spoil(world, "METADATA", "digest", {"S": "0" * 64})

    with pytest.raises(RollbackError, match="changed in the table", check=coded(Code.LEDGER_DAMAGED)):
        world.session().ledger.load(ID).plan(Move)


def test_a_newer_schema_is_reported_and_not_guessed(world: World) -> None:
    opened(world)
    spoil(world, "METADATA", "schema", {"N": "3"})

    with pytest.raises(RollbackError, check=coded(Code.CLIENT_OUTDATED)):
        world.session().ledger.load(ID)


def test_a_malformed_record_in_the_history_is_named_among_the_others(world: World) -> None:
    opened(world)
    spoil(world, "METADATA", "status", {"S": "WELL"})

    found = list(world.session().ledger.history(10))

    assert [type(item) for item in found] == [RollbackError]
    assert ID in str(found[0])


def test_a_malformed_timeline_entry_is_named(world: World) -> None:
    world.session().ledger.append(entry())
    spoil(world, "SEQ#0000000001", "stands", {"S": "v1"}, pk="RELEASE#dev")

    with pytest.raises(RollbackError, match="RELEASE#dev / SEQ#0000000001", check=coded(Code.LEDGER_DAMAGED)):
        list(world.session().ledger.timeline())


def test_a_manifest_that_lost_a_part_is_reported_as_damaged(world: World) -> None:
    world.story()
    newest = world.timeline().newest
    world.dynamodb.delete_item(
        TableName=TABLE, Key={"PK": {"S": f"DEPLOYMENT#{newest.id}"}, "SK": {"S": "FUNCTIONS#0001"}}
    )

    with pytest.raises(RollbackError, match="damaged", check=coded(Code.LEDGER_DAMAGED)):
        world.session().ledger.release(newest.id)


def test_a_lifted_quarantine_stays_written_and_quarantines_no_more(world: World) -> None:
    ledger = world.session().ledger
    quarantine = Quarantine(service="teams", version="v2", reason="bad", by=ALICE, at="")
    ledger.append(entry(), quarantines=[quarantine])

    ledger.append(entry(by=BOB, at="2026-11-24T13:00:00.000Z"), lifts=[quarantine])

    assert ledger.quarantines() == []
    item = ledger.table.get("RELEASE#dev", "QUARANTINE#teams#v2")
    assert item is not None
    assert item["lifted_by"] == {"role": BOB.role, "person": BOB.person}


def test_approvals_are_kept_apart_by_approver_and_time(world: World) -> None:
    ledger = world.session().ledger
    given = Approval(rollback_id=ID, digest="d", by=BOB, at="2026-11-24T12:00:00.000Z", expires_at="2026")

    ledger.approve(given)
    ledger.approve(replace(given, at="2026-11-24T13:00:00.000Z"))
    with pytest.raises(Refused, check=coded(Code.APPROVAL_REFUSED)):
        ledger.approve(given)

    assert [item.at[11:13] for item in ledger.approvals(ID)] == ["12", "13"]


def test_nothing_is_decided_by_the_index(world: World) -> None:
    """An index that shows nothing, as it may for a while, changes no plan, no apply and no order."""
    indexed: list[str] = []
    client = world.dynamodb

    def query(**request: Any) -> Any:
        if "IndexName" in request:
            indexed.append(request["IndexName"])
            return {"Items": []}
        assert request["ConsistentRead"] is True
        return client.query(**request)

    world.story()
    world.dynamodb = Instead(client, query=query)

    assert world.begin().error is None
    assert world.begin().error is None
    assert set(world.versions().values()) == {"1"}
    assert indexed == []


def test_a_missing_table_is_named(world: World) -> None:
    world.dynamodb.delete_table(TableName=TABLE)

    with pytest.raises(RollbackError, match=TABLE, check=coded(Code.LEDGER_MISSING)):
        world.session().ledger.load(ID)


def test_a_write_shows_which_condition_failed(world: World) -> None:
    table = world.table()
    item = {"PK": "ROLLBACK#x", "SK": "A"}
    table.transact([Write(name="first", item=item, condition=ABSENT)])

    with pytest.raises(Conflict) as raised:
        table.transact(
            [
                Write(name="well", item={"PK": "ROLLBACK#x", "SK": "B"}, condition=ABSENT),
                Write(name="second", item=item, condition=ABSENT),
            ]
        )

    assert raised.value.what == "second"
    assert table.get("ROLLBACK#x", "B") is None


def kept(world: World) -> list[tuple[int, str]]:
    return [(item.seq, item.kind) for item in world.archive().entries()]


def test_the_head_of_every_release_and_of_every_end_is_kept_outside_the_ledger(world: World) -> None:
    world.story()
    world.begin()

    entries = sorted(world.timeline(), key=lambda item: item.seq)
    assert list(world.archive().entries()) == entries
    assert [item.kind for item in entries] == ["deployment"] * 3 + ["opened", "rollback"]
    releases = [world.session().ledger.release(item.id) for item in entries[:3]]
    assert list(world.archive().releases()) == list(reversed(releases))


def test_an_end_costs_three_writes_at_the_same_time_and_nothing_is_read_but_one_look(world: World) -> None:
    world.story()
    world.bucket.asked.clear()

    world.begin()

    looked, *kept_now = world.bucket.asked
    assert looked == "ListObjectVersions", "once a session: whether the timeline is as long as it was"
    assert kept_now == ["PutObject"] * 3 + ["ListObjectVersions"], (
        "the end, the beginning, and the one before: it is there; and whether the end alone has its number"
    )


def test_an_archive_that_does_not_answer_fails_nothing_is_reported_and_made_up_for(world: World) -> None:
    world.release("v1.0.0")
    world.record("v1.0.0")
    world.bucket.fail = EndpointConnectionError(endpoint_url="https://s3")
    world.release("v1.1.0")
    ledger = world.session().ledger

    world.record("v1.1.0")
    ledger.append(entry("quarantine", services=(), stands={}))

    world.bucket.fail = None
    assert kept(world) == [(1, "deployment")]
    (notice,) = ledger.notices
    assert notice.startswith("The archive lacks entry 3 of the timeline: ")

    world.begin()

    assert [seq for seq, _ in kept(world)] == [1, 2, 3, 4, 5]
    assert len(list(world.archive().releases())) == 2


def test_an_environment_without_the_bucket_gets_the_way_to_declare_it(world: World) -> None:
    world.bucket.exists = False
    ledger = world.session().ledger

    ledger.append(entry())

    (notice,) = ledger.notices
    assert "The ledger's archive, bucket acme-dev-audit-trail-111122223333, does not exist" in notice
    assert "pulumi up" in notice


def test_a_ledger_that_was_rewritten_is_noticed_by_the_next_write(world: World) -> None:
    ledger = world.session().ledger
    ledger.append(entry(stands={"teams": "v1"}))
    world.dynamodb.delete_item(
        TableName=TABLE, Key={"PK": {"S": "RELEASE#dev"}, "SK": {"S": "SEQ#0000000001"}}
    )

    ledger.append(entry(stands={"teams": "v2"}))

    (notice,) = ledger.notices
    assert "has another text under timeline/SEQ-0000000001-" in notice
    archive = world.archive()
    both = [archive.entry(one) for one in archive.kept_entries()]
    assert {one.stands["teams"] for one in both if one} == {"v1", "v2"}, "what was kept first stays"


def test_an_approval_is_kept_too(world: World) -> None:
    given = Approval(rollback_id=ID, digest="d", by=BOB, at="2026-11-24T12:00:00.000Z", expires_at="2026")

    world.session().ledger.approve(given)

    assert list(world.bucket.versions) == [f"approvals/{ID}/{BOB.role}/bob/2026-11-24T12:00:00.000Z.json"]
