"""The archive: copies of timeline entries, manifests and approvals in a versioned bucket with object
lock.

| key | what |
|---|---|
| `timeline/SEQ-0000000001-<hash>.json`… | an entry of the timeline, whose hash covers all entries before it |
| `timeline/SEQ-0000000001.json`… | the same, written by earlier versions of this command |
| `releases/<deployment id>.json` | a release with its complete manifest |
| `approvals/<rollback id>/<role>/<person>/<time>.json` | an approval |

Who can write the ledger can also recompute its chain, but cannot change the archive. Objects are only created
(`If-None-Match`), and if an object still has several versions, the first one counts: nothing in the archive
can be hidden. An entry's key contains its hash, so that another object with its number cannot block it.
A role that may put objects may put any object: keys in another format are ignored, an object that does not
match its key is skipped (with a notice in `Archive.notices`), and an entry is only used if its chain is valid. The text
of an object is `canonical`, so that its ETag (its MD5 with SSE-S3 encryption) shows without a
read whether it equals the ledger's.

It is longer than 400 lines: writing and checking objects belong together.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Protocol, TypeVar

from botocore.exceptions import ClientError
from pydantic import ValidationError

from rollback.aws.account import code, explained
from rollback.ledger.schema import check_schema
from rollback.model.plan import reader
from rollback.model.record import SCHEMA, Approval
from rollback.model.release import Entry, Release, entry_hash
from rollback.util.canonical import canonical
from rollback.util.errors import Code, RollbackError
from rollback.util.sanitize import line

T = TypeVar("T")
R = TypeVar("R")
TIMELINE, RELEASES, APPROVALS = "timeline/", "releases/", "approvals/"
_ENTRY_KEY = re.compile(rf"{TIMELINE}SEQ-([0-9]{{10}})(-[0-9a-f]{{64}})?\.json")
_RELEASE_KEY = re.compile(rf"{RELEASES}([0-9A-Za-z_-]{{1,64}})\.json")
# The largest object that is read, in bytes: a release of 5,000 functions has about 2 MB.
_MAX_BYTES = 32 * 1024 * 1024
_THERE = {"PreconditionFailed", "412"}
# Errors of two concurrent writers, to be retried ("How to prevent object overwrites with conditional writes").
_BUSY = {"ConditionalRequestConflict", "409"}
_TRIES = 3


class Each(Protocol):
    """Calls a function for each item, in any order; the results are in the order of the items."""

    def __call__(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]: ...


def _one_by_one(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [function(item) for item in items]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Written:
    """The schema field of every object; approvals have none."""

    schema: int = SCHEMA


class NotDeclared(RollbackError):
    """The environment has no archive bucket (yet)."""

    code_default = Code.ARCHIVE_UNAVAILABLE


class Differs(RollbackError):
    """The archive has another text under the key: the ledger has changed since it was copied."""

    code_default = Code.AUDIT_BROKEN


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchivedObject:
    """One key of the bucket, with its first version. `later` counts the versions and delete markers after it."""

    key: str
    version_id: str
    etag: str
    later: int

    def holds(self, text: str) -> bool:
        """Whether its ETag shows that it is exactly `text`; if not, it must be read to know."""
        return (
            self.etag == hashlib.md5(text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
        )


class Archive:
    """The bucket of one environment. `client` returns the S3 client when first needed; `each` is
    `Account.each`.
    """

    def __init__(
        self, client: Callable[[], Any], bucket: str, account: str, each: Each = _one_by_one
    ) -> None:
        self.bucket = bucket
        # Notices about what was skipped.
        self.notices: list[str] = []
        self._each = each
        self._make = client
        self._made: Any = None
        self._making = threading.Lock()
        # A bucket of this name in another account must not be used.
        self._where = {"Bucket": bucket, "ExpectedBucketOwner": account}

    # -- putting -------------------------------------------------------------------------------------

    def offer_entries(self, entries: Sequence[Entry]) -> list[Entry]:
        """Writes those entries that the archive does not have yet, in parallel; returns them.

        One conditional write each: an existing object is not read.
        """
        texts = [(entry_key(entry), canonical(entry)) for entry in entries]
        new = self._each(lambda text: self._put(*text), texts)
        return [entry for entry, was_new in zip(entries, new, strict=True) if was_new]

    def keep_entry(self, entry: Entry) -> bool:
        """Writes an entry of the timeline. False if it already exists.

        Raises `Differs` where the key has another text, `NotDeclared` without a bucket.
        """
        return self._keep(entry_key(entry), canonical(entry))

    def only(self, entry: Entry) -> None:
        """Raises `Differs` where the archive has anything else with an entry's number."""
        text = canonical(entry)
        for kept in self.kept(f"{TIMELINE}SEQ-{entry.seq:010d}"):
            if number(kept.key) is not None:
                self._same(kept.key, kept, text)

    def keep_release(self, release: Release) -> bool:
        """Writes a release with its manifest, like `keep_entry`."""
        return self._keep(release_key(release.deployment_id), canonical(release))

    def keep_approval(self, approval: Approval) -> bool:
        """Writes an approval, like `keep_entry`."""
        return self._keep(approval_key(approval), canonical(approval))

    def keep(self, value: Entry | Release | Approval) -> bool:
        """Writes any of them."""
        if isinstance(value, Entry):
            return self.keep_entry(value)
        return self.keep_release(value) if isinstance(value, Release) else self.keep_approval(value)

    # -- reading -------------------------------------------------------------------------------------

    def kept(self, prefix: str, after: str = "") -> Iterator[ArchivedObject]:
        """The keys with `prefix` after `after`, in order, listed page by page."""
        marker: dict[str, str] = {"KeyMarker": after} if after else {}
        latest: ArchivedObject | None = None
        while True:
            with self._explained(f"listing {prefix} in {self.bucket}"):
                page = self._client.list_object_versions(**self._where, Prefix=prefix, **marker)
            # The newest version of a key comes first, among versions and among delete markers.
            found = [(one["Key"], one["VersionId"], one["ETag"]) for one in page.get("Versions", [])]
            found += [(one["Key"], "", "") for one in page.get("DeleteMarkers", [])]
            for key, version, etag in sorted(found, key=lambda one: one[0]):
                if latest is not None and latest.key == key:
                    first = version or latest.version_id, etag.strip('"') if version else latest.etag
                    latest = ArchivedObject(
                        key=key, version_id=first[0], etag=first[1], later=latest.later + 1
                    )
                    continue
                if latest is not None:
                    yield latest
                latest = ArchivedObject(key=key, version_id=version, etag=etag.strip('"'), later=0)
            if not page.get("IsTruncated"):
                break
            marker = {"KeyMarker": page["NextKeyMarker"]}
            if "NextVersionIdMarker" in page:
                marker["VersionIdMarker"] = page["NextVersionIdMarker"]
        if latest is not None:
            yield latest

    def kept_entries(self, after: int = 0) -> Iterator[ArchivedObject]:
        """The keys of entries whose number is above `after`, in order of their numbers."""
        # The key without a hash comes after those with one, of the same number.
        kept = self.kept(TIMELINE, f"{TIMELINE}SEQ-{after:010d}.json" if after else "")
        return (one for one in kept if number(one.key) is not None)

    def entries(self, after: int = 0, on: Mapping[str, int] | None = None) -> Iterator[Entry]:
        """The archived entries with a number above `after`, in order, each read on demand.

        At most one per number, which matches its key, and which follows the one before it or is followed by the
        next: an isolated object is skipped. `on` has the known earlier entries,
        hash → number; None: any first entry is accepted.
        """
        known = dict(on) if on is not None else ({} if after else {"": 0})
        unknown, covered = not known, bool(on)
        groups = groupby(self.kept_entries(after), key=lambda kept: number(kept.key))
        numbered = ([one for kept in group if (one := self.entry(kept)) is not None] for _, group in groups)
        found = next(numbered, None)
        while found is not None:
            upcoming = next(numbered, None)
            followed = {(one.previous, one.seq - 1) for one in upcoming or ()}
            candidates = [one for one in found if one.schema >= SCHEMA or not covered]
            chained = [
                one
                for one in candidates
                if unknown or one.schema < SCHEMA or known.get(one.previous) == one.seq - 1
            ]
            confirmed = [one for one in candidates if (one.hash, one.seq) in followed]
            both = [one for one in chained if one in confirmed]
            chosen = next(iter(both or chained or confirmed), None)
            if chosen is not None:
                known[chosen.hash] = chosen.seq
                unknown, covered = chosen.schema < SCHEMA, covered or chosen.schema >= SCHEMA
                yield chosen
            for one in found:
                if one is not chosen and one != chosen:
                    self.step_over(f"{entry_key(one)} does not follow a known entry")
            found = upcoming

    def beyond(self, newest: Entry | None) -> Iterator[Entry]:
        """The archived entries after the ledger's newest one, like `entries`.

        They start at that entry's number, because the archive's chain may have diverged since.
        """
        seq = 0 if newest is None else newest.seq
        if next(self.kept_entries(seq), None) is not None:
            on = {"": 0} if newest is None else {newest.previous: seq - 1, newest.hash: seq}
            yield from (entry for entry in self.entries(max(seq - 1, 0), on) if entry.seq > seq)

    def releases(self) -> Iterator[Release]:
        """The archived releases, newest first, each read on demand. Other objects are skipped."""
        for kept in reversed(list(self.kept(RELEASES))):  # ULIDs sort by time
            named = _RELEASE_KEY.fullmatch(kept.key)
            if named and (release := self._readable(Release, kept)) is not None:
                if release.deployment_id == named[1]:
                    yield release
                else:
                    self.step_over(f"{kept.key} is not the release of its key")

    def text(self, kept: ArchivedObject) -> str:
        """The text of a key's first version.

        Raises `RollbackError`, with `ARCHIVE_DAMAGED` where only delete markers are left, or where it is not text.
        """
        if not kept.version_id:
            raise _damaged(f"{kept.key} in {self.bucket} has only delete markers.")
        with self._explained(f"reading {kept.key} from {self.bucket}"):
            answer = self._client.get_object(**self._where, Key=kept.key, VersionId=kept.version_id)
            body = answer["Body"].read(_MAX_BYTES + 1)
        try:
            if len(body) <= _MAX_BYTES:
                return str(body.decode(errors="surrogatepass"))
        except UnicodeDecodeError:
            pass
        raise _damaged(f"{kept.key} in {self.bucket} is not a text of at most {_MAX_BYTES} bytes.")

    def matches(self, kept: ArchivedObject, value: Entry | Release | Approval) -> bool:
        """Whether a key's first version is exactly `value`. Only read if the ETag is not enough."""
        if kept.holds(canonical(value)):
            return True
        return self._readable(type(value), kept) == value

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
        # A key's first version is the last one listed.
        self._same(key, next(self.kept(key), None), text)
        return False

    def _same(self, key: str, kept: ArchivedObject | None, text: str) -> None:
        """Raises `Differs` where a key's first version is not `text`."""
        try:
            same = kept is not None and (kept.holds(text) or self.text(kept) == text)
        except RollbackError as error:
            if error.code is not Code.ARCHIVE_DAMAGED:
                raise
            same = False
        if not same:
            raise Differs(
                f"{self.bucket} has another text under {key} than the ledger: the ledger "
                "was restored, or changed.",
                next="An audit names the first break.",
            )

    def _put(self, key: str, text: str) -> bool:
        """Creates an object; false if the key already exists."""
        for attempt in range(1, _TRIES + 1):
            with self._explained(f"writing {key} to {self.bucket}"):
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
                        f"The ledger's archive, bucket {self.bucket}, does not exist.",
                        next="Run `pulumi up` of the foundation, which declares it.",
                    ) from error
                raise

    def entry(self, kept: ArchivedObject) -> Entry | None:
        """The entry under a key; None, with a notice, if it does not match its key."""
        entry = self._readable(Entry, kept)
        if entry is None:
            return None
        whole = entry.schema < SCHEMA or entry.hash == entry_hash(entry)
        if whole and kept.key in (entry_key(entry), entry_key(replace(entry, hash=""))):
            return entry
        self.step_over(f"{kept.key} is not the entry of its key")
        return None

    def _readable(self, kind: type[T], kept: ArchivedObject) -> T | None:
        """A key's first version, parsed; None, with a notice, if malformed."""
        try:
            return self._model(kind, kept)
        except RollbackError as error:
            if error.code is not Code.ARCHIVE_DAMAGED:
                raise
            self.step_over(error.what)
            return None

    def step_over(self, what: str) -> None:
        """Adds a notice about a skipped object."""
        notice = line(f"Skipped in the archive: {what}")
        if notice not in self.notices:
            self.notices.append(notice)

    def _model(self, kind: type[T], kept: ArchivedObject) -> T:
        text = self.text(kept)
        try:
            # The schema is checked first: in a later one a field may have another meaning.
            check_schema(f"{kept.key} in {self.bucket}", reader(_Written).validate_json(text).schema)
            found: T = reader(kind).validate_json(text)  # type: ignore[arg-type] # every class is hashable
        except (ValidationError, RecursionError) as error:
            why = (
                error.errors()[0]["msg"] if isinstance(error, ValidationError) else "it is nested too deeply"
            )
            raise _damaged(f"{kept.key} in {self.bucket} is malformed: {why}") from error
        return found


def _damaged(what: str) -> RollbackError:
    return RollbackError(what, code=Code.ARCHIVE_DAMAGED)


def entry_key(entry: Entry) -> str:
    """The key of a timeline entry; without a hash (`replace(entry, hash="")`) the key of earlier versions."""
    return f"{TIMELINE}SEQ-{entry.seq:010d}{entry.hash and '-'}{entry.hash}.json"


def number(key: str) -> int | None:
    """The number of the entry with this key; None if it is not exactly an entry's key."""
    found = _ENTRY_KEY.fullmatch(key)
    return int(found[1]) if found else None


def is_release_key(key: str) -> bool:
    """Whether a key is exactly a release's."""
    return _RELEASE_KEY.fullmatch(key) is not None


def release_key(deployment_id: str) -> str:
    """The key of a release."""
    return f"{RELEASES}{deployment_id}.json"


def approval_key(approval: Approval) -> str:
    """The key of an approval: the record's id, the approver's role and person, and the time, as in
    the ledger.
    """
    return f"{APPROVALS}{approval.rollback_id}/{approval.by.role}/{approval.by.person}/{approval.at}.json"
