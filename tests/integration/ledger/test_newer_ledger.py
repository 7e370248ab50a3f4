"""A ledger that a newer version has written is refused by name, before anything is changed, and never misread."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rollback import __version__
from rollback.emergency import journal
from rollback.emergency.run import Emergency
from rollback.ledger.health import LedgerWatch
from rollback.ledger.schema import REQUIREMENT, Newer
from rollback.lifecycle.drill_store import drills
from rollback.lifecycle.freeze import freeze, respected, unfreeze
from rollback.lifecycle.quarantine import lift, quarantine
from rollback.model.record import SCHEMA
from rollback.model.request import AliasesRequest, PruneRequest
from rollback.queries.audit import audit
from rollback.queries.status import overview
from rollback.util.errors import Code, RollbackError
from rollback.util.version import UPGRADE
from tests.doubles.world import ALICE, TABLE, Quiet, World, previewed
from tests.integration.conftest import OneByOne

LATER = SCHEMA + 1


def force(world: World, pk: str, sk: str, **changed: Any) -> None:
    """Sets attributes of an item, as a newer version may have."""
    world.dynamodb.update_item(
        TableName=TABLE,
        Key={"PK": {"S": pk}, "SK": {"S": sk}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in changed),
        ExpressionAttributeNames={f"#{name}": name for name in changed},
        ExpressionAttributeValues={
            f":{name}": {"N": str(value)} if isinstance(value, int) else {"S": value}
            for name, value in changed.items()
        },
    )


def require(world: World, **requirement: Any) -> None:
    force(world, "RELEASE#dev", REQUIREMENT, **requirement)


def waiting(world: World) -> str:
    """A plan that waits until it is confirmed."""
    record = world.flow().start("aliases", AliasesRequest(), "it went bad", hold=True).record
    assert record is not None
    return record.rollback_id


def audited(world: World) -> Any:
    session = world.session()
    return audit(session.ledger, session.account.each, Quiet())


# -- what a newer version has written ----------------------------------------------------------------------


def test_a_record_of_a_later_schema_is_refused_whatever_its_events_are(world: World) -> None:
    world.story()
    name = waiting(world)
    force(world, f"ROLLBACK#{name}", "METADATA", schema=LATER)
    force(world, f"ROLLBACK#{name}", "EVENT#000001", data="not what it is today")

    for verb in (world.flow().apply, world.flow().resume, world.flow().abort, world.flow().verify):
        with pytest.raises(Newer, match=rf"ROLLBACK#{name} was written by a newer version .*schema {LATER}"):
            verb(name)
    with pytest.raises(Newer):
        world.flow().approve(name, "0" * 64)


def test_an_entry_of_the_timeline_of_a_later_schema_is_refused(world: World) -> None:
    world.story()
    before = world.versions()
    force(world, "RELEASE#dev", f"SEQ#{world.timeline().newest.seq:010d}", schema=LATER)

    with pytest.raises(Newer):
        world.begin()
    with pytest.raises(Newer):
        world.session().watch_first(strict=False)

    assert world.versions() == before
    assert world.session().leases.holders() == {}


@pytest.mark.parametrize(
    ("what", "read"),
    [
        ("QUARANTINE#teams#v1.1.0", lambda world: world.session().ledger.quarantines()),
        ("QUARANTINE#@environment#*", lambda world: respected(world.session())),
        ("DRILL#01M", lambda world: drills(world.session().ledger)),
    ],
)
def test_an_item_of_a_later_schema_is_refused(world: World, what: str, read: Callable[[World], Any]) -> None:
    force(world, "RELEASE#dev", what, schema=LATER)

    with pytest.raises(Newer, match="RELEASE#dev was written by a newer version"):
        read(world)


def test_a_release_of_a_later_schema_is_refused_whatever_its_manifest_is(world: World) -> None:
    world.story()
    name = world.timeline().newest.id
    force(world, f"DEPLOYMENT#{name}", "METADATA", schema=LATER)
    force(world, f"DEPLOYMENT#{name}", "FUNCTIONS#0001", functions="not what it is today")

    with pytest.raises(Newer, match=f"DEPLOYMENT#{name}"):
        world.session().ledger.release(name)


def test_an_object_of_a_later_schema_in_the_audit_bucket_is_refused(world: World) -> None:
    world.story()
    key = min(world.bucket.versions)
    ((version, body),) = world.bucket.versions[key]
    assert body is not None
    later = {**json.loads(body), "schema": LATER, "stands": "another shape"}
    world.bucket.versions[key] = [(version, json.dumps(later).encode())]

    with pytest.raises(Newer, match=key):
        list(world.archive().entries() if key.startswith("timeline/") else world.archive().releases())


@pytest.mark.parametrize("where", ["journal", "record"])
def test_the_journal_of_an_emergency_of_a_later_schema_is_refused(world: World, where: str) -> None:
    world.story()
    session = world.session(ALICE)
    acting = Emergency(session=session, ui=Quiet(), archive=world.archive(), place=world.root)
    acting.start(acting.plan(AliasesRequest()), "the ledger is gone")
    (path,) = world.root.glob("*.jsonl")
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    changed = json.loads(head)
    if where == "journal":
        changed |= {"journal": 2, "record": {"another": "shape"}}
    else:
        changed["record"] = {"another": "shape", "schema": LATER}
    path.write_text("\n".join([json.dumps(changed), *lines, ""]), encoding="utf-8")

    with pytest.raises(Newer, match=r"\.jsonl was written by a newer version"):
        journal.read(path)


# -- what the ledger asks of every client ------------------------------------------------------------------

TOO_MUCH = [{"schema": LATER}, {"schema": SCHEMA, "client": "999.0"}, {"schema": LATER, "client": "999.0.1"}]
VERBS: dict[str, Callable[[World], Any]] = {
    "roll back": lambda world: world.begin(),
    "preview": lambda world: previewed(world.flow(), "aliases", AliasesRequest()),
    "hold a plan": waiting,
    "prune": lambda world: world.flow().start("prune", PruneRequest(keep=2), "full"),
    "record a release": lambda world: world.record("v1.3.0"),
    "adopt": lambda world: world.adopt("v1.3.0"),
    "quarantine": lambda world: quarantine(world.session(), "v1.0.0", (), "it leaks"),
    "lift": lambda world: lift(world.session(), "v1.1.0", (), "mended"),
    "freeze": lambda world: freeze(world.session(), "looking"),
    "status": lambda world: overview(world.session()),
    # What `apply`, `resume`, `abort`, `verify`, `show`, `history` and `ledger import` begin with.
    "look first": lambda world: world.session().watch_first(strict=True),
    "look first, to read": lambda world: world.session().watch_first(strict=False),
    "audit": audited,
}


@pytest.fixture
def past(world: World) -> World:
    world.story()
    quarantine(world.session(), "v1.1.0", ("teams",), "it leaks")
    return world


@pytest.mark.parametrize("required", TOO_MUCH, ids=str)
@pytest.mark.parametrize("verb", VERBS)
def test_a_client_that_is_too_old_changes_nothing_and_shows_why(
    past: World, verb: str, required: dict[str, Any]
) -> None:
    require(past, **required)
    before, entries = past.versions(), count(past)

    with pytest.raises(Newer) as refused:
        VERBS[verb](past)

    assert (refused.value.exit_code, refused.value.code) == (3, Code.CLIENT_OUTDATED)
    assert "version 999.0" in refused.value.what or f"schema {LATER}" in refused.value.what
    assert refused.value.next == UPGRADE
    assert (past.versions(), count(past)) == (before, entries)
    assert past.session().leases.holders() == {}


def count(world: World) -> int:
    """Items, leases that are free again aside."""
    found = world.dynamodb._client.items(TABLE)
    return sum(not item["PK"]["S"].startswith("LOCK#") for item in found)


@pytest.mark.parametrize("required", [{"schema": SCHEMA}, {"schema": 1, "client": __version__}], ids=str)
def test_a_client_that_is_new_enough_goes_on(past: World, required: dict[str, Any]) -> None:
    lift(past.session(), "v1.1.0", (), "mended")
    require(past, **required)

    assert past.begin().error is None
    past.release("v1.3.0")
    past.record("v1.3.0")
    freeze(past.session(), "looking")
    unfreeze(past.session(), "seen")

    assert past.timeline().all_deployed == {"teams": "v1.3.0", "roles": "v1.3.0"}
    assert audited(past).findings == ()


def test_what_the_ledger_asks_for_costs_no_request(past: World) -> None:
    asked: list[str] = []

    class Counting(OneByOne):
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return super().__getattr__(name)

    past.dynamodb = Counting(past.dynamodb)
    look = LedgerWatch.over(past.session().ledger)

    look.again()
    require(past, schema=SCHEMA, client=__version__)
    asked.remove("update_item")
    look.again()

    assert asked == ["query", "query"]


def test_a_demand_that_is_none_is_named_and_hides_nothing(past: World) -> None:
    require(past, schema=SCHEMA, client="the newest")

    with pytest.raises(RollbackError, match=f"RELEASE#dev / {REQUIREMENT} is malformed"):
        past.begin()
    (finding,) = audited(past).findings
    assert finding.sk == REQUIREMENT
