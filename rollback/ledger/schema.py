"""How records, events, plans, releases, entries and approvals are stored as DynamoDB items, and read back.
Pure.

| PK | SK | what |
|---|---|---|
| `DEPLOYMENT#<id>` | `METADATA`, `FUNCTIONS#0001`… | a release and its manifest |
| `ROLLBACK#<id>` | `METADATA`, `PLAN#0001`…, `EVENT#000001`… | a record, its plan, its journal |
| `APPROVAL#<rollback id>` | `<role>/<person>#<time>` | a digest, with its expiry |
| `RELEASE#<env>` | `SEQ#0000000001`…, `QUARANTINE#<service>#<version>` | the timeline; quarantined releases |
| `RELEASE#<env>` | `QUARANTINE#@environment#*` | a freeze, stored as the quarantine of everything |
| `RELEASE#<env>` | `SEQ#SCHEMA` | its schema, and the client version it needs (`check_client`); absent: schema 2 |

An item has exactly its model's attributes: others were not written by this command. An `Item` maps
attribute names to plain Python values (`store.Item`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from rollback.ledger.store import Item
from rollback.model.plan import reader
from rollback.model.record import SCHEMA, Approval, DeployedVersion, Event, Record, record_fields
from rollback.model.release import Entry, Freeze, Quarantine, Release, as_item
from rollback.util.canonical import canonical
from rollback.util.errors import Code, Refused, RollbackError
from rollback.util.sanitize import line
from rollback.util.version import UPGRADE, __version__

T = TypeVar("T")
Bar = Quarantine | Freeze
METADATA, QUARANTINE = "METADATA", "QUARANTINE#"
# A freeze is stored as the quarantine of everything: service names have no @, and no release is named *.
_EVERYTHING = ("@environment", "*")
FROZEN = "#".join(_EVERYTHING)
# Sorts after every entry of the timeline, so that the first query of each verb, for the newest entry, returns it.
REQUIREMENT = "SEQ#SCHEMA"
# Functions per item: below DynamoDB's 400 KB.
_MANIFEST_CHUNK = 1000


def record_item(record: Record) -> Item:
    """A record's METADATA item: PK, SK, GSI1PK, GSI1SK, and the fields of `Record`."""
    return {
        "PK": f"ROLLBACK#{record.rollback_id}",
        "SK": METADATA,
        **_index(record.environment, record.initiated_at, record.rollback_id),
        **record_fields(record),
    }


def event_item(rollback_id: str, event: Event) -> Item:
    """One event of a record's journal: PK, SK, and the fields of `Event`, `data` as canonical JSON text."""
    return {
        "PK": f"ROLLBACK#{rollback_id}",
        "SK": f"EVENT#{event.number:06d}",
        **as_item(event),
        "data": canonical(event.data),
    }


def plan_items(rollback_id: str, chunks: Sequence[str]) -> list[Item]:
    """A record's plan: `{"PK", "SK", "plan": <JSON text>}` each; the first item also has their number,
    `chunks`.
    """
    items: list[Item] = [
        {"PK": f"ROLLBACK#{rollback_id}", "SK": f"PLAN#{number:04d}", "plan": text}
        for number, text in enumerate(chunks, start=1)
    ]
    items[0]["chunks"] = len(chunks)
    return items


def manifest_items(release: Release) -> list[Item]:
    """A release's manifest, in chunks: `{"PK", "SK", "functions": <canonical JSON of {function: Standing}>}`
    each.
    """
    functions = sorted(release.manifest.items())
    return [
        {
            "PK": f"DEPLOYMENT#{release.deployment_id}",
            "SK": f"FUNCTIONS#{number:04d}",
            "functions": canonical(dict(functions[start : start + _MANIFEST_CHUNK])),
        }
        for number, start in enumerate(range(0, len(functions), _MANIFEST_CHUNK), start=1)
    ]


def manifest_in(item: Item) -> dict[str, DeployedVersion]:
    """Function → `DeployedVersion`, from an item of `manifest_items`. Raises `RollbackError` if malformed."""
    try:
        return reader(dict[str, DeployedVersion]).validate_json(item["functions"])  # type: ignore[no-any-return] # as `model`
    except (ValidationError, KeyError) as error:
        raise malformed(str(item.get("PK")), str(item.get("SK")), error) from error


def release_item(release: Release) -> Item:
    """A release's METADATA item: PK, SK, GSI1PK, GSI1SK, and the fields of `Release` without its manifest."""
    return {
        "PK": f"DEPLOYMENT#{release.deployment_id}",
        "SK": METADATA,
        **_index(release.environment, release.recorded_at, release.deployment_id),
        **{name: value for name, value in as_item(release).items() if name != "manifest"},
    }


