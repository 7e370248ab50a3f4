"""What a verb verifies before it acts: a record that was changed in the table moves nothing, and `audit` names it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rollback.model.events import Approved, stored
from rollback.model.plan import to_chunks
from rollback.model.record import Entered, Status, event_hash
from rollback.model.request import AliasesRequest
from rollback.queries.audit import audit
from rollback.util.canonical import digest
from rollback.util.errors import Code, RollbackError
from tests.doubles.world import ALICE, BOB, Quiet, World, approved_by, previewed


def update(world: World, identifier: str, sk: str = "METADATA", **values: str) -> None:
    """As one who may write the table does it, past this command."""
    names = {f"#{name}": name for name in values}
    world.dynamodb.update_item(
        TableName=world.table().name,
        Key={"PK": {"S": f"ROLLBACK#{identifier}"}, "SK": {"S": sk}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={f":{name}": {"S": value} for name, value in values.items()},
    )


def findings(world: World) -> list[str]:
    session = world.session()
    return [str(found) for found in audit(session.ledger, session.account.each, Quiet()).findings]


def refused(world: World, verb: str, identifier: str) -> None:
    flow = world.flow()
    act: Any = {"resume": flow.resume, "apply": flow.apply, "verify": flow.verify}[verb]
    with pytest.raises(RollbackError) as caught:
        act(identifier)
    assert caught.value.code is Code.LEDGER_DAMAGED
    assert caught.value.exit_code == 3
    assert world.functions.writes == []


@pytest.mark.finding("G1")
def test_a_record_whose_status_was_forged_is_not_resumed_past_its_approval(world: World) -> None:
    world.story()
    identifier = approved_by(world, None)
    update(world, identifier, status="IN_PROGRESS")

    refused(world, "resume", identifier)

    assert any(identifier in line for line in findings(world))


@pytest.mark.finding("G1")
def test_a_record_that_was_given_up_is_not_applied_once_its_status_was_forged(world: World) -> None:
    world.story()
    identifier = approved_by(world, BOB)
    world.flow().abort(identifier, "no longer needed")
    update(world, identifier, status="AWAITING_APPROVAL")

    refused(world, "apply", identifier)


@pytest.mark.finding("G1")
def test_a_forged_record_is_ended_by_abort_and_moves_nothing_and_audit_still_names_it(world: World) -> None:
    world.story()
    identifier = approved_by(world, None)
    update(world, identifier, status="IN_PROGRESS")

    ended = world.flow().abort(identifier, "forged")

    assert ended.record is not None
    assert ended.record.status is Status.FAILED
    assert world.functions.writes == []
    assert any(identifier in line for line in findings(world))


@pytest.mark.finding("G1")
def test_an_audit_names_a_record_that_went_ahead_without_its_approval(world: World) -> None:
    """The chain is whole again once the next event has sealed the forged status: the order of events is not."""
    world.story()
    identifier = approved_by(world, None)
    update(world, identifier, status="IN_PROGRESS")
    session = world.session(ALICE)
    opened = session.ledger.load(identifier)
    lease = session.leases.hold_over(opened.record.domains, identifier, lambda _: None)
    entered = Entered(kind="resumed", at=world.clock.iso(), by=ALICE, data={"fence": 1, "reason": ""})
    session.ledger.journal(opened.record, entered, lease, {"status": Status.IN_PROGRESS})
    lease.release()

    assert any("approved" in line for line in findings(world))
    refused(world, "resume", identifier)


@pytest.mark.finding("G1")
def test_an_approval_that_only_the_journal_tells_of_resumes_nothing(world: World) -> None:
    """The rollback role may write events, the chain and all; what it may not write is an approval."""
    world.story()
    identifier = approved_by(world, None)
    session = world.session(ALICE)
    opened = session.ledger.load(identifier)
    lease = session.leases.hold_over(opened.record.domains, identifier, lambda _: None)
    at = world.clock.iso()
    given = Approved(digest=opened.record.digest, by=BOB, at=at, expires_at="2099-01-01T00:00:00Z")
    entered = Entered(kind="approved", at=at, by=ALICE, data=stored(given))
    changes = {"status": Status.IN_PROGRESS, "approved_by": BOB, "started_at": at}
    session.ledger.journal(opened.record, entered, lease, changes)
    lease.release()

    with pytest.raises(RollbackError) as caught:
        world.flow().resume(identifier)

    assert (caught.value.code, caught.value.exit_code) == (Code.APPROVAL_MISSING, 3)
    assert world.functions.writes == []
    assert any(f"APPROVAL#{identifier}" in line for line in findings(world))


@pytest.mark.finding("S9")
@pytest.mark.finding("G2")
@pytest.mark.parametrize("verb", ["approve", "apply"])
def test_a_plan_that_is_not_the_digests_is_neither_approved_nor_applied(world: World, verb: str) -> None:
    """The chunks, the first event and the head are another plan's, made to fit; only the digest is left."""
    world.story()
    identifier = approved_by(world, BOB if verb == "apply" else None)
    session = world.session()
    opened = session.ledger.load(identifier)
    harmless = previewed(world.flow(), "aliases", AliasesRequest(services=("teams",)))
    chunks = to_chunks(harmless)
    first = opened.events[0]
    data = {**first.data, "plan": digest(chunks)}
    forged = replace(first, data=data, hash="")
    forged = replace(forged, hash=event_hash(identifier, forged))
    assert len(chunks) == len(opened.plan_chunks)
    for number, chunk in enumerate(chunks, start=1):
        update(world, identifier, f"PLAN#{number:04d}", plan=chunk)
    update(world, identifier, "EVENT#000001", data=json.dumps(data, sort_keys=True), hash=forged.hash)
    update(world, identifier, head=forged.hash)

    act = world.flow(BOB if verb == "approve" else ALICE)
    with pytest.raises(RollbackError) as caught:
        getattr(act, verb)(identifier, opened.record.digest)

    assert caught.value.code is Code.LEDGER_DAMAGED
    assert world.functions.writes == []
    assert any(identifier in line for line in findings(world))


@pytest.mark.finding("G8")
def test_a_malformed_approval_beside_a_valid_one_is_named_and_blocks_nothing(world: World) -> None:
    world.story()
    identifier = approved_by(world, BOB)
    planted = {"PK": {"S": f"APPROVAL#{identifier}"}, "SK": {"S": "a"}, "digest": {"N": "7"}}
    world.dynamodb.put_item(TableName=world.table().name, Item=planted)

    flow = world.flow()
    done = flow.apply(identifier)

    assert done.error is None
    assert done.record is not None
    assert (done.record.status, done.record.approved_by) == (Status.COMPLETE, BOB)
    (notice,) = flow.session.ledger.notices
    assert f"APPROVAL#{identifier} / a is malformed" in notice
