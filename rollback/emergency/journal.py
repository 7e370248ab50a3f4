"""The journal of an emergency: a file on this machine, instead of a record in the ledger.

One JSON document per line. The first is the head: the record as it began, and the plan with the RevisionId and
the weights of every alias. Each other line is an event, chained as in the ledger; the first event
covers the head. A line is on disk before its alias is updated. An incomplete last line
was never acted upon, and is ignored.

Anybody who can write the file can also recompute its chain, which only protects from accidents and careless edits.
The aliases themselves and CloudTrail show what was really done.

It is longer than 400 lines: writing and verifying the file belong together.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from platformdirs.unix import Unix
from pydantic import ValidationError

from rollback.config.settings import Settings
from rollback.ledger.lease import LeaseLost
from rollback.ledger.schema import check_schema
from rollback.lifecycle.run import End
from rollback.model.alias_moves import Move
from rollback.model.commands import Commands
from rollback.model.deployed import Deployed
from rollback.model.events import Closed, Found, Happened, Interrupted, Planned, Resumed, Reverting, typed
from rollback.model.identity import Actor
from rollback.model.plan import Plan, from_chunks, reader, to_chunks
from rollback.model.record import (
    Check,
    Entered,
    Event,
    Record,
    Status,
    chain_break,
    next_event,
    record_fields,
    seconds_between,
)
from rollback.util import bounded_file
from rollback.util.canonical import canonical, digest, plain
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)

_SCHEMA = 1
# The largest journal that is read, in bytes: 5,000 functions, resumed and undone, take about 10 MB.
_MAX_BYTES = 64 * 1024 * 1024
_SUFFIX = ".jsonl"
# The suffix of an imported file.
IMPORTED = ".imported"


@dataclass(frozen=True, kw_only=True)
class JournalFile:
    """A journal's content, its chain verified. `began` is the record at the start, `record` after the
    events.

    `head` is the hash of the last event; `whole` is the length in bytes of the lines that count.
    """

    path: Path
    account: str
    region: str
    began: Record
    record: Record
    plan: Plan[Move]
    events: tuple[Event, ...]
    whole: int

    @property
    def head(self) -> str:
        return self.events[-1].hash

    def check_environment(self, settings: Settings) -> None:
        """Raises `Refused` where the journal is of another environment or account."""
        if (self.record.environment, self.account) != (settings.environment, settings.account):
            raise Refused(
                f"{self.path} is the journal of {self.record.environment} in account {self.account}, not of "
                f"{settings.environment} in {settings.account}.",
                code=Code.WRONG_ACCOUNT,
            )


def folder() -> Path:
    """The folder of this user's emergency journals: the state folder of the XDG Base Directory
    Specification (https://specifications.freedesktop.org/basedir-spec/latest/).
    """
    return Unix("rollback").user_state_path


def found(place: Path, environment: str, account: str) -> list[Path]:
    """This machine's journals of an environment that are not marked as imported, oldest first."""
    return sorted(place.glob(f"emergency-{environment}-{account}-*{_SUFFIX}"))


def reminder(path: Path, environment: str) -> str:
    """The notice about a journal that is not imported yet."""
    return (
        f"EMERGENCY {identifier(path)}: its journal is only on this machine. Run: rollback ledger import {path} --env "
        f"{environment}"
    )


def wherever(path: Path) -> Path:
    """A journal's path, whether or not it was renamed after an import."""
    imported = path.with_name(path.name + IMPORTED)
    return imported if imported.exists() and not path.exists() else path


def place_of(place: Path, record: Record, account: str) -> Path:
    """The file of a record's journal."""
    return place / f"emergency-{record.environment}-{account}-{record.rollback_id}{_SUFFIX}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unimported:
    """A journal on this machine that is not marked as imported: its record's id, and the notice about it."""

    path: Path
    identifier: str
    reminder: str


def here(environment: str, account: str) -> list[Unimported]:
    """This user's journals of an environment that are not marked as imported, oldest first."""
    return [
        Unimported(path=path, identifier=identifier(path), reminder=reminder(path, environment))
        for path in found(folder(), environment, account)
    ]


def identifier(path: Path) -> str:
    """The id of a journal's record, from the file's name."""
    return path.name.removesuffix(IMPORTED).removesuffix(_SUFFIX).rpartition("-")[2]


def read(path: Path) -> JournalFile:
    """Reads and verifies a journal. Raises `UsageError` where it is not one, `Refused` where it was changed, or
    written by a newer version of this command.
    """
    try:
        content = bounded_file.content(path, _MAX_BYTES)
    except bounded_file.UnreadableFile as error:
        raise UsageError(f"Cannot read {path}: {error}.", code=Code.JOURNAL_INVALID) from None
    lines = content.split(b"\n")
    whole = len(content) - len(lines.pop())
    try:
        head = json.loads(lines[0])
        check_schema(str(path), head["journal"], _SCHEMA)
        check_schema(str(path), head["record"].get("schema"))
        record, chunks = reader(Record).validate_python(head["record"]), tuple(head["plan"])
        account, region = str(head["account"]), str(head["region"])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path} is not an emergency journal: {_first(error)}.", code=Code.JOURNAL_INVALID
        ) from None
    try:
        events = tuple(reader(Event).validate_json(line) for line in lines[1:])
        plan = from_chunks(list(chunks), Move)
        why = _wrong(head, record, plan, chunks, events)
    except (ValidationError, ValueError, KeyError, IndexError, TypeError) as error:
        raise _tampered(path, _first(error)) from None
    if why:
        raise _tampered(path, why)
    return JournalFile(
        path=path,
        account=account,
        region=region,
        began=record,
        record=fold(record, events),
        plan=plan,
        events=events,
        whole=whole,
    )


