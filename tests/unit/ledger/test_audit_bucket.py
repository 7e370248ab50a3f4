"""What is kept outside the ledger: created only, told by its first version, read when asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from rollback.core.errors import Code, RollbackError
from rollback.ledger.audit_bucket import (
    RELEASES,
    TIMELINE,
    Archive,
    Differs,
    NotDeclared,
    entry_key,
    release_key,
)
from rollback.model.identity import Who
from rollback.model.record import Approval, Standing
from rollback.model.release import Entry, Release
from tests.coded import coded
from tests.doubles.bucket import Bucket, refused

DAN = Who(role="deployer", person="dan")


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
    standing = Standing(version="3", code_sha256="x" * 44, revision_id="r", weights={"2": 0.1})
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
        manifest={"teams-get": standing},
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

    assert len(bucket.versions[entry_key(1)]) == 1
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
    bucket.put(entry_key(1), b"forged")
    bucket.put(entry_key(1), None)
    bucket.put(entry_key(2), None)

    assert list(archive(bucket).entries()) == [entry(1), entry(2)]
    assert [kept.later for kept in archive(bucket).kept(TIMELINE)] == [2, 1]
    assert archive(bucket).keep_entry(entry(2)), "nothing seems to be there"
    assert [kept.later for kept in archive(bucket).kept(TIMELINE)] == [2, 2], "but it is told"


def test_a_bucket_whose_etags_are_no_md5_is_read() -> None:
    class Encrypted(Bucket):
        def list_object_versions(self, **words: Any) -> Any:
            page = super().list_object_versions(**words)
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


def test_an_approval_is_kept_under_whose_word_it_is() -> None:
    bucket = Bucket()
    given = Approval(rollback_id="R1", digest="d", by=DAN, at="2026-11-24T12:00:00.000Z", expires_at="later")

    archive(bucket).keep_approval(given)

    assert list(bucket.versions) == ["approvals/R1/deployer/dan/2026-11-24T12:00:00.000Z.json"]
    with pytest.raises(Differs, check=coded(Code.AUDIT_BROKEN)):
        archive(bucket).keep_approval(replace(given, digest="other"))


def test_a_bucket_that_was_not_declared_is_said() -> None:
    with pytest.raises(
        NotDeclared, match="acme-dev-audit-trail-111122223333", check=coded(Code.ARCHIVE_UNAVAILABLE)
    ):
        archive(Bucket(exists=False)).keep_entry(entry(1))
    with pytest.raises(NotDeclared, check=coded(Code.ARCHIVE_UNAVAILABLE)):
        list(archive(Bucket(exists=False)).entries())


def test_two_writers_at_once_are_told_by_s3_to_try_again_and_do() -> None:
    class Busy(Bucket):
        def put_object(self, **words: Any) -> Any:
            if len(self.asked) < 2:
                self.asked.append("PutObject")
                raise refused("ConditionalRequestConflict", 409, "PutObject")
            return super().put_object(**words)

    bucket = Busy()

    assert archive(bucket).keep_entry(entry(1))
    assert list(archive(bucket).entries()) == [entry(1)]


def test_what_is_no_entry_is_named() -> None:
    bucket = Bucket()
    bucket.put(entry_key(1), b"{}")

    with pytest.raises(RollbackError, match="SEQ-0000000001", check=coded(Code.ARCHIVE_DAMAGED)):
        list(archive(bucket).entries())
