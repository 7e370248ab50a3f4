"""What somebody puts into the audit bucket, where it cannot be deleted for 400 days, stands in nobody's way."""

from __future__ import annotations

import pytest

from rollback.emergency.repair_ledger import mend
from rollback.emergency.run import Emergency
from rollback.ledger.audit_bucket import number
from rollback.model.identity import Actor
from rollback.model.record import Status
from rollback.model.request import AliasesRequest
from rollback.queries.as_recorded import check
from rollback.queries.audit import Audited, audit
from rollback.queries.history import past
from rollback.queries.status import overview
from rollback.util.errors import Code, Refused
from tests.doubles.world import DAN, TABLE, Quiet, World

OLGA = Actor(role="acme-dev-break-glass-role", person="olga")
PLANTED = [
    ("timeline/SEQ-zzz.json", b"{}"),
    ("timeline/.json", b""),
    ("timeline/", b""),
    ("timeline/SEQ-0000099999.json", b"{}"),
    ("timeline/SEQ-0000000004.json", b"\xff"),
    ("timeline/SEQ-0000000004-" + 64 * "0" + ".json", b"[]"),
    ("releases/zzz.json", b"{}"),
    ("releases/", b""),
]


def audited(world: World) -> Audited:
    session = world.session()
    return audit(session.ledger, session.account.each, Quiet())


@pytest.mark.finding("S6")
@pytest.mark.finding("S20")
@pytest.mark.finding("G3")
@pytest.mark.parametrize(("key", "body"), PLANTED)
def test_a_rollback_goes_ahead_and_its_heads_are_kept(world: World, key: str, body: bytes) -> None:
    world.story()
    world.bucket.put(key, body)

    session = world.session()
    session.watch_first(strict=True)
    assert session.alarms == ()
    assert overview(session).stands == "v1.2.0"
    assert all(one.ok for one in check(world.session()))
    assert past(world.session(), 20, "aliases").broken == ()
    done = world.begin()

    assert done.error is None
    assert done.record is not None
    assert done.record.status is Status.COMPLETE
    assert [entry.seq for entry in world.archive().entries()] == [1, 2, 3, 4, 5]
    found = audited(world)
    assert all(finding.sk == key for finding in found.findings)
    assert bool(found.findings) == (number(key) is not None or key == "releases/zzz.json")


@pytest.mark.finding("S6")
@pytest.mark.finding("G3")
@pytest.mark.parametrize(("key", "body"), PLANTED)
def test_an_emergency_steps_over_it(world: World, key: str, body: bytes) -> None:
    world.story()
    world.bucket.put(key, body)
    session = world.session(OLGA)
    archive = session.ledger.archive
    assert archive is not None
    acting = Emergency(session=session, ui=Quiet(), archive=archive, place=world.root / "journals")

    assert acting.plan(AliasesRequest()).to_version == "v1.1.0"
    if number(key) is not None or key == "releases/zzz.json":
        assert any(key in notice for notice in session.ledger.notices)


@pytest.mark.finding("S6")
def test_what_was_lost_is_still_missed_and_mended(world: World) -> None:
    world.story()
    world.bucket.put("timeline/SEQ-0000000003.json", b"{}")
    world.bucket.put("timeline/SEQ-0000099999.json", b"{}")
    newest = {"PK": {"S": "RELEASE#dev"}, "SK": {"S": "SEQ#0000000003"}}
    lost = world.dynamodb.get_item(TableName=TABLE, Key=newest)["Item"]
    world.dynamodb.delete_item(TableName=TABLE, Key=newest)

    with pytest.raises(Refused) as caught:
        world.session().watch_first(strict=True)
    assert caught.value.code is Code.LEDGER_LOST_ENTRIES
    assert "has entry 3" in caught.value.what
    assert mend(world.session(DAN), "restored", Quiet()).entries == 1

    assert world.dynamodb.get_item(TableName=TABLE, Key=newest)["Item"] == lost
