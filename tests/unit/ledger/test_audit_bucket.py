"""What is kept outside the ledger: created only, told by its first version, read when asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from rollback.ledger.audit_bucket import (
    RELEASES,
    TIMELINE,
    Archive,
    Differs,
    NotDeclared,
    entry_key,
    release_key,
)
from rollback.model.identity import Actor
from rollback.model.record import SCHEMA, Approval, DeployedVersion
from rollback.model.release import Entry, Release, entry_hash
from rollback.util.canonical import canonical
from rollback.util.errors import Code
from tests.coded import coded
from tests.doubles.bucket import Bucket, refused

DAN = Actor(role="deployer", person="dan")


def archive(bucket: Bucket) -> Archive:
    return Archive(lambda: cast("Any", bucket), "acme-dev-audit-trail-111122223333", "111122223333")


def entry(seq: int, **changed: Any) -> Entry:
    fields: dict[str, Any] = {
        "seq": seq,
        "kind": "deployment",
        "id": f"D{seq}",
        "version": f"v{seq}",
        "at": "2026-11-24T12:00:00.000Z",
        "by": DAN,
        "services": ("teams",),
        "stands": {"teams": f"v{seq}"},
        "covers": "a" * 64,
    }
    return Entry(**{**fields, **changed})


def release(identifier: str) -> Release:
    deployed = DeployedVersion(version="3", code_sha256="x" * 44, revision_id="r", weights={"2": 0.1})
    return Release(
        deployment_id=identifier,
        version=f"v{identifier}",
        environment="dev",
        commit="a" * 40,
        stack_commit=None,
        terraform_commit=None,
        recorded_by=DAN,
        recorded_at="2026-11-24T12:00:00.000Z",
        services=("teams",),
        manifest_hash="b" * 64,
        functions=1,
        manifest={"teams-get": deployed},
    )


def test_what_is_kept_comes_back_in_order() -> None:
    bucket = Bucket(page=2)
    for seq in (10, 2, 1, 11, 3):
        assert archive(bucket).keep_entry(entry(seq))

    assert list(archive(bucket).entries()) == [entry(seq) for seq in (1, 2, 3, 10, 11)]
    assert list(archive(bucket).entries(after=3)) == [entry(10), entry(11)]


def test_keeping_the_same_twice_writes_once_and_reads_nothing_but_the_listing() -> None:
    bucket = Bucket()
    archive(bucket).keep_entry(entry(1))

    assert not archive(bucket).keep_entry(entry(1))

    assert len(bucket.versions[entry_key(entry(1))]) == 1
    assert bucket.asked == ["PutObject", "PutObject", "ListObjectVersions"]


def test_another_entry_under_a_number_that_is_kept_is_an_error_and_changes_nothing() -> None:
    bucket = Bucket()
    archive(bucket).keep_entry(entry(1))

    with pytest.raises(Differs, match="SEQ-0000000001", check=coded(Code.AUDIT_BROKEN)):
        archive(bucket).keep_entry(entry(1, version="other"))

    assert list(archive(bucket).entries()) == [entry(1)]


def test_the_first_version_counts_whatever_was_put_over_it_or_hides_it() -> None:
    bucket = Bucket(page=1)
    archive(bucket).keep_entry(entry(1))
    archive(bucket).keep_entry(entry(2))
    bucket.put(entry_key(entry(1)), b"forged")
    bucket.put(entry_key(entry(1)), None)
    bucket.put(entry_key(entry(2)), None)

    assert list(archive(bucket).entries()) == [entry(1), entry(2)]
    assert [kept.later for kept in archive(bucket).kept(TIMELINE)] == [2, 1]
    assert archive(bucket).keep_entry(entry(2)), "nothing seems to be there"
    assert [kept.later for kept in archive(bucket).kept(TIMELINE)] == [2, 2], "but it is told"


def test_a_bucket_whose_etags_are_no_md5_is_read() -> None:
    class Encrypted(Bucket):
        def list_object_versions(self, **arguments: Any) -> Any:
            page = super().list_object_versions(**arguments)
            for one in page["Versions"]:
                one["ETag"] = '"of a key of KMS"'
            return page

    bucket = Encrypted()
    archive(bucket).keep_entry(entry(1))

    assert not archive(bucket).keep_entry(entry(1))
    with pytest.raises(Differs, check=coded(Code.AUDIT_BROKEN)):
        archive(bucket).keep_entry(entry(1, version="other"))


def test_releases_come_newest_first_with_their_manifest_each_read_when_asked_for() -> None:
    bucket = Bucket()
    for identifier in ("01A", "01C", "01B"):
        archive(bucket).keep_release(release(identifier))
    bucket.asked.clear()

    newest = next(archive(bucket).releases())

    assert newest == release("01C")
    assert bucket.asked == ["ListObjectVersions", "GetObject"]
    assert [kept.key for kept in archive(bucket).kept(RELEASES)] == [
        release_key(name) for name in ("01A", "01B", "01C")
    ]


def test_an_approval_is_kept_under_its_approver() -> None:
    bucket = Bucket()
    given = Approval(rollback_id="R1", digest="d", by=DAN, at="2026-11-24T12:00:00.000Z", expires_at="later")

    archive(bucket).keep_approval(given)

    assert list(bucket.versions) == ["approvals/R1/deployer/dan/2026-11-24T12:00:00.000Z.json"]
    with pytest.raises(Differs, check=coded(Code.AUDIT_BROKEN)):
        archive(bucket).keep_approval(replace(given, digest="other"))


def test_a_bucket_that_was_not_declared_is_reported() -> None:
    with pytest.raises(
        NotDeclared, match="acme-dev-audit-trail-111122223333", check=coded(Code.ARCHIVE_UNAVAILABLE)
    ):
        archive(Bucket(exists=False)).keep_entry(entry(1))
    with pytest.raises(NotDeclared, check=coded(Code.ARCHIVE_UNAVAILABLE)):
        list(archive(Bucket(exists=False)).entries())


def test_two_writers_at_once_are_reported_by_s3_to_try_again_and_do() -> None:
    class Busy(Bucket):
        def put_object(self, **arguments: Any) -> Any:
            if len(self.asked) < 2:
                self.asked.append("PutObject")
                raise refused("ConditionalRequestConflict", 409, "PutObject")
            return super().put_object(**arguments)

    bucket = Busy()

    assert archive(bucket).keep_entry(entry(1))
    assert list(archive(bucket).entries()) == [entry(1)]


def chained(count: int, before: Entry | None = None) -> list[Entry]:
    """Entries as this command writes them, each over the one before it."""
    made: list[Entry] = []
    for _ in range(count):
        last = made[-1] if made else before
        bare = entry(last.seq + 1 if last else 1, schema=SCHEMA, previous=last.hash if last else "")
        made.append(replace(bare, hash=entry_hash(bare)))
    return made


def old(one: Entry) -> str:
    """The key under which earlier versions of this command kept an entry."""
    return entry_key(replace(one, hash=""))


@pytest.mark.finding("S6")
@pytest.mark.finding("G3")
@pytest.mark.parametrize("key", ["SEQ-zzz.json", "SEQ-0000099999.json", ".json", "", "SEQ-00000000030.json"])
@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_entry_is_stepped_over_and_named_where_its_key_is_one(key: str, body: bytes) -> None:
    bucket = Bucket()
    three = chained(3)
    archive(bucket).offer_entries(three)
    bucket.put(f"{TIMELINE}{key}", body)

    reading = archive(bucket)

    assert list(reading.entries()) == three
    assert list(reading.beyond(three[-1])) == []
    assert len(reading.notices) == (key == "SEQ-0000099999.json")


@pytest.mark.finding("S20")
def test_an_object_under_the_next_number_keeps_the_true_entry_out_no_more() -> None:
    four = chained(4)
    alien = replace(four[3], previous="f" * 64, hash="")
    alien = replace(alien, hash=entry_hash(alien))
    for key, body in ((old(four[3]), b"{}"), (entry_key(alien), canonical(alien).encode())):
        bucket = Bucket()
        archive(bucket).offer_entries(four[:3])
        bucket.put(key, body)

        assert list(archive(bucket).beyond(four[2])) == []
        assert archive(bucket).offer_entries(four) == [four[3]]
        assert list(archive(bucket).entries()) == four


@pytest.mark.finding("S6")
def test_a_later_head_is_believed_where_its_hash_chains() -> None:
    bucket = Bucket()
    five = chained(5)
    archive(bucket).offer_entries(five)
    far = replace(five[0], seq=900, previous=five[2].hash, hash="")
    far = replace(far, hash=entry_hash(far))
    archive(bucket).keep_entry(far)
    archive(bucket).keep_entry(entry(901))  # of the first schema: nothing covers it

    assert list(archive(bucket).beyond(five[2])) == five[3:]
    assert list(archive(bucket).beyond(None)) == five
    assert list(archive(bucket).beyond(five[4])) == []


def test_a_head_is_believed_too_that_went_another_way_from_where_the_ledger_was_cut_off() -> None:
    bucket = Bucket()
    three = chained(3)
    archive(bucket).offer_entries(three)
    bare = replace(three[1], version="other", hash="")
    here = replace(bare, hash=entry_hash(bare))

    assert list(archive(bucket).beyond(here)) == three[2:]


def test_entries_under_the_keys_of_earlier_versions_are_read_and_go_on_under_those_of_this_one() -> None:
    bucket = Bucket()
    five = chained(5)
    for one in five[:3]:
        bucket.put(old(one), canonical(one).encode())
    archive(bucket).offer_entries(five[2:])

    reading = archive(bucket)

    assert list(reading.entries()) == five
    assert list(reading.beyond(five[1])) == five[2:]
    assert reading.notices == []
    for one in five:
        reading.only(one)


@pytest.mark.finding("S6")
@pytest.mark.parametrize("body", [b"{}", b"\xff", b""])
def test_a_release_that_is_none_is_stepped_over_and_named(body: bytes) -> None:
    bucket = Bucket()
    archive(bucket).keep_release(release("01A"))
    bucket.put(f"{RELEASES}zzz.json", body)
    bucket.put(f"{RELEASES}zzzz.json", canonical(release("01A")).encode())
    bucket.put(RELEASES, b"")

    reading = archive(bucket)

    assert list(reading.releases()) == [release("01A")]
    assert len(reading.notices) == 2


def test_an_object_that_is_larger_than_anything_that_is_kept_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rollback.ledger.audit_bucket._MAX_BYTES", 100)
    bucket = Bucket()
    bucket.put(f"{RELEASES}zzz.json", b" " * 101)

    reading = archive(bucket)

    assert list(reading.releases()) == []
    assert "not a text of at most 100 bytes" in reading.notices[0]
