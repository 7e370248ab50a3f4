"""S3 in memory, as far as the archive uses it: versions, delete markers, writes that only create."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

PAGE = 1000


def refused(code: str, status: int, operation: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item] # what is read of it
        operation,
    )


@dataclass
class Bucket:
    """One versioned bucket. `versions` has every key's, the oldest first; a body of None is a delete marker.

    `fail` is raised by every request while it is set; `exists` says whether the bucket is there.
    """

    versions: dict[str, list[tuple[str, bytes | None]]] = field(default_factory=dict)
    exists: bool = True
    fail: Exception | None = None
    asked: list[str] = field(default_factory=list)
    page: int = PAGE

    def _begin(self, operation: str) -> None:
        self.asked.append(operation)
        if self.fail is not None:
            raise self.fail
        if not self.exists:
            raise refused("NoSuchBucket", 404, operation)

    def put(self, key: str, body: bytes | None) -> str:
        """Another version, whatever is there."""
        kept = self.versions.setdefault(key, [])
        kept.append((f"v{len(kept) + 1}", body))
        return kept[-1][0]

    # -- boto3's --------------------------------------------------------------------------------------

    def put_object(self, *, Key: str, Body: bytes, IfNoneMatch: str = "", **_: Any) -> Any:
        self._begin("PutObject")
        kept = self.versions.get(Key)
        if IfNoneMatch and kept and kept[-1][1] is not None:
            raise refused("PreconditionFailed", 412, "PutObject")
        return {"VersionId": self.put(Key, Body)}

    def get_object(self, *, Key: str, VersionId: str, **_: Any) -> Any:
        self._begin("GetObject")
        body = dict(self.versions.get(Key, [])).get(VersionId)
        if body is None:
            raise refused("NoSuchVersion", 404, "GetObject")
        return {"Body": io.BytesIO(body)}

    def list_object_versions(
        self, *, Prefix: str = "", KeyMarker: str = "", VersionIdMarker: str = "", **_: Any
    ) -> Any:
        self._begin("ListObjectVersions")
        found = [
            (key, version, body)
            for key in sorted(self.versions)
            if key.startswith(Prefix)
            for version, body in reversed(self.versions[key])
        ]
        if VersionIdMarker:
            start = next(i for i, one in enumerate(found) if one[:2] == (KeyMarker, VersionIdMarker)) + 1
        else:
            start = sum(key <= KeyMarker for key, _, _ in found) if KeyMarker else 0
        page, rest = found[start : start + self.page], found[start + self.page :]
        answer: dict[str, Any] = {"IsTruncated": bool(rest), "Versions": [], "DeleteMarkers": []}
        for key, version, body in page:
            one = {"Key": key, "VersionId": version}
            if body is None:
                answer["DeleteMarkers"].append(one)
            else:
                etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
                answer["Versions"].append({**one, "ETag": f'"{etag}"'})
        if rest:
            answer |= {"NextKeyMarker": page[-1][0], "NextVersionIdMarker": page[-1][1]}
        return answer
