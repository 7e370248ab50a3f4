"""S3 in memory, as far as a bucket goes in which things are kept: versioned, under boto3's names.

Sources: the API reference of PutObject, ListObjectVersions and DeleteObject and "How S3 Object Lock works",
https://docs.aws.amazon.com/AmazonS3/latest/. One caller at a time; nothing waits, no fault happens by itself.
"""

# ruff: noqa: N803 - boto3's names

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from tests.simulation.aws.answers import Answer, Pages, Unmodelled, answered, refused

_PAGE = 1000
# What is kept with an object as it was sent.
_HEADERS = {"ContentType", "ServerSideEncryption", "ObjectLockMode", "ObjectLockRetainUntilDate"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Version:
    """A version of an object; a delete marker where it has no body."""

    id: str
    body: bytes | None
    headers: Mapping[str, Any]

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body or b"", usedforsecurity=False).hexdigest()}"'


@dataclass(kw_only=True, slots=True)
class _Bucket:
    """Key → versions, the oldest first. `locked`: what is put stays, as long as a test lasts."""

    owner: str
    locked: bool
    keys: dict[str, list[_Version]] = field(default_factory=dict)


class S3:
    """Versioned buckets; `page` is how many a list's page holds at most."""

    def __init__(self, *, page: int = _PAGE) -> None:
        self._buckets: dict[str, _Bucket] = {}
        self._page = page
        self._ids = itertools.count(1)

    # -- what a test arranges and sees -----------------------------------------------------------------

    def make_bucket(self, name: str, *, owner: str = "111122223333", locked: bool = False) -> None:
        """A versioned bucket of that account."""
        self._buckets[name] = _Bucket(owner=owner, locked=locked)

    def snapshot(self, bucket: str) -> dict[str, list[bytes | None]]:
        """Key → what its versions hold, the oldest first; None for a delete marker."""
        found = self._buckets[bucket].keys
        return {key: [version.body for version in versions] for key, versions in sorted(found.items())}

    # -- boto3's names -----------------------------------------------------------------------------------

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: bytes,
        ExpectedBucketOwner: str | None = None,
        IfNoneMatch: str | None = None,
        **headers: Any,
    ) -> Answer:
        """A new version. `IfNoneMatch` refuses where the key has a current one that is no delete marker."""
        bucket = self._bucket("PutObject", Bucket, ExpectedBucketOwner)
        if IfNoneMatch not in (None, "*") or headers.keys() - _HEADERS:
            raise Unmodelled(f"PutObject with {IfNoneMatch} and {sorted(headers)}")
        versions = bucket.keys.setdefault(Key, [])
        if IfNoneMatch and versions and versions[-1].body is not None:
            raise refused(
                "PutObject",
                "PreconditionFailed",
                "At least one of the pre-conditions you specified did not hold",
                HTTPStatus.PRECONDITION_FAILED,
            )
        version = _Version(id=self._id(), body=bytes(Body), headers=headers)
        versions.append(version)
        return answered(ETag=version.etag, VersionId=version.id)

    def get_object(
        self, *, Bucket: str, Key: str, VersionId: str | None = None, ExpectedBucketOwner: str | None = None
    ) -> Answer:
        """The current version, or the one that is named."""
        bucket = self._bucket("GetObject", Bucket, ExpectedBucketOwner)
        versions = bucket.keys.get(Key, [])
        if VersionId is not None:
            versions = [version for version in versions if version.id == VersionId]
            if not versions:
                raise _missing("GetObject", "NoSuchVersion", "The specified version does not exist.")
            if versions[-1].body is None:
                raise refused(
                    "GetObject",
                    "MethodNotAllowed",
                    "The specified method is not allowed against this resource.",
                    HTTPStatus.METHOD_NOT_ALLOWED,
                )
        if not versions or versions[-1].body is None:
            raise _missing("GetObject", "NoSuchKey", "The specified key does not exist.")
        found = versions[-1]
        body = found.body or b""
        return answered(
            **found.headers,
            Body=StreamingBody(io.BytesIO(body), len(body)),
            ContentLength=len(body),
            ETag=found.etag,
            VersionId=found.id,
        )

    def delete_object(
        self, *, Bucket: str, Key: str, VersionId: str | None = None, ExpectedBucketOwner: str | None = None
    ) -> Answer:
        """A delete marker on top; or that version, unless it is locked."""
        bucket = self._bucket("DeleteObject", Bucket, ExpectedBucketOwner)
        versions = bucket.keys.setdefault(Key, [])
        if VersionId is None:
            marker = _Version(id=self._id(), body=None, headers={})
            versions.append(marker)
            return answered(DeleteMarker=True, VersionId=marker.id)
        if bucket.locked and any(one.id == VersionId and one.body is not None for one in versions):
            raise refused(
                "DeleteObject",
                "AccessDenied",
                "Access Denied because object protected by object lock.",
                HTTPStatus.FORBIDDEN,
            )
        bucket.keys[Key] = [version for version in versions if version.id != VersionId]
        return answered(VersionId=VersionId)

    def list_objects_v2(
        self,
        *,
        Bucket: str,
        Prefix: str = "",
        StartAfter: str = "",
        ContinuationToken: str = "",
        MaxKeys: int = _PAGE,
        ExpectedBucketOwner: str | None = None,
    ) -> Answer:
        """The keys that have a current version, in the order of their UTF-8."""
        bucket = self._bucket("ListObjectsV2", Bucket, ExpectedBucketOwner)
        after = ContinuationToken or StartAfter
        found = [
            {"Key": key, "ETag": versions[-1].etag, "Size": len(versions[-1].body)}
            for key, versions in sorted(bucket.keys.items())
            if key.startswith(Prefix) and key > after and versions and versions[-1].body is not None
        ]
        page = found[: min(MaxKeys, self._page)]
        answer = answered(KeyCount=len(page), IsTruncated=len(page) < len(found))
        if page:
            answer["Contents"] = page
        if answer["IsTruncated"]:
            answer["NextContinuationToken"] = page[-1]["Key"]
        return answer

    def list_object_versions(
        self,
        *,
        Bucket: str,
        Prefix: str = "",
        KeyMarker: str = "",
        VersionIdMarker: str | None = None,
        MaxKeys: int = _PAGE,
        ExpectedBucketOwner: str | None = None,
    ) -> Answer:
        """All versions and delete markers, by key, of each the newest first."""
        bucket = self._bucket("ListObjectVersions", Bucket, ExpectedBucketOwner)
        found = [
            (key, version, version is versions[-1])
            for key, versions in sorted(bucket.keys.items())
            if key.startswith(Prefix) and key >= KeyMarker
            for version in reversed(versions)
        ]
        if KeyMarker:
            ids = [version.id for key, version, _ in found if key == KeyMarker]
            seen = ids.index(VersionIdMarker) + 1 if VersionIdMarker in ids else len(ids)
            found = found[seen:]
        page = found[: min(MaxKeys, self._page)]
        listed: dict[str, list[dict[str, Any]]] = {}
        for key, version, latest in page:
            one: dict[str, Any] = {"Key": key, "VersionId": version.id, "IsLatest": latest}
            if version.body is not None:
                one |= {"ETag": version.etag, "Size": len(version.body)}
            listed.setdefault("DeleteMarkers" if version.body is None else "Versions", []).append(one)
        answer = answered(**listed, IsTruncated=len(page) < len(found))
        if answer["IsTruncated"]:
            answer |= {"NextKeyMarker": page[-1][0], "NextVersionIdMarker": page[-1][1].id}
        return answer

    def get_paginator(self, operation_name: str) -> Pages:
        listed: dict[str, tuple[Callable[..., Answer], dict[str, str]]] = {
            "list_objects_v2": (self.list_objects_v2, {"ContinuationToken": "NextContinuationToken"}),
            "list_object_versions": (
                self.list_object_versions,
                {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"},
            ),
        }
        if operation_name not in listed:
            raise Unmodelled(f"pages of {operation_name}")
        call, tokens = listed[operation_name]
        return Pages(call=call, tokens=tokens)

    # -- helpers -------------------------------------------------------------------------------------------

    def _id(self) -> str:
        """As S3's own, it says nothing of the order."""
        return hashlib.md5(str(next(self._ids)).encode(), usedforsecurity=False).hexdigest()

    def _bucket(self, operation: str, name: str, owner: str | None) -> _Bucket:
        if name not in self._buckets:
            raise _missing(operation, "NoSuchBucket", "The specified bucket does not exist")
        bucket = self._buckets[name]
        if owner not in (None, bucket.owner):
            raise refused(operation, "AccessDenied", "Access Denied", HTTPStatus.FORBIDDEN)
        return bucket


def _missing(operation: str, code: str, message: str) -> ClientError:
    return refused(operation, code, message, HTTPStatus.NOT_FOUND)
