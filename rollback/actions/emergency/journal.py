"""The journal of an emergency: a file on this machine, instead of a record in the ledger.

One JSON document a line. The first is the head: the record as it began, and the plan with the RevisionId and
the weights of every alias. Each of the others is an event, chained as the ledger chains them; the first event
covers the head. A line is on the disk before the alias that it is about is overwritten. A last line that was
cut off was never acted upon, and does not count.

Anybody who may write the file can also write its chain again: it protects from accidents and careless edits.
What was really done to the aliases is in the aliases themselves, and in CloudTrail.

It is longer than 400 lines: how the file is written and what of it is believed have to agree.
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

from rollback.actions.run import End
from rollback.config.settings import Settings
from rollback.core import bounded_file
from rollback.core.canonical import canonical, digest, plain
from rollback.core.errors import Code, Refused, RollbackError, UsageError
from rollback.ledger.lease import LeaseLost
from rollback.ledger.schema import check_schema
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

_SCHEMA = 1
# The largest journal that is read: an emergency of 5,000 functions, resumed and undone, has about 10 MB.
_MAX_BYTES = 64 * 1024 * 1024
_SUFFIX = ".jsonl"
# What the file is called once the ledger has it.
IMPORTED = ".imported"


@dataclass(frozen=True, kw_only=True)
class JournalFile:
    """What a journal's file says, its chain verified. `began` is the record as it began, `record` as the events
    have left it.

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
                f"{self.path} is of {self.record.environment} in account {self.account}, not of "
                f"{settings.environment} in {settings.account}.",
                code=Code.WRONG_ACCOUNT,
            )


def folder() -> Path:
    """Where this machine's user keeps journals of emergencies: the state folder of the XDG Base Directory
    Specification (https://specifications.freedesktop.org/basedir-spec/latest/).
    """
    return Unix("rollback").user_state_path


def found(place: Path, environment: str, account: str) -> list[Path]:
    """The journals of an environment that no ledger has yet, as far as this machine knows; oldest first."""
    return sorted(place.glob(f"emergency-{environment}-{account}-*{_SUFFIX}"))


def reminder(path: Path, environment: str) -> str:
    """What is shown of a journal that no ledger has yet."""
    return (
        f"EMERGENCY {identifier(path)}: its journal is on this machine only. rollback ledger import {path} --env "
        f"{environment}"
    )


def wherever(path: Path) -> Path:
    """A journal by the name that it was written under, although it may have been imported since."""
    imported = path.with_name(path.name + IMPORTED)
    return imported if imported.exists() and not path.exists() else path


def place_of(place: Path, record: Record, account: str) -> Path:
    """The file of a record's journal."""
    return place / f"emergency-{record.environment}-{account}-{record.rollback_id}{_SUFFIX}"


def identifier(path: Path) -> str:
    """The id of the record in a journal, by its file's name."""
    return path.name.removesuffix(IMPORTED).removesuffix(_SUFFIX).rpartition("-")[2]


