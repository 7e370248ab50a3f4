"""Whatever is changed, removed, exchanged or added in a ledger of 20 records is named; every such thing is tried.

An entry of the timeline is checked by itself against the one before it, and a partition against what the timeline
claims of it. So after an edit or an exchange what it touches is checked again, and not all of the ledger.
Deletions and additions, which lead to what nothing else leads to, go through the whole audit.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError

from rollback.ledger.audit_bucket import Archive, number
from rollback.ledger.finding import Finding
from rollback.ledger.integrity import record_partition
from rollback.ledger.repository import Ledger
from rollback.ledger.schema import event_item, model, record_item
from rollback.ledger.store import Item, LedgerTable
from rollback.ledger.timeline_integrity import Chain, quarantine_findings
from rollback.model.record import Event, Record, event_hash, record_hash
from rollback.queries.audit import Audited, Walk, audit
from rollback.util.canonical import plain
from tests.doubles.bucket import Bucket
from tests.doubles.trail import Key, Shelf, items_of, past
from tests.doubles.world import Quiet, World, create_table, settings
from tests.simulation.aws.dynamodb_model import DynamoDB

TIMELINE = "RELEASE#dev"


class OneByOne:
    """The model takes one caller at a time; a rollback asks from several threads."""

    def __init__(self, model: DynamoDB) -> None:
        self._model, self._lock = model, threading.Lock()

    def __getattr__(self, name: str) -> Any:
        def one(*arguments: Any, **request: Any) -> Any:
            with self._lock:
                return getattr(self._model, name)(*arguments, **request)

        return one


@dataclass(frozen=True, kw_only=True)
class Trail:
    """A ledger with its archive, and what a whole walk has read of them."""

    items: tuple[Item, ...]
    bucket: Bucket
    chain: Chain
    releases: dict[str, Any]
    approvals: dict[str, Any]

    def ledger(self, shelf: Shelf, *, archived: bool = True) -> Ledger:
        archive = Archive(lambda: self.bucket, "trail", "111122223333") if archived else None
        return Ledger(cast("LedgerTable", shelf), "dev", archive)

    def shelf(self) -> Shelf:
        return Shelf(self.items)

    def audited(self, shelf: Shelf, *, archived: bool = True) -> Audited:
        return audit(self.ledger(shelf, archived=archived), one_by_one, Quiet())

    def before(self, sk: str) -> Chain:
        """The timeline as it is read up to an entry."""
        (before,) = [
            item for item in self.items if item["PK"] == TIMELINE and item["SK"] == _earlier(sk)
        ] or [{}]
        return Chain(environment="dev", seq=before.get("seq", 0), head=before.get("hash", ""))

    def found(self, shelf: Shelf, touched: Iterable[Key]) -> Finding | None:
        """The first finding in what was touched."""
        keys = list(touched)
        for pk, sk in keys:
            if pk == TIMELINE and sk.startswith("SEQ#"):
                seen = self.before(sk).add(shelf.items[pk, sk])
                return next((one for one in seen if isinstance(one, Finding)), None)
        walk = Walk(self.ledger(shelf), one_by_one, Quiet())
        identifiers = {pk.partition("#")[2] for pk, _ in keys if pk != TIMELINE}
        walk.chain = replace(self.chain, claims={one: self.chain.claims[one] for one in sorted(identifiers)})
        walk._releases = {k: v for k, v in self.releases.items() if any(one in k for one in identifiers)}
        walk._approvals = {k: v for k, v in self.approvals.items() if any(one in k for one in identifiers)}
        found = chain(walk.partitions(), walk.leftovers())
        if len(identifiers) < len({pk for pk, _ in keys}):
            found = chain(found, quarantine_findings(self.chain, list(shelf.query(TIMELINE, "QUARANTINE#"))))
        return next(found, None)


def _earlier(sk: str) -> str:
    return f"SEQ#{int(sk[4:]) - 1:010d}"


def one_by_one(function: Any, items: Iterable[Any]) -> list[Any]:
    return [function(item) for item in items]


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Trail:
    model = OneByOne(DynamoDB())
    create_table(model)
    world = World(dynamodb=model, root=tmp_path_factory.mktemp("trail"), settings=settings())
    past(world)
    return read(items_of(world), world.bucket)


def read(items: list[Item], bucket: Bucket) -> Trail:
    bare = Trail(items=tuple(items), bucket=bucket, chain=Chain(environment="dev"), releases={}, approvals={})
    walk = Walk(bare.ledger(bare.shelf()), one_by_one, Quiet())
    assert list(walk.findings()) == []
    archive = walk.ledger.archive
    assert archive is not None
    return replace(
        bare,
        chain=walk.chain,
        releases={kept.key: kept for kept in archive.kept("releases/")},
        approvals={kept.key: kept for kept in archive.kept("approvals/")},
    )


def other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, list):
        return [*value, "x"]
    return {**value, "x": "x"} if isinstance(value, dict) else "x"


def inside(value: Any) -> Iterator[Any]:
    """`value` with one thing changed somewhere within, once for each thing."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, held in pairs:
        for changed in (other(held), *inside(held)):
            yield (
                {**value, key: changed}
                if isinstance(value, dict)
                else [changed if place == key else one for place, one in enumerate(value)]
            )


