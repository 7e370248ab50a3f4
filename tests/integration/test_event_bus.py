"""A rollback's end is an event that a rule finds; a bus that does not take it stops nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from localaws.clients import connect
from localaws.emulator import server
from localaws.paths import ROOT
from rollback.config.naming import arn
from rollback.config.settings import load
from rollback.model.kind import Kind
from rollback.model.record import Check, Record, Status
from rollback.model.request import AliasesRequest
from rollback.notify import event_bus
from rollback.notify.ended import ENDS, detail
from tests.doubles.records import a_record
from tests.doubles.world import DAN, World, settings

SCHEMA = json.loads((ROOT / "docs" / "event.schema.json").read_text())
ENDED = a_record(
    status=Status.COMPLETE,
    completed_at="2026-11-24T12:00:05.000Z",
    elapsed_seconds=5.0,
    verification=(Check(check="aliases", ok=True),),
)


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """As far as the published schema goes: const, enum, type, and a mapping's properties."""
    names = {"string": str, "array": list, "object": dict, "boolean": bool, "null": type(None)}
    if "const" in schema:
        return bool(value == schema["const"])
    if "enum" in schema:
        return value in schema["enum"]
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    right = any(
        isinstance(value, (int, float)) and not isinstance(value, bool)
        if kind == "number"
        else isinstance(value, names[kind])
        for kind in kinds
    )
    if right and isinstance(value, dict):
        right = set(schema["required"]) <= set(value) <= set(schema["properties"])
        right = right and all(fits(value[name], schema["properties"][name]) for name in value)
    return right


@pytest.mark.parametrize(
    "record",
    [
        ENDED,
        a_record(status=Status.EXPIRED, completed_at="2026-11-24T12:00:05.000Z"),
        replace(ENDED, taken_by=DAN, approved_by=DAN, alarm="errors", relieved_seconds=3.2),
        replace(ENDED, status=Status.FAILED, verification=(Check(check="smoke", ok=False),)),
    ],
)
def test_the_event_is_what_its_schema_says(record: Record) -> None:
    assert fits(detail(record), SCHEMA)
    assert set(detail(record)) == set(SCHEMA["properties"]) == set(SCHEMA["required"])


def test_the_schema_knows_every_kind_and_every_end() -> None:
    assert set(SCHEMA["properties"]["kind"]["enum"]) == set(Kind)
    assert set(SCHEMA["properties"]["status"]["enum"]) == set(ENDS)


@pytest.mark.parametrize("status", sorted(set(Status) - ENDS))
def test_what_has_not_ended_is_no_event(status: Status) -> None:
    account: Any = SimpleNamespace(settings=settings(eventBus="default"), client=None)

    assert event_bus.told(account, replace(ENDED, status=status)) == ""


def test_a_rule_on_the_bus_hands_it_to_a_queue() -> None:
    dev = load(ROOT, "dev").model_copy(update={"event_bus": "default"})
    with server.running(auth=False) as emulator:
        events, queues = (connect(name, emulator.endpoint, dev) for name in ("events", "sqs"))
        queue = queues.create_queue(QueueName="pager")["QueueUrl"]
        to = arn("sqs", dev.region, dev.account, "pager")
        pattern = {
            "source": ["rollback"],
            "detail-type": ["Rollback ended"],
            "detail": {"status": ["COMPLETE"]},
        }
        events.put_rule(Name="pager", EventPattern=json.dumps(pattern))
        events.put_targets(Rule="pager", Targets=[{"Id": "1", "Arn": to}])
        account: Any = SimpleNamespace(
            settings=dev, client=lambda name, **_: connect(name, emulator.endpoint, dev)
        )

        assert event_bus.told(account, ENDED) == ""
        assert event_bus.told(account, replace(ENDED, status=Status.ABORTED)) == ""

        found = queues.receive_message(QueueUrl=queue, WaitTimeSeconds=5, MaxNumberOfMessages=10)
        (message,) = found["Messages"]
        body = json.loads(message["Body"])
        assert (body["source"], body["detail-type"]) == ("rollback", "Rollback ended")
        assert body["detail"] == detail(ENDED)


def test_a_bus_that_cannot_be_told_is_a_notice_and_the_rollback_is_as_it_is(world: World) -> None:
    world.story()
    world.settings = settings(eventBus="pagers")

    def away(service: str, **_: Any) -> Any:
        if service == "events":
            raise ConnectionError(service)
        return flow.session.account.client(service)

    asked: list[dict[str, Any]] = []

    def put_events(**request: Any) -> dict[str, Any]:
        asked.append(request)
        return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}

    def failing(service: str, **_: Any) -> Any:
        if service == "events":
            return SimpleNamespace(put_events=put_events)
        return flow.session.account.client(service)

    for client in (away, failing):
        flow = world.flow()
        account = replace(flow.session.account, client=client)
        session = replace(flow.session, account=account)

        finished = replace(flow, session=session).start("aliases", AliasesRequest(), "it went bad")

        assert finished.error is None
        assert finished.record is not None
        assert finished.record.status is Status.COMPLETE
        assert len(session.notices) == 1
    assert [request["Entries"][0]["EventBusName"] for request in asked] == ["pagers"]
