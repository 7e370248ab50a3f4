"""`rollback audit`: reads an environment's whole ledger and archive, and reports each place where the
chain breaks.

The timeline is read first: it lists every record, release and quarantine. Then every partition that it
lists is read, several at a time; then what only the index or the archive has.
LOCK# items are leases, not history. An item that neither the timeline nor the index refers to is read by no
command, this one included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice

from rollback.ledger.audit_bucket import (
    APPROVALS,
    RELEASES,
    TIMELINE,
    Archive,
    ArchivedObject,
    Each,
    NotDeclared,
    approval_key,
    entry_key,
    is_release_key,
    number,
    release_key,
)
from rollback.ledger.drill_integrity import drill_findings
from rollback.ledger.finding import Finding
from rollback.ledger.integrity import Partition, approval_findings, record_partition, release_partition
from rollback.ledger.repository import Ledger
from rollback.ledger.schema import METADATA, REQUIREMENT, Newer, check_client, model
from rollback.ledger.store import Item
from rollback.ledger.timeline_integrity import Chain, Claim, quarantine_findings
from rollback.lifecycle.ports import Ui
from rollback.model.drill import PREFIX
from rollback.model.record import UNFINISHED, Approval, Status
from rollback.model.release import Entry, Release
from rollback.util.errors import RollbackError

# Partitions read at a time, and entries written to the archive at a time.
_BATCH = 32
# The number of findings shown; the first one is the cause.
_NOTICED = 50
# How often a ledger is read again because it was written to meanwhile.
_LOOKS = 3
# The format of the archive's keys; other keys are reported, but not part of the trail.
_KEYS: Mapping[str, Callable[[str], bool]] = {
    TIMELINE: lambda key: number(key) is not None,
    RELEASES: is_release_key,
    APPROVALS: lambda _: True,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Audited:
    """What an audit counted, and where the chain breaks, the first place first.

    `unkept` names what the archive lacks, newest first; `put` is how many of these were copied to it now.
    `unread` is why the archive could not be read; `declared` is false without an archive.
    """

    environment: str
    entries: int
    releases: int
    records: int
    unfinished: int
    bars: int
    approvals: int
    findings: tuple[Finding, ...]
    unkept: tuple[str, ...] = ()
    put: int = 0
    declared: bool = True
    unread: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Unkept:
    """A key that the archive lacks, and a function that reads its content, called only when needed."""

    key: str
    read: Callable[[], Entry | Release | Approval]


@dataclass(kw_only=True)
class _Read:
    """One partition that the timeline lists, as it was read."""

    identifier: str
    part: Partition
    release: Release | None = None
    approvals: tuple[Approval, ...] = ()


class Walk:
    """One pass through the ledger and the archive."""

    def __init__(self, ledger: Ledger, each: Each, ui: Ui) -> None:
        self.ledger = ledger
        self.chain = Chain(environment=ledger.environment)
        self.unkept: list[_Unkept] = []
        self.unread: RollbackError | None = None
        self.records = self.unfinished = self.releases = self.approvals = 0
        self._each, self._ui = each, ui
        self._quarantines: list[Item] = []
        self._drills: list[Item] = []
        self._requirements: list[Item] = []
        self._archive = ledger.archive
        self._releases: dict[str, ArchivedObject] = {}
        self._approvals: dict[str, ArchivedObject] = {}

    def findings(self) -> Iterator[Finding]:
        """Yields each place where the trail breaks."""
        yield from self.timeline()
        yield from self.requirement()
        self._releases = {kept.key: kept for kept in self._kept(RELEASES)}
        self._approvals = {kept.key: kept for kept in self._kept(APPROVALS)}
        yield from self.partitions()
        yield from quarantine_findings(self.chain, self._quarantines)
        yield from drill_findings(self.ledger.environment, self.chain.drills, self._drills)
        yield from self.strangers()
        yield from self.leftovers()

    def timeline(self) -> Iterator[Finding]:
        """Checks the chain of entries, and each entry against its copy in the archive."""
        pk = f"RELEASE#{self.ledger.environment}"
        copies = groupby(self._kept(TIMELINE), key=lambda kept: number(kept.key) or 0)
        seq, group = next(copies, (0, ()))
        for item in self.ledger.table.query(pk):
            sk = str(item["SK"])
            if self._set_aside(sk, item):
                continue
            if not sk.startswith("SEQ#"):
                yield Finding(pk=pk, sk=sk, what="it is not part of the timeline")
                continue
            for seen in self.chain.add(item):
                if isinstance(seen, Finding):
                    yield seen
                    continue
                while seq and seq < seen.seq:
                    yield from self._beyond(group, "it is no longer in the ledger")
                    seq, group = next(copies, (0, ()))
                yield from self._copied(seen, pk, sk, group if seq == seen.seq else ())
                if seq == seen.seq:
                    seq, group = next(copies, (0, ()))
        while seq:
            yield from self._beyond(group, "it is no longer in the ledger: the newest entries are missing")
            seq, group = next(copies, (0, ()))

    def _copied(self, entry: Entry, pk: str, sk: str, copies: Iterable[ArchivedObject]) -> Iterator[Finding]:
        """Checks an entry against the archive's copies of its number."""
        known = False
        for copy in copies:
            known |= self._is_of(copy, entry)
            yield from self._compared(copy, entry, f"{pk} / {sk}")
        if not known:
            self._lacks(entry_key(entry), partial(self._entry, pk, sk))

    def _beyond(self, group: Iterable[ArchivedObject], what: str) -> Iterator[Finding]:
        """Reports archived copies of a number that the ledger does not have."""
        for copy in group:
            is_entry = self._archive is not None and self._archive.entry(copy) is not None
            yield Finding(
                pk=self._bucket, sk=copy.key, what=what if is_entry else "it is not an entry of the timeline"
            )

    def _is_of(self, copy: ArchivedObject, entry: Entry) -> bool:
        """Whether a key is that of an entry, in this version's format or an earlier one."""
        old = copy.key == entry_key(replace(entry, hash=""))
        return copy.key == entry_key(entry) or (
            old and self._archive is not None and self._archive.matches(copy, entry)
        )

    def requirement(self) -> Iterator[Finding]:
        """Checks the format that the ledger requires of clients. Raises `Newer` if this version is too old."""
        for item in self._requirements:
            try:
                check_client(item)
            except Newer:
                raise
            except RollbackError as error:
                yield Finding(pk=str(item["PK"]), sk=str(item["SK"]), what=error.what)

    def partitions(self) -> Iterator[Finding]:
        """Checks every record and release that the timeline lists."""
        identifiers = iter(list(self.chain.claims))
        done = 0
        self._ui.start("Auditing", len(self.chain.claims))
        try:
            while batch := list(islice(identifiers, _BATCH)):
                for read in self._each(self.partition, batch):
                    yield from self._seen(read)
                done += len(batch)
                self._ui.progress(done)
        finally:
            self._ui.finish()

    def partition(self, identifier: str) -> _Read:
        """Reads one of them and checks it."""
        claim = self.chain.claims[identifier]
        if claim.kind == "release":
            items = list(self.ledger.table.query(f"DEPLOYMENT#{identifier}"))
            release, findings = release_partition(identifier, claim, items)
            return _Read(identifier=identifier, part=Partition(findings=findings), release=release)
        part = self._record(identifier, claim)
        if not claim.waited:
            return _Read(identifier=identifier, part=part)
        pk = f"APPROVAL#{identifier}"
        stored = list(self.ledger.table.query(pk))
        part.findings.extend(approval_findings(part.approvals, stored, pk))
        return _Read(identifier=identifier, part=part, approvals=_readable(stored))

    def strangers(self) -> Iterator[Finding]:
        """Reports what the index lists and the timeline does not."""
        for item in self.ledger.table.index(f"ENV#{self.ledger.environment}", page=1000, only=("PK", "SK")):
            pk, sk = str(item["PK"]), str(item["SK"])
            kind, _, identifier = pk.partition("#")
            claim = self.chain.claims.get(identifier)
            known = {"ROLLBACK": "record", "DEPLOYMENT": "release"}.get(kind)
            if sk != METADATA or claim is None or claim.kind != known:
                yield Finding(pk=pk, sk=sk, what="the timeline has no entry for it")

    def leftovers(self) -> Iterator[Finding]:
        """Reports what only the archive has."""
        for key in sorted({*self._releases, *self._approvals}):
            yield Finding(pk=self._bucket, sk=key, what="it is no longer in the ledger")

    # -- helpers -------------------------------------------------------------------------------------

    def _set_aside(self, sk: str, item: Item) -> bool:
        """Whether an item in the timeline's partition is not an entry; such items are kept for later checks."""
        for prefix, kept in (
            ("QUARANTINE#", self._quarantines),
            (PREFIX, self._drills),
            (REQUIREMENT, self._requirements),
        ):
            if sk.startswith(prefix):
                kept.append(item)
                return True
        return False

    def _record(self, identifier: str, claim: Claim) -> Partition:
        """A running record may be written to while it is read: it is then read again."""
        for _ in range(_LOOKS):
            part = record_partition(
                identifier, claim, list(self.ledger.table.query(f"ROLLBACK#{identifier}"))
            )
            if not part.findings or part.record is None or part.record.status not in UNFINISHED:
                break
        return part

    def _seen(self, read: _Read) -> Iterator[Finding]:
        """Checks a partition against the archive."""
        yield from read.part.findings
        if (record := read.part.record) is not None:
            self.records += 1
            self.unfinished += record.status in UNFINISHED - {Status.FAILED}
            self.chain.complete_from(record)
        if (release := read.release) is not None:
            self.releases += 1
            key = release_key(release.deployment_id)
            if (copy := self._releases.pop(key, None)) is None:
                self._lacks(key, partial(self.ledger.release, release.deployment_id))
            else:
                yield from self._compared(copy, release, f"DEPLOYMENT#{release.deployment_id} / {METADATA}")
        for approval in read.approvals:
            self.approvals += 1
            key = approval_key(approval)
            if (copy := self._approvals.pop(key, None)) is None:
                self._lacks(key, partial(_itself, approval))
            else:
                yield from self._compared(copy, approval, f"APPROVAL#{approval.rollback_id}")

    def _lacks(self, key: str, read: Callable[[], Entry | Release | Approval]) -> None:
        if self._archive is not None and self.unread is None:
            self.unkept.append(_Unkept(key=key, read=read))

    def _entry(self, pk: str, sk: str) -> Entry:
        return model(Entry, self.ledger.table.get(pk, sk) or {})

    def _compared(
        self, copy: ArchivedObject, value: Entry | Release | Approval, where: str
    ) -> Iterator[Finding]:
        if self._archive is not None and not self._archive.matches(copy, value):
            yield Finding(pk=self._bucket, sk=copy.key, what=f"it differs from {where}")
        if copy.later:
            yield Finding(
                pk=self._bucket, sk=copy.key, what="it was overwritten, or hidden by a delete marker"
            )

    def _kept(self, prefix: str) -> Iterator[ArchivedObject]:
        """The archive's keys; empty if it cannot be read, which is noted."""
        if self._archive is None or self.unread is not None:
            return
        try:
            for kept in self._archive.kept(prefix):
                if _KEYS[prefix](kept.key):
                    yield kept
                else:
                    self._archive.step_over(f"{kept.key} is not a key of this command")
        except RollbackError as error:
            self.unread = error

    @property
    def _bucket(self) -> str:
        return self._archive.bucket if self._archive is not None else ""


