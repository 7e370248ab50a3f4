"""The copy outside the table: timeline entries, manifests and approvals in a versioned bucket with object
lock.

| key | what |
|---|---|
| `timeline/SEQ-0000000001.json`… | an entry of the timeline, whose hash covers all before it |
| `releases/<deployment id>.json` | a release with its whole manifest |
| `approvals/<rollback id>/<role>/<person>/<time>.json` | an approval |

Who can write the ledger can also compute a chain anew; not what is kept here. Objects are created only
(`If-None-Match`), and of what has several versions all the same the first one counts: nothing that was kept
can be hidden. The text of an object is `canonical`, so that its ETag, the MD5 of it where the bucket encrypts
with SSE-S3, tells without a read whether it is what the ledger has.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from botocore.exceptions import ClientError
from pydantic import ValidationError

from rollback.aws.account import code, explained
from rollback.core.canonical import canonical
from rollback.core.errors import Code, RollbackError
from rollback.ledger.schema import check_schema
from rollback.model.plan import reader
from rollback.model.record import SCHEMA, Approval
from rollback.model.release import Entry, Release

T = TypeVar("T")
R = TypeVar("R")
TIMELINE, RELEASES, APPROVALS = "timeline/", "releases/", "approvals/"
_THERE = {"PreconditionFailed", "412"}
# Two writers at once; S3 asks to try again ("How to prevent object overwrites with conditional writes").
_BUSY = {"ConditionalRequestConflict", "409"}
_TRIES = 3


class Each(Protocol):
    """Does one thing to many, in any order; the results are in theirs."""

    def __call__(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]: ...


def _one_by_one(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [function(item) for item in items]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Written:
    """What every object says of how it was written; approvals, nothing."""

    schema: int = SCHEMA


class NotDeclared(RollbackError):
    """The environment has no such bucket (yet)."""

    code_default = Code.ARCHIVE_UNAVAILABLE


class Differs(RollbackError):
    """The bucket holds something else under that key: what the ledger says now is not what it said then."""

    code_default = Code.AUDIT_BROKEN


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """One key of the bucket, by its first version. `later` counts the versions and delete markers after it."""

    key: str
    version_id: str
    etag: str
    later: int

    def holds(self, text: str) -> bool:
        """Whether its ETag says that it holds exactly `text`; if not, it may have to be read."""
        return (
            self.etag == hashlib.md5(text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
        )


class Archive:
    """The bucket of one environment. `client` gives the S3 client when it is first needed; `each` is
    `Account.each`.
    """

    def __init__(
        self, client: Callable[[], Any], bucket: str, account: str, each: Each = _one_by_one
    ) -> None:
        self.bucket = bucket
        self._each = each
        self._make = client
        self._made: Any = None
        self._making = threading.Lock()
        # A bucket of that name in a stranger's account is not ours.
        self._where = {"Bucket": bucket, "ExpectedBucketOwner": account}

    # -- putting -------------------------------------------------------------------------------------

    def offer_entries(self, entries: Sequence[Entry]) -> list[Entry]:
        """Keeps those of the timeline's entries that nothing is kept of yet, at the same time; returns them.

        One write for each that is also the read: what is kept under a number already is not looked at.
        """
        texts = [(entry_key(entry.seq), canonical(entry)) for entry in entries]
        new = self._each(lambda text: self._put(*text), texts)
        return [entry for entry, was_new in zip(entries, new, strict=True) if was_new]

    def keep_entry(self, entry: Entry) -> bool:
        """Keeps an entry of the timeline. False where it was kept already.

        Raises `Differs` where another one is kept under its number, `NotDeclared` without a bucket.
        """
        return self._keep(entry_key(entry.seq), canonical(entry))

    def keep_release(self, release: Release) -> bool:
        """Keeps a release with its manifest; otherwise as `keep_entry`."""
        return self._keep(release_key(release.deployment_id), canonical(release))

    def keep_approval(self, approval: Approval) -> bool:
        """Keeps an approval; otherwise as `keep_entry`."""
        return self._keep(approval_key(approval), canonical(approval))

    def keep(self, value: Entry | Release | Approval) -> bool:
        """Keeps any of them."""
        if isinstance(value, Entry):
            return self.keep_entry(value)
        return self.keep_release(value) if isinstance(value, Release) else self.keep_approval(value)

    # -- reading -------------------------------------------------------------------------------------

    def kept(self, prefix: str, after: str = "") -> Iterator[Kept]:
        """The keys that begin with `prefix` and come after `after`, in order, read page by page."""
        marker: dict[str, str] = {"KeyMarker": after} if after else {}
        latest: Kept | None = None
        while True:
            with self._explained(f"listing {prefix} in {self.bucket}"):
                page = self._client.list_object_versions(**self._where, Prefix=prefix, **marker)
            # Of one key the newest comes first, among versions and among delete markers.
            found = [(one["Key"], one["VersionId"], one["ETag"]) for one in page.get("Versions", [])]
            found += [(one["Key"], "", "") for one in page.get("DeleteMarkers", [])]
            for key, version, etag in sorted(found, key=lambda one: one[0]):
                if latest is not None and latest.key == key:
                    first = version or latest.version_id, etag.strip('"') if version else latest.etag
                    latest = Kept(key=key, version_id=first[0], etag=first[1], later=latest.later + 1)
                    continue
                if latest is not None:
                    yield latest
                latest = Kept(key=key, version_id=version, etag=etag.strip('"'), later=0)
            if not page.get("IsTruncated"):
                break
            marker = {"KeyMarker": page["NextKeyMarker"]}
            if "NextVersionIdMarker" in page:
                marker["VersionIdMarker"] = page["NextVersionIdMarker"]
        if latest is not None:
            yield latest

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The kept entries of the timeline whose number is above `after`, in order, each read when asked for."""
        for kept in self.kept(TIMELINE, entry_key(after) if after else ""):
            yield self._model(Entry, kept)

    def releases(self) -> Iterator[Release]:
        """The kept releases, newest first, each read when it is asked for."""
        for kept in reversed(list(self.kept(RELEASES))):  # ULIDs sort by time
            yield self._model(Release, kept)

    def text(self, kept: Kept) -> str:
        """The text of a key's first version. Raises `RollbackError` where only delete markers are left."""
        with self._explained(f"reading {kept.key} from {self.bucket}"):
            answer = self._client.get_object(**self._where, Key=kept.key, VersionId=kept.version_id)
            return str(answer["Body"].read().decode())

    def says(self, kept: Kept, value: Entry | Release | Approval) -> bool:
        """Whether a key's first version holds exactly `value`. Read only where the ETag does not tell."""
        if kept.holds(canonical(value)):
            return True
        return bool(kept.version_id) and self._model(type(value), kept) == value

    # -- helpers -------------------------------------------------------------------------------------

    @property
    def _client(self) -> Any:
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _keep(self, key: str, text: str) -> bool:
        if self._put(key, text):
            return True
        # Its first version is the last one listed, and nothing sorts between a key and itself.
        kept = next(self.kept(key), None)
        if kept is None or not (kept.holds(text) or (kept.version_id and self.text(kept) == text)):
            raise Differs(
                f"{self.bucket} holds something else under {key} than what the ledger says now: the ledger "
                "was restored, or changed.",
                next="rollback audit names the first break.",
            )
        return False

    def _put(self, key: str, text: str) -> bool:
        """Whether there was nothing under `key`."""
        for attempt in range(1, _TRIES + 1):
            with self._explained(f"keeping {key} in {self.bucket}"):
                try:
                    self._client.put_object(
                        **self._where,
                        Key=key,
                        Body=text.encode(errors="surrogatepass"),
                        ContentType="application/json",
                        IfNoneMatch="*",
                    )
                except ClientError as error:
                    if code(error) in _THERE:
                        return False
                    if code(error) not in _BUSY or attempt == _TRIES:
                        raise
                else:
                    return True
        raise AssertionError("the last try has returned or raised")  # pragma: no cover

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        with explained(doing):
            try:
                yield
            except ClientError as error:
                if code(error) == "NoSuchBucket":
                    raise NotDeclared(
                        f"There is no bucket {self.bucket}, which keeps the heads of the ledger.",
                        next="`pulumi up` declares it.",
                    ) from error
                raise

    def _model(self, kind: type[T], kept: Kept) -> T:
        text = self.text(kept)
        try:
            # Of a later schema a field may mean something else: what it is comes before what it says.
            check_schema(f"{kept.key} in {self.bucket}", reader(_Written).validate_json(text).schema)
            found: T = reader(kind).validate_json(text)  # type: ignore[arg-type] # every class is hashable
        except ValidationError as error:
            raise RollbackError(
                f"{kept.key} in {self.bucket} is malformed: {error.errors()[0]['msg']}",
                code=Code.ARCHIVE_DAMAGED,
            ) from error
        return found


def entry_key(seq: int) -> str:
    """Where the timeline's entry of this number is kept."""
    return f"{TIMELINE}SEQ-{seq:010d}.json"


def number(key: str) -> int:
    """The number of the timeline's entry that is kept under `key`."""
    return int(key.removeprefix(f"{TIMELINE}SEQ-").removesuffix(".json"))


def release_key(deployment_id: str) -> str:
    """Where a release is kept."""
    return f"{RELEASES}{deployment_id}.json"


def approval_key(approval: Approval) -> str:
    """Where an approval is kept: under the record's id, the approver's role and person, and its time, as in
    the ledger.
    """
    return f"{APPROVALS}{approval.rollback_id}/{approval.by.role}/{approval.by.person}/{approval.at}.json"