def entry_item(environment: str, entry: Entry) -> Item:
    """One entry of the timeline: PK, SK, and the fields of `Entry`."""
    return {"PK": f"RELEASE#{environment}", "SK": f"SEQ#{entry.seq:010d}", **as_item(entry)}


def quarantine_item(environment: str, quarantine: Bar) -> Item:
    """A quarantine or a freeze that was not lifted: PK, SK, and the fields of `Quarantine`."""
    stored = quarantine
    if isinstance(quarantine, Freeze):
        service, version = _EVERYTHING
        stored = Quarantine(
            service=service, version=version, reason=quarantine.reason, by=quarantine.by, at=quarantine.at
        )
    return {"PK": f"RELEASE#{environment}", "SK": f"{QUARANTINE}{bar_name(quarantine)}", **as_item(stored)}


def bar_name(quarantine: Bar) -> str:
    """The name of a quarantine or a freeze in items and timeline entries."""
    return FROZEN if isinstance(quarantine, Freeze) else f"{quarantine.service}#{quarantine.version}"


def bar_in(item: Item) -> Bar:
    """The quarantine or freeze in an item of `quarantine_item`, lifted or not. Raises as `model` does."""
    stored = model(Quarantine, item)
    if item["SK"] != f"{QUARANTINE}{bar_name(stored)}":
        raise malformed(
            str(item["PK"]), str(item["SK"]), ValueError(f"its content is that of {bar_name(stored)}")
        )
    if (stored.service, stored.version) == _EVERYTHING:
        return Freeze(reason=stored.reason, by=stored.by, at=stored.at)
    return stored


def approval_item(approval: Approval) -> Item:
    """DynamoDB item for an approval: PK, SK, and the fields of `Approval`."""
    return {
        "PK": f"APPROVAL#{approval.rollback_id}",
        "SK": f"{approval.by.role}/{approval.by.person}#{approval.at}",
        **as_item(approval),
    }


class Newer(Refused):
    """Something was written by a newer version of this command, and this one could misread it."""

    code_default = Code.CLIENT_OUTDATED


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """What a ledger requires of clients: to know its `schema`, and to have at least version `client`, or any
    if that is empty. It protects from outdated checkouts, not from forgery: it is not part of a chain.
    """

    schema: int
    client: str = ""


def check_schema(what: str, schema: object, known: int = SCHEMA) -> None:
    """Raises `Newer` where the `schema` of `what` is later than `known`."""
    if isinstance(schema, int) and schema > known:
        raise Newer(
            f"{what} was written by a newer version of this command (schema {schema}; this version knows up to {known}).",
            next=UPGRADE,
        )


def check_client(item: Item, version: str = __version__) -> None:
    """Raises `Newer` where the ledger requires a newer client than this `version`, and `RollbackError`
    where `item` (`{"PK", "SK", "schema": int, "client": "1.2.0"}`) is malformed.
    """
    required = model(Requirement, item)
    try:
        older = _numbers(version) < _numbers(required.client)
    except ValueError as error:
        raise malformed(str(item.get("PK")), str(item.get("SK")), error) from error
    if older:
        raise Newer(
            f"The ledger requires version {required.client} or later of this command; this is version {version}.",
            next=UPGRADE,
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")) if version else ()


def model(kind: type[T], item: Item) -> T:
    """Parses `item` into a dataclass. Raises `RollbackError` with the item's key and the error, `Newer` where its
    schema is too new.
    """
    adapter = reader(kind)  # type: ignore[arg-type] # every class is hashable
    check_schema(str(item.get("PK")), item.get("schema"))
    fields = dict(item)
    try:
        if kind is Event:
            fields["data"] = json.loads(fields["data"])
        return adapter.validate_python(fields)  # type: ignore[no-any-return] # the adapter's type is `kind`
    except (ValidationError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise malformed(str(item.get("PK")), str(item.get("SK")), error) from error


def malformed(pk: str, sk: str, error: Exception) -> RollbackError:
    """The error for an item that this command did not write."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        detail = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    else:
        detail = f"{type(error).__name__}: {error}"
    return RollbackError(
        line(f"The ledger's item {pk} / {sk} is malformed: {detail}"),
        code=Code.LEDGER_DAMAGED,
        next="Correct or delete that item, which was not written by this command, then run the same command again.",
    )


def _index(environment: str, at: str, identifier: str) -> Item:
    return {"GSI1PK": f"ENV#{environment}", "GSI1SK": f"{at}#{identifier}"}