def audit(ledger: Ledger, each: Each, ui: Ui) -> Audited:
    """Audits everything, and copies missing entries to the archive if nothing is wrong."""
    for _ in range(_LOOKS):
        walk = Walk(ledger, each, ui)
        findings = tuple(islice(walk.findings(), _NOTICED))
        if not findings or not _went_on(ledger, walk):
            break
    put = 0
    # Releases before the entries that refer to them.
    unkept = sorted(
        [] if walk.unread else walk.unkept, key=lambda one: (one.key.startswith(TIMELINE), one.key)
    )
    if ledger.archive is not None and not findings:
        put, unkept = _put(ledger, ledger.archive, each, unkept)
    return Audited(
        environment=ledger.environment,
        entries=walk.chain.seq,
        releases=walk.releases,
        records=walk.records,
        unfinished=walk.unfinished,
        bars=len(walk.chain.quarantines),
        approvals=walk.approvals,
        findings=findings,
        unkept=tuple(one.key for one in reversed(unkept)),
        put=put,
        declared=ledger.archive is not None and not isinstance(walk.unread, NotDeclared),
        unread="" if walk.unread is None else walk.unread.what,
    )


def _went_on(ledger: Ledger, walk: Walk) -> bool:
    """Whether the timeline was written to during the pass."""
    try:
        newest = ledger.newest()
    except RollbackError:
        return False
    return newest is not None and newest.seq > walk.chain.seq


def _put(
    ledger: Ledger, archive: Archive, each: Each, unkept: Sequence[_Unkept]
) -> tuple[int, list[_Unkept]]:
    """Copies what is missing, if the caller's role may; returns how many, and what is left."""

    def one(missing: _Unkept) -> str:
        try:
            archive.keep(missing.read())
        except RollbackError as error:
            return error.what
        return ""

    left: list[_Unkept] = []
    why = ""
    for start in range(0, len(unkept), _BATCH):
        batch = unkept[start : start + _BATCH]
        for missing, problem in zip(batch, each(one, batch), strict=True):
            if problem:
                left.append(missing)
                why = why or problem
        if len(left) >= _BATCH:  # the rest would fail, too
            left += unkept[start + _BATCH :]
            break
    if why:
        ledger.notices.append(f"Entries are missing in the archive: {why}")
    return len(unkept) - len(left), left


def _readable(items: Sequence[Item]) -> tuple[Approval, ...]:
    """The valid approvals among items; malformed ones are reported elsewhere."""
    made = []
    for item in items:
        try:
            made.append(model(Approval, item))
        except RollbackError:
            continue
    return tuple(made)


def _itself(approval: Approval) -> Approval:
    return approval