def as_other_type(value: Any) -> Any:
    """What DynamoDB tells apart and Python takes for the same."""
    if isinstance(value, (bool, int)):
        return (
            int(value) if isinstance(value, bool) else bool(value) if value in (0, 1) else float(value) + 0.5
        )
    return set(value) if isinstance(value, list) and all(isinstance(one, str) for one in value) else [value]


def test_a_ledger_that_nobody_touched_is_whole(trail: Trail) -> None:
    seen = trail.audited(trail.shelf())

    assert seen.findings == ()
    assert (seen.releases, seen.records, seen.unfinished) == (7, 13, 2), "20 records"
    assert (seen.bars, seen.approvals) == (12, 4)
    assert (seen.unkept, seen.declared, seen.unread) == ((), True, "")


def test_every_edit_of_an_attribute_is_named_where_it_was_made(trail: Trail) -> None:
    shelf, unseen, tried = trail.shelf(), [], 0
    for item in trail.items:
        key = (item["PK"], item["SK"])
        for name, value in item.items():
            if name in ("PK", "SK"):
                continue
            edits = [
                {**item, name: changed} for changed in (other(value), as_other_type(value), *inside(value))
            ]
            if value is not None:
                edits.append({**item, name: None})
            # Where it is not, as in what earlier versions wrote, the entry that it points to is looked for.
            if name != "lifted_seq":
                edits.append({k: v for k, v in item.items() if k != name})
            for edit in edits:
                shelf.put(edit)
                tried += 1
                if trail.found(shelf, [key]) is None:
                    unseen.append((key, name, value, edit.get(name)))
        shelf.put(item)

    assert unseen == []
    assert tried > 5000


def test_the_text_of_a_plan_a_manifest_or_an_event_is_covered_to_the_letter(trail: Trail) -> None:
    shelf, unseen = trail.shelf(), []
    for item in trail.items:
        texts = {"plan", "functions", "data"} & set(item) if item["SK"] != "METADATA" else ()
        for name in texts:
            for changed in (
                f" {item[name]}",
                json.dumps(json.loads(item[name])),
                item[name].replace(":", ": ", 1),
            ):
                if changed != item[name]:
                    shelf.put({**item, name: changed})
                    if trail.found(shelf, [(item["PK"], item["SK"])]) is None:
                        unseen.append((item["PK"], item["SK"], changed))
        shelf.put(item)

    assert unseen == []


def test_every_attribute_that_is_added_is_named(trail: Trail) -> None:
    shelf = trail.shelf()
    for item in trail.items:
        for name, value in (
            ("note", "x"),
            ("manifest", {}),
            ("GSI2PK", "x"),
            ("lifted_at", ""),
            ("schema", 1),
        ):
            if name not in item:
                shelf.put({**item, name: value})
                found = trail.found(shelf, [(item["PK"], item["SK"])])
                assert found is not None, (item["PK"], item["SK"], name)
        shelf.put(item)


def test_every_deletion_is_named(trail: Trail) -> None:
    for item in trail.items:
        shelf = trail.shelf()
        shelf.remove((item["PK"], item["SK"]))

        seen = trail.audited(shelf)

        assert seen.findings, (item["PK"], item["SK"])


def test_every_deletion_but_that_of_a_lone_approval_shows_in_the_ledger_alone_or_at_its_end(
    trail: Trail,
) -> None:
    """Without an archive, whoever cuts off the end leaves no gap: the newest entry goes with its record."""
    unseen = []
    for item in trail.items:
        shelf = trail.shelf()
        shelf.remove((item["PK"], item["SK"]))
        if not trail.audited(shelf, archived=False).findings:
            unseen.append(item["PK"].partition("#")[0])

    assert set(unseen) <= {"APPROVAL"}


