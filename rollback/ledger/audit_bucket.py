"""The copy outside the table: timeline entries, manifests and approvals in a versioned bucket with object
lock.

| key | what |
|---|---|
| `timeline/SEQ-0000000001-<hash>.json`… | an entry of the timeline, whose hash covers all before it |
| `timeline/SEQ-0000000001.json`… | the same, as earlier versions of this command kept it |
| `releases/<deployment id>.json` | a release with its whole manifest |
| `approvals/<rollback id>/<role>/<person>/<time>.json` | an approval |

Who can write the ledger can also compute a chain again; not what is kept here. Objects are created only
(`If-None-Match`), and of what has several versions all the same the first one counts: nothing that was kept
can be hidden. An entry's key has its hash, so that what somebody puts under its number keeps it out no more.
A role that may put objects may put any: keys that are not exactly as above are none of these, an object that is not
what its key says is stepped over (`Archive.notices` name it), and an entry is believed where its hash chains. The text
of an object is `canonical`, so that its ETag, the MD5 of it where the bucket encrypts with SSE-S3, tells without a
read whether it is what the ledger has.

It is longer than 400 lines: what is kept, and what of it is believed, have to agree.
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
from rollback.core.canonical import canonical
from rollback.core.errors import Code, RollbackError
from rollback.core.sanitize import line
from rollback.ledger.schema import check_schema
from rollback.model.plan import reader
from rollback.model.record import SCHEMA, Approval
from rollback.model.release import Entry, Release, entry_hash

T = TypeVar("T")
R = TypeVar("R")
TIMELINE, RELEASES, APPROVALS = "timeline/", "releases/", "approvals/"
_ENTRY_KEY = re.compile(rf"{TIMELINE}SEQ-([0-9]{{10}})(-[0-9a-f]{{64}})?\.json")
_RELEASE_KEY = re.compile(rf"{RELEASES}([0-9A-Za-z_-]{{1,64}})\.json")
# The largest object that is read: a release of 5,000 functions has about 2 MB.
_MAX_BYTES = 32 * 1024 * 1024
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
    """The bucket holds something else under that key: the ledger has changed since it was copied."""

    code_default = Code.AUDIT_BROKEN


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchivedObject:
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
        # What was stepped over, in words.
        self.notices: list[str] = []
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
        texts = [(entry_key(entry), canonical(entry)) for entry in entries]
        new = self._each(lambda text: self._put(*text), texts)
        return [entry for entry, was_new in zip(entries, new, strict=True) if was_new]

    def keep_entry(self, entry: Entry) -> bool:
        """Keeps an entry of the timeline. False where it was kept already.

        Raises `Differs` where something else is kept under its key, `NotDeclared` without a bucket.
        """
        return self._keep(entry_key(entry), canonical(entry))

    def only(self, entry: Entry) -> None:
        """Raises `Differs` where under an entry's number anything else is kept than it."""
        text = canonical(entry)
        for kept in self.kept(f"{TIMELINE}SEQ-{entry.seq:010d}"):
            if number(kept.key) is not None:
                self._same(kept.key, kept, text)

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

    def kept(self, prefix: str, after: str = "") -> Iterator[ArchivedObject]:
        """The keys that begin with `prefix` and come after `after`, in order, read page by page."""
        marker: dict[str, str] = {"KeyMarker": after} if after else {}
        latest: ArchivedObject | None = None
        while True:
            with self._explained(f"listing {prefix} in {self.bucket}"):
                page = self._client.list_object_versions(**self._where, Prefix=prefix, **marker)
            # Of one key the newest comes first, among versions and among delete markers.
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
        """The kept entries of the timeline whose number is above `after`, in order, each read when asked for.

        Of each number at most one, which is what its key says, and which follows one before it or is followed by the
        next: one that somebody put there by itself is stepped over. `on` has the entries that are known before it,
        hash → number; None: whatever comes first is followed.
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
                    self.step_over(f"{entry_key(one)} follows no entry that is known")
            found = upcoming

    def beyond(self, newest: Entry | None) -> Iterator[Entry]:
        """The kept entries after the ledger's newest one, as `entries` has them; none is read where there is none.

        They are followed from that one's own number on: what is kept may have gone another way since.
        """
        seq = 0 if newest is None else newest.seq
        if next(self.kept_entries(seq), None) is not None:
            on = {"": 0} if newest is None else {newest.previous: seq - 1, newest.hash: seq}
            yield from (entry for entry in self.entries(max(seq - 1, 0), on) if entry.seq > seq)

    def releases(self) -> Iterator[Release]:
        """The kept releases, newest first, each read when it is asked for. What is none is stepped over."""
        for kept in reversed(list(self.kept(RELEASES))):  # ULIDs sort by time
            named = _RELEASE_KEY.fullmatch(kept.key)
            if named and (release := self._readable(Release, kept)) is not None:
                if release.deployment_id == named[1]:
                    yield release
                else:
                    self.step_over(f"{kept.key} holds another release than its key says")

    def text(self, kept: ArchivedObject) -> str:
        """The text of a key's first version.

        Raises `RollbackError`, with `ARCHIVE_DAMAGED` where only delete markers are left, or where it is no text.
        """
        if not kept.version_id:
            raise _damaged(f"Of {kept.key} in {self.bucket} only delete markers are left.")
        with self._explained(f"reading {kept.key} from {self.bucket}"):
            answer = self._client.get_object(**self._where, Key=kept.key, VersionId=kept.version_id)
            body = answer["Body"].read(_MAX_BYTES + 1)
        try:
            if len(body) <= _MAX_BYTES:
                return str(body.decode(errors="surrogatepass"))
        except UnicodeDecodeError:
            pass
        raise _damaged(f"{kept.key} in {self.bucket} is no text of at most {_MAX_BYTES} bytes.")

    def matches(self, kept: ArchivedObject, value: Entry | Release | Approval) -> bool:
        """Whether a key's first version holds exactly `value`. Read only where the ETag does not tell."""
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
        # Its first version is the last one listed, and nothing sorts between a key and itself.
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
                f"{self.bucket} holds something else under {key} than what the ledger says now: the ledger "
                "was restored, or changed.",
                next="An audit names the first break.",
            )

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
                        f"There is no bucket {self.bucket}, the archive of the ledger.",
                        next="`pulumi up` of the foundation declares it.",
                    ) from error
                raise

    def entry(self, kept: ArchivedObject) -> Entry | None:
        """The entry under a key, if it is what its key says; None, with a notice, where it is not."""
        entry = self._readable(Entry, kept)
        if entry is None:
            return None
        whole = entry.schema < SCHEMA or entry.hash == entry_hash(entry)
        if whole and kept.key in (entry_key(entry), entry_key(replace(entry, hash=""))):
            return entry
        self.step_over(f"{kept.key} is not the entry that its key says")
        return None

    def _readable(self, kind: type[T], kept: ArchivedObject) -> T | None:
        """What a key's first version says; None, with a notice, where it is malformed."""
        try:
            return self._model(kind, kept)
        except RollbackError as error:
            if error.code is not Code.ARCHIVE_DAMAGED:
                raise
            self.step_over(error.what)
            return None

    def step_over(self, what: str) -> None:
        """Notes what of the archive is not used, and why."""
        notice = line(f"Stepped over in the audit trail: {what}")
        if notice not in self.notices:
            self.notices.append(notice)

    def _model(self, kind: type[T], kept: ArchivedObject) -> T:
        text = self.text(kept)
        try:
            # Of a later schema a field may mean something else: what it is comes before what it says.
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
    """Where an entry of the timeline is kept; one without a hash (`replace(entry, hash="")`) as it once was."""
    return f"{TIMELINE}SEQ-{entry.seq:010d}{entry.hash and '-'}{entry.hash}.json"


def number(key: str) -> int | None:
    """The number of the timeline's entry that is kept under `key`; None where a key is not exactly an entry's."""
    found = _ENTRY_KEY.fullmatch(key)
    return int(found[1]) if found else None


def is_release_key(key: str) -> bool:
    """Whether a key is exactly a release's."""
    return _RELEASE_KEY.fullmatch(key) is not None


def release_key(deployment_id: str) -> str:
    """Where a release is kept."""
    return f"{RELEASES}{deployment_id}.json"


def approval_key(approval: Approval) -> str:
    """Where an approval is kept: under the record's id, the approver's role and person, and its time, as in
    the ledger.
    """
    return f"{APPROVALS}{approval.rollback_id}/{approval.by.role}/{approval.by.person}/{approval.at}.json"