def _wrong(
    head: Mapping[str, Any],
    record: Record,
    plan: Plan[Move],
    chunks: Sequence[str],
    events: Sequence[Event],
) -> str | None:
    """What is inconsistent, in words; None if nothing is. May raise for malformed values."""
    if not events:
        return "it has no event"
    if events[0].previous != digest(head):
        return "its head was changed"
    recorded = (events[0].data.get("plan"), events[0].data.get("digest"), events[0].by)
    if recorded != (digest(list(chunks)), plan.digest(), record.initiated_by):
        return "its plan was changed"
    return chain_break(fold(record, events), events)


def fold(record: Record, events: Sequence[Event]) -> Record:
    """The record after its events. Pure."""
    for event in events:
        record = replace(_after(record, event), events=event.number, head=event.hash)
    return record


def _after(record: Record, journal: Entered | Event) -> Record:
    """The record after one entry, except for its journal's length and head."""
    if journal.kind == Closed.kind:
        closed = typed(journal, Closed)
        return replace(
            record,
            status=closed.status,
            completed_at=journal.at,
            counts=closed.counts,
            verification=closed.checks,
            elapsed_seconds=seconds_between(record.initiated_at, journal.at),
            relieved_seconds=closed.relieved_seconds,
        )
    if journal.kind in (Resumed.kind, Reverting.kind):
        return replace(record, status=Status.IN_PROGRESS, completed_at=None)
    if journal.kind == Interrupted.kind:
        return replace(record, counts=typed(journal, Interrupted).counts)
    return record