def test_every_exchange_of_two_items_contents_is_named(trail: Trail) -> None:
    shelf, unseen, tried = trail.shelf(), [], 0
    for one, two in combinations(trail.items, 2):
        first, second = keyed(one, two), keyed(two, one)
        if (first, second) == (one, two):
            continue  # two that say the same
        shelf.put(first)
        shelf.put(second)
        tried += 1
        if trail.found(shelf, [(one["PK"], one["SK"]), (two["PK"], two["SK"])]) is None:
            unseen.append((one, two))
        shelf.put(one)
        shelf.put(two)

    assert unseen == []
    assert tried > 10_000


def keyed(key: Item, content: Item) -> Item:
    return {**content, "PK": key["PK"], "SK": key["SK"]}


@pytest.mark.slow
@pytest.mark.parametrize("tried", [1, pytest.param(3, marks=pytest.mark.soak)])
def test_a_copy_of_an_item_under_any_key_that_is_read_is_named(trail: Trail, tried: int) -> None:
    """Each under one of three keys in turn, or under all."""
    for place, item in enumerate(trail.items):
        for sk in (f"{item['SK']}x", "SEQ#0000009999", "EVENT#000099")[place % 3 if tried == 1 else 0 :][
            :tried
        ]:
            shelf = trail.shelf()
            if (item["PK"], sk) in shelf.items or item["PK"].startswith("APPROVAL#"):
                continue
            shelf.put({**item, "SK": sk})
            assert trail.audited(shelf).findings, (item["PK"], sk)


def test_a_record_with_a_chain_of_its_own_is_named_whatever_it_shows_of_itself(trail: Trail) -> None:
    identifiers = {item["PK"] for item in trail.items if item["PK"].startswith(("ROLLBACK#", "DEPLOYMENT#"))}
    for pk in identifiers:
        shelf = trail.shelf()
        ours = [item for item in trail.items if item["PK"] == pk]
        for item in ours:
            text = json.dumps(item).replace(pk.partition("#")[2], "01M8ZZZZZZZZZZZZZZZZZZZZZZ")
            shelf.put(json.loads(text))

        (finding, *_) = trail.audited(shelf).findings

        assert finding.pk.endswith("#01M8ZZZZZZZZZZZZZZZZZZZZZZ")
        assert finding.what == "the timeline has no entry for it"


def forged(trail: Trail, rollback_id: str, number: int, *, cut: bool) -> list[Item]:
    """A record whose event `number` was changed, or the journal cut off behind it, and its own chain computed anew."""
    ours = [item for item in trail.items if item["PK"] == f"ROLLBACK#{rollback_id}"]
    record = next(model(Record, item) for item in ours if item["SK"] == "METADATA")
    events = [model(Event, item) for item in ours if item["SK"].startswith("EVENT#")][
        : number if cut else None
    ]
    previous = events[0].previous
    for place, event in enumerate(events):
        changed = replace(event, at="2020-01-01T00:00:00.000Z") if place == number - 1 and not cut else event
        covers = record_hash(record) if place == len(events) - 1 else event.record
        bare = replace(changed, previous=previous, record=covers)
        events[place] = replace(bare, hash=event_hash(rollback_id, bare))
        previous = events[place].hash
    after = replace(record, events=len(events), head=previous)
    kept = [item for item in ours if not item["SK"].startswith("EVENT#") and item["SK"] != "METADATA"]
    made = [record_item(after), *(event_item(rollback_id, event) for event in events)]
    return [*kept, *(cast("Item", plain(item)) for item in made)]


@pytest.mark.parametrize("cut", [False, True], ids=["changed", "cut off"])
def test_a_record_whose_whole_chain_was_computed_anew_is_not_what_the_timeline_covers(
    trail: Trail, cut: bool
) -> None:
    tried = 0
    for identifier, claim in trail.chain.claims.items():
        if claim.kind == "record":
            count = sum(
                1
                for item in trail.items
                if (item["PK"], item["SK"][:6]) == (f"ROLLBACK#{identifier}", "EVENT#")
            )
            for number in range(1, count if cut else count + 1):
                part = record_partition(identifier, claim, forged(trail, identifier, number, cut=cut))
                assert part.findings, (identifier, number)
                tried += 1

    assert tried > 20


def test_an_approval_that_was_slipped_in_is_never_archived_and_that_is_reported(trail: Trail) -> None:
    shelf = trail.shelf()
    approval = next(item for item in trail.items if item["PK"].startswith("APPROVAL#"))
    at = "2026-11-24T23:00:00.000Z"
    shelf.put({**approval, "at": at, "SK": approval["SK"].partition("#")[0] + f"#{at}"})
    bucket = trail.bucket
    unwritable = replace(trail, bucket=cast("Bucket", ReadOnly(bucket)))

    seen = unwritable.audited(shelf)

    assert seen.findings == ()
    assert [key for key in seen.unkept if at in key] == list(seen.unkept)
    assert len(seen.unkept) == 1