def read(path: Path) -> JournalFile:
    """A journal, verified. Raises `UsageError` where it is none, `Refused` where it was changed, or was
    written by a newer version of this command.
    """
    try:
        content = bounded_file.content(path, _MAX_BYTES)
    except bounded_file.UnreadableFile as error:
        raise UsageError(f"{path} cannot be read: {error}.", code=Code.JOURNAL_INVALID) from None
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
            f"{path} is not a journal of an emergency: {_first(error)}.", code=Code.JOURNAL_INVALID
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
    """What does not hold together, in words; None where all does. May raise where a value is none at all."""
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
    """The record as `journal` leaves it, but for its journal's length and head."""
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
    """A journal that is being written (`actions.run.Store`). One process at a time has it.

    `holder` is a name that no other process ever has, and later ones sort after it. There is no lease: what
    keeps another process of the same rollback away is the file's lock, on this machine, and on others each
    alias's RevisionId and the tag that a later holder has left on it. `now` gives ISO 8601 in UTC.
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
        """A new file, mode 0600, with its head and its first event. Raises `UsageError` where it cannot be."""
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
            # Never an earlier file's place, nor through a link.
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            store = cls(path=path, record=record, plan=plan, by=by, holder=holder, now=now, taken_over=False)
            store._take(handle)
            store._put(canonical(head))
            _keep_name(place)
        except OSError as error:
            raise UsageError(
                f"The journal {path} cannot be written: {error.strerror}.",
                code=Code.JOURNAL_UNWRITABLE,
                next="Nothing is moved without one: XDG_STATE_HOME names another folder.",
            ) from None
        store._anchor = digest(head)
        steps = len(plan.steps)
        store.append(Planned(digest=record.digest, reason=record.reason, steps=steps, plan=digest(chunks)))
        return store

    @classmethod
    def go_on(cls, file: JournalFile, *, by: Actor, holder: str, now: Callable[[], str]) -> FileStore:
        """The journal in `file`, to be written on. Raises `Refused` where another process has it, or has
        written to it since, `UsageError` where it cannot be opened.
        """
        try:
            handle = os.open(file.path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
        except OSError as error:
            raise UsageError(
                f"{file.path} cannot be written: {error.strerror}.", code=Code.JOURNAL_UNWRITABLE
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
                f"{file.path} was written to by another process just now.",
                code=Code.LEASE_HELD,
                next="Try again.",
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
        """Writes an event (`data` as in `Journal.append`), which is on the disk when it returns; what it
        changes of the record follows from it.

        Raises `RollbackError` where it cannot be written, and `LeaseLost` where an alias shows that another
        process has continued this emergency since.
        """
        if isinstance(data, Found) and self._fenced_by(data.tag):
            raise LeaseLost(
                "Another process has continued this emergency, from a copy of the journal.",
                code=Code.LEASE_LOST,
                changed=f"What was done until then is in {self.path}.",
                next=f"rollback status --env {self.record.environment}  # the process that continued decides",
            )
        with self._writing:
            entered = data.entered(at=self.now(), by=self.by)
            after = _after(self.record, entered)
            event = next_event(self.record, entered, self._anchor, after=after)
            try:
                self._put(canonical(event))
            except OSError as error:
                raise RollbackError(
                    f"The journal {self.path} cannot be written: {error.strerror}.",
                    code=Code.JOURNAL_UNWRITABLE,
                ) from None
            self.events.append(event)
            self.record = replace(after, events=event.number, head=event.hash)

    def check(self) -> None:
        """Nothing: there is no lease."""

    @contextmanager
    def published(self, deployed: Mapping[str, Deployed]) -> Iterator[list[Check]]:  # noqa: ARG002 - the Protocol's
        """Nothing: `importer` publishes what is deployed once the ledger has the journal."""
        yield []

    def close(self, end: End) -> None:
        """Writes the record's end; what it quarantines is the ledger's to know, once it has the journal."""
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
        """Whether an alias bears the tag of a later holder. Holders' names sort by the time that they began."""
        name, _, holder = tag.removesuffix("/back").rpartition("/")
        return name == self.tag.rpartition("/")[0] and holder > self.holder

    def _take(self, handle: int) -> None:
        self._file = handle
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise Refused(
                f"Another process on this machine is using it: {self.path}.",
                code=Code.LEASE_HELD,
                next="Wait for it.",
            ) from None

    def _put(self, line: str) -> None:
        before = os.fstat(self._file).st_size
        try:
            _write(self._file, line.encode() + b"\n")
        except OSError:
            os.ftruncate(self._file, before)  # half a line would spoil the next one
            raise


def _write(handle: int, data: bytes) -> None:
    if os.write(handle, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(handle)


def _keep_name(place: Path) -> None:
    """A file that is on the disk needs its name there, too."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _tampered(path: Path, why: str) -> Refused:
    return Refused(
        f"{path} was changed or damaged: {why}.",
        code=Code.JOURNAL_TAMPERED,
        next="Go on from what is deployed, without this journal: --adopt-current",
    )


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error).splitlines()[0][:200] or type(error).__name__