@dataclass(kw_only=True)
class FileStore:
    """A journal open for writing (`actions.run.Store`), by one process at a time.

    `holder` is a unique name of this process, and later ones sort after it. There is no lease:
    another process of the same rollback is kept out by a file lock on this machine, and on other machines by each
    alias's RevisionId and the tag of a later holder. `now` gives ISO 8601 in UTC.
    """

    path: Path
    record: Record
    plan: Plan[Move]
    by: Actor
    holder: str
    now: Callable[[], str]
    taken_over: bool
    events: list[Event] = field(default_factory=list)
    _anchor: str = ""
    _file: int = -1
    _writing: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def create(
        cls, place: Path, record: Record, plan: Plan[Move], *, by: Actor, holder: str, now: Callable[[], str]
    ) -> FileStore:
        """Creates a file, mode 0600, with its head and its first event. Raises `UsageError` where it cannot."""
        chunks = to_chunks(plan)
        head = {
            "journal": _SCHEMA,
            "account": plan.account,
            "region": plan.region,
            "record": plain(record_fields(record)),
            "plan": chunks,
        }
        path = place_of(place, record, plan.account)
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Never overwrites a file, and does not follow links.
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            store = cls(path=path, record=record, plan=plan, by=by, holder=holder, now=now, taken_over=False)
            store._take(handle)
            store._put(canonical(head))
            _keep_name(place)
        except OSError as error:
            raise UsageError(
                f"Cannot write the journal {path}: {error.strerror}.",
                code=Code.JOURNAL_UNWRITABLE,
                next="No alias is updated without a journal. Set XDG_STATE_HOME to another folder.",
            ) from None
        store._anchor = digest(head)
        steps = len(plan.steps)
        store.append(Planned(digest=record.digest, reason=record.reason, steps=steps, plan=digest(chunks)))
        return store

    @classmethod
    def go_on(cls, file: JournalFile, *, by: Actor, holder: str, now: Callable[[], str]) -> FileStore:
        """Opens the journal in `file` to append to it. Raises `Refused` where another process is using it, or has
        written to it since, `UsageError` where it cannot be opened.
        """
        try:
            handle = os.open(file.path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
        except OSError as error:
            raise UsageError(
                f"Cannot write {file.path}: {error.strerror}.", code=Code.JOURNAL_UNWRITABLE
            ) from None
        store = cls(
            path=file.path,
            record=file.record,
            plan=file.plan,
            by=by,
            holder=holder,
            now=now,
            taken_over=True,
            events=list(file.events),
        )
        store._take(handle)
        if read(file.path).events != file.events:
            store.release()
            raise Refused(
                f"{file.path} was written to by another process at the same time.",
                code=Code.LEASE_HELD,
                next="Run the same command again.",
            )
        os.ftruncate(handle, file.whole)
        return store

    @property
    def tag(self) -> str:
        return f"rollback/{self.record.rollback_id}/{self.holder}"

    @property
    def commands(self) -> Commands:
        return Commands.in_file(self.path, self.record.environment)

    def append(self, data: Happened, **_: Any) -> None:
        """Writes an event (`data` as in `Journal.append`), which is on disk when this returns; the
        record's changes follow from it.

        Raises `RollbackError` where it cannot be written, and `LeaseLost` where an alias shows that another
        process has continued this emergency since.
        """
        if isinstance(data, Found) and self._fenced_by(data.tag):
            raise LeaseLost(
                "Another process has continued this emergency with a copy of the journal.",
                code=Code.LEASE_LOST,
                changed=f"{self.path} has what this process did.",
                next=f"rollback status --env {self.record.environment}  # let the other process finish",
            )
        with self._writing:
            entered = data.entered(at=self.now(), by=self.by)
            after = _after(self.record, entered)
            event = next_event(self.record, entered, self._anchor, after=after)
            try:
                self._put(canonical(event))
            except OSError as error:
                raise RollbackError(
                    f"Cannot write the journal {self.path}: {error.strerror}.",
                    code=Code.JOURNAL_UNWRITABLE,
                ) from None
            self.events.append(event)
            self.record = replace(after, events=event.number, head=event.hash)

    def check(self) -> None:
        """Does nothing: there is no lease."""

    @contextmanager
    def published(self, deployed: Mapping[str, Deployed]) -> Iterator[list[Check]]:  # noqa: ARG002 - the Protocol's
        """Does nothing: `importer` publishes what is deployed, after the import."""
        yield []

    def close(self, end: End) -> None:
        """Writes the record's end. Quarantines are written by the import."""
        self.append(
            Closed(
                status=end.status,
                counts=end.counts,
                checks=tuple(end.checks),
                relieved_seconds=end.relieved_seconds,
            )
        )

    def release(self) -> None:
        """Unlocks the file, so that another process can continue."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _fenced_by(self, tag: str) -> bool:
        """Whether an alias has the tag of a later holder. Holders' names sort by their start."""
        name, _, holder = tag.removesuffix("/back").rpartition("/")
        return name == self.tag.rpartition("/")[0] and holder > self.holder

    def _take(self, handle: int) -> None:
        self._file = handle
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise Refused(
                f"Another process on this machine is using {self.path}.",
                code=Code.LEASE_HELD,
                next="Wait until it has ended, then run the same command again.",
            ) from None

    def _put(self, line: str) -> None:
        before = os.fstat(self._file).st_size
        try:
            _write(self._file, line.encode() + b"\n")
        except OSError:
            os.ftruncate(self._file, before)  # half a line would corrupt the next one
            raise


def _write(handle: int, data: bytes) -> None:
    if os.write(handle, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(handle)


def _keep_name(place: Path) -> None:
    """Syncs the folder: without that, the file's name may be lost in a crash."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _tampered(path: Path, why: str) -> Refused:
    return Refused(
        f"{path} was changed or damaged: {why}.",
        code=Code.JOURNAL_TAMPERED,
        next="Do not use this journal. Plan again from what is deployed, with --adopt-current.",
    )


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error).splitlines()[0][:200] or type(error).__name__