class ReadOnly:
    """A bucket under a role that may not put there."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)

    def put_object(self, **_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://s3")


def test_the_newest_entry_with_everything_it_reports_cannot_go_unseen(trail: Trail) -> None:
    """Cutting the end off leaves a ledger that holds together: the archive knows better."""
    shelf = trail.shelf()
    newest = max(sk for pk, sk in shelf.items if pk == TIMELINE and sk.startswith("SEQ#"))
    identifier = shelf.items[TIMELINE, newest]["id"]
    for key in [key for key in shelf.items if key[0].endswith(f"#{identifier}")]:
        shelf.remove(key)
    shelf.remove((TIMELINE, newest))

    assert trail.audited(shelf, archived=False).findings == ()
    (finding, *_) = trail.audited(shelf).findings
    assert (finding.pk, number(finding.sk)) == ("trail", int(newest[4:]))
    assert finding.what == "it is no longer in the ledger: the newest entries are missing"


def test_a_version_that_was_put_over_a_head_or_hides_it_is_named_and_changes_nothing(trail: Trail) -> None:
    for body in (b"{}", None):
        bucket = Bucket(versions={key: list(kept) for key, kept in trail.bucket.versions.items()})
        (third,) = [key for key in bucket.versions if number(key) == 3]
        bucket.put(third, body)

        (finding,) = replace(trail, bucket=bucket).audited(trail.shelf()).findings

        assert (finding.sk, finding.what) == (third, "it was overwritten, or hidden by a delete marker")


def test_what_was_never_archived_is_put_there_and_reported(trail: Trail) -> None:
    bucket = Bucket(versions={key: list(kept) for key, kept in trail.bucket.versions.items()})
    newest = max(key for key in bucket.versions if key.startswith("timeline/"))
    release = min(key for key in bucket.versions if key.startswith("releases/"))
    for key in (newest, release):
        del bucket.versions[key]

    first = replace(trail, bucket=bucket).audited(trail.shelf())
    again = replace(trail, bucket=bucket).audited(trail.shelf())

    assert (first.put, first.unkept, first.findings) == (2, (), ())
    assert (again.put, again.unkept) == (0, ())
    assert bucket.versions[newest] == [("v1", trail.bucket.versions[newest][0][1])]


def test_nothing_is_put_into_the_archive_from_a_ledger_that_is_broken(trail: Trail) -> None:
    bucket = Bucket()
    shelf = trail.shelf()
    item = next(item for item in trail.items if item["SK"] == "EVENT#000001")
    shelf.put({**item, "at": "2020-01-01T00:00:00.000Z"})

    seen = replace(trail, bucket=bucket).audited(shelf)

    assert seen.findings
    assert (seen.put, bucket.versions) == (0, {})


def test_an_archive_that_is_not_there_or_does_not_answer_is_distinguished(trail: Trail) -> None:
    missing = replace(trail, bucket=Bucket(exists=False)).audited(trail.shelf())
    silent = replace(trail, bucket=Bucket(fail=EndpointConnectionError(endpoint_url="https://s3")))
    unread = silent.audited(trail.shelf())

    assert (missing.findings, missing.declared, missing.unkept) == ((), False, ())
    assert (unread.findings, unread.declared, unread.unkept) == ((), True, ())
    assert "Could not connect" in unread.unread


def test_what_is_older_than_the_cover_is_reported_as_and_not_called_changed(trail: Trail) -> None:
    shelf = trail.shelf()
    item = next(item for item in trail.items if item["SK"] == "METADATA" and item["PK"][0] == "R")
    shelf.put({**item, "schema": 1})

    (finding, *_) = trail.audited(shelf).findings

    assert (finding.pk, finding.sk) == (item["PK"], "METADATA")
    assert "it has schema 1, which hashes do not cover completely" in finding.what


def test_a_ledger_that_is_written_to_meanwhile_is_read_again(trail: Trail, tmp_path: Path) -> None:
    """Between the timeline and the index somebody has begun a rollback."""
    whole = trail.shelf()
    newest = max(sk for pk, sk in whole.items if pk == TIMELINE and sk.startswith("SEQ#"))

    class Later(Shelf):
        hidden = True

        def query(self, pk: str, prefix: str = "", **how: Any) -> Iterator[Item]:
            hide = self.hidden and pk == TIMELINE and not prefix
            found = list(super().query(pk, prefix, **how))
            yield from (item for item in found if not (hide and item["SK"] == newest))
            if hide:
                self.hidden = False

    seen = trail.audited(Later(trail.items))

    assert seen.findings == ()
    assert seen.records == 13
