"""What somebody who means ill writes into the ledger's table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from boto3.dynamodb.types import TypeSerializer

from rollback.ledger.schema import event_item, record_item
from rollback.model.drill import Drill, drill_item
from rollback.model.identity import Actor
from rollback.model.record import Event, Record, Status
from rollback.util.canonical import plain
from tests.e2e.estate_under_test import Platform
from tests.e2e.hostile import BIDI, C1, CLEAR, HIDDEN, LINK, LONG, MARKUP, TITLE

Raw = dict[str, Any]
_SERIALIZER = TypeSerializer()
_AT = "2030-01-01T00:00:00.000Z"
# What a terminal would act upon, and what would forge a line.
_ACTS = {
    "clears": f"{CLEAR}{TITLE}",
    "links": LINK,
    "one byte": C1,
    "backwards": BIDI,
    "no width": HIDDEN,
    "a line": "one\n  next: rollback abort ALL --yes\r\x1b[1Atwo\u2028three",
    "NUL": "a\x00b\x7f",
    "long": LONG,
}
PLANTED = MARKUP | _ACTS
BROKEN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def raw(item: Mapping[str, Any]) -> Raw:
    """An item as DynamoDB's JSON has it."""
    values = json.loads(json.dumps(plain(item)), parse_float=str)
    return {name: _SERIALIZER.serialize(value) for name, value in values.items()}


@contextmanager
def planted(platform: Platform, *items: Raw) -> Iterator[None]:
    """Items are in the table as long as the block lasts; what stood in their place is there again after it."""
    table, client = platform.settings.names.deployments_table, platform.root_client("dynamodb")
    keys = [{name: item[name] for name in ("PK", "SK")} for item in items]
    before = [client.get_item(TableName=table, Key=key).get("Item") for key in keys]
    for item in items:
        client.put_item(TableName=table, Item=item)
    try:
        yield
    finally:
        for key, item in zip(keys, before, strict=True):
            if item is None:
                client.delete_item(TableName=table, Key=key)
            else:
                client.put_item(TableName=table, Item=item)


def records() -> dict[str, Record]:
    """Rollback's id → a record in which every text is one of the planted."""
    return {
        f"01ARZ3NDEKTSV4RRFFQ69G5F{number:02}": Record(
            rollback_id=f"01ARZ3NDEKTSV4RRFFQ69G5F{number:02}",
            kind="aliases",
            environment="dev",
            from_version=text[:200],
            to_version=text[:200],
            services=(text[:200],),
            without=(text[:200],),
            reason=text,
            initiated_by=Actor(role=text[:200], person=text[:200]),
            initiated_at=_AT,
            status=Status.AWAITING_APPROVAL,
            digest=text[:64],
            counts={"planned": 1},
            rto_seconds=300,
        )
        for number, text in enumerate(PLANTED.values())
    }


def drill(text: str) -> Drill:
    """A drill that failed, in which every text is planted."""
    return Drill(
        drill_id=BROKEN,
        environment="dev",
        scenario="code",
        fault=text,
        by=Actor(role=text[:200], person=text[:200]),
        began_at=_AT,
        rto_seconds=300,
        stood=text,
        seq=1,
        status="FAILED",
        why=text,
    )


def events(record: Record) -> list[Event]:
    """A journal for it: what its events say is planted, too, or of no shape at all."""
    events_data: list[Mapping[str, Any]] = [
        {"reason": record.reason, record.reason[:50]: record.reason},
        {"functions": [record.reason, None, 5]},
        {"functions": 5, "failures": 5, "digest": 5, "x": "\ud800"},
    ]
    kinds = ("planned", "moved", "failed", "found", record.reason[:50])
    return [
        Event(
            number=number,
            kind=kind,
            at=_AT,
            by=record.initiated_by,
            data=data,
            previous="",
            hash="0" * 64,
        )
        for number, (kind, data) in enumerate(
            ((kind, data) for kind in kinds for data in events_data), start=1
        )
    ]


def shown(record: Record) -> list[Raw]:
    """The items of a record and its journal."""
    return [
        raw(record_item(record)),
        *(
            raw(event_item(record.rollback_id, one) | {"data": json.dumps(one.data)})
            for one in events(record)
        ),
    ]


def deep() -> Raw:
    """As many levels as DynamoDB takes (32), and one to spare."""
    found: Raw = {"S": "bottom"}
    for _ in range(30):
        found = {"M": {"x": found}}
    return found


# What a value is replaced by.
DAMAGE: dict[str, Raw | None] = {
    "a missing": None,
    "a number for a": {"N": "1E125"},
    "bytes for a": {"B": b"\xff\x00"},
    "a depth for a": deep(),
}


def damaged(item: Raw, name: str, value: Raw | None) -> Raw:
    return {key: old for key, old in item.items() if key != name} | ({name: value} if value else {})


def found(platform: Platform) -> dict[str, Raw]:
    """One item of each kind: the newest entry, manifest and release that are there, and others made up."""
    items = platform.raw_items()

    def newest(partition: str, sort: str) -> Raw:
        return max(
            (i for i in items if i["PK"]["S"].startswith(partition) and i["SK"]["S"].startswith(sort)),
            key=lambda i: (i["SK"]["S"], i["PK"]["S"]) if sort == "SEQ#" else i["PK"]["S"],
        )

    record = next(iter(records().values()))
    return {
        "timeline entry": newest("RELEASE#dev", "SEQ#"),
        "manifest": newest("DEPLOYMENT#", "FUNCTIONS#"),
        "release": newest("DEPLOYMENT#", "METADATA"),
        "record": raw(record_item(record)),
        "event": raw(event_item(record.rollback_id, events(record)[0])),
        "lease": raw(
            {
                "PK": "LOCK#dev",
                "SK": "aliases",
                "owner": BROKEN,
                "nonce": "n",
                "beat": 1,
                "fence": 99,
                "lease_seconds": 60,
                "beat_at": _AT,
                "holder": {"host": "h", "pid": 1, "person": "p", "role": "r"},
            }
        ),
        "drill": raw(drill_item(drill(PLANTED["clears"]))),
        "quarantine": raw(
            {
                "PK": "RELEASE#dev",
                "SK": "QUARANTINE#team_service#v1.1.0",
                "service": "team_service",
                "version": "v1.1.0",
                "reason": "x",
                "by": {"role": "r", "person": "p"},
                "at": _AT,
                "rollback_id": "",
            }
        ),
    }


# Kind of item → what of it is damaged, and the words that read it.
READ_BY: dict[str, tuple[str, tuple[str, ...]]] = {
    "timeline entry": ("stands", ("lambda", "--dry-run")),
    "manifest": ("functions", ("lambda", "--dry-run")),
    "release": ("recorded_by", ("history",)),
    "record": ("initiated_by", ("history",)),
    "event": ("data", ("show",)),
    "lease": ("owner", ("status",)),
    "quarantine": ("by", ("lambda", "--dry-run")),
    "drill": ("by", ("drill", "--report")),
}
