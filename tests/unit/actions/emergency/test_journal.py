"""The journal on this machine: chained, on the disk before anything moves, and never overwriting another."""

from __future__ import annotations

import itertools
import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollback.emergency.journal import (
    FileStore,
    folder,
    found,
    read,
)
from rollback.ledger.lease import LeaseLost
from rollback.ledger.schema import Newer
from rollback.model.alias_moves import Move
from rollback.model.events import AliasesMoved, Closed, Failed, FailedStep, Found, Resumed
from rollback.model.identity import Actor
from rollback.model.record import Status
from rollback.util.errors import (
    Code,
    Refused,
    RollbackError,
    UsageError,
)
from tests.doubles.records import a_plan, a_record

OLGA = Actor(role="acme-dev-break-glass-role", person="olga")
PLAN = a_plan(
    *(
        Move(
            function=name,
            service="teams",
            from_version="2",
            to_version="1",
            code_sha256=name,
            revision_id="r1",
            weights={"1": 0.25},
        )
        for name in ("get", "list")
    ),
    quarantines={"teams": "v2"},
)
RECORD = a_record(
    rollback_id="01EMERGENCY",
    initiated_by=OLGA,
    digest=PLAN.digest(),
    counts={"planned": 2},
    emergency=True,
)


def hands() -> dict[str, Any]:
    ticks = itertools.count()
    return {
        "by": OLGA,
        "holder": "H1",
        "now": lambda: f"2026-11-24T12:00:{next(ticks):02d}.000Z",
    }


def written(place: Path) -> Path:
    """A whole journal: moved, and closed."""
    journal = FileStore.create(place, RECORD, PLAN, **hands())
    journal.append(AliasesMoved(functions={"get": "r2", "list": "r3"}))
    journal.append(Closed(status=Status.COMPLETE, counts={"planned": 2, "moved": 2}, checks=()))
    journal.release()
    return journal.path


def test_what_was_written_is_read_again_with_the_record_as_it_ended(tmp_path: Path) -> None:
    journal = read(written(tmp_path))

    assert journal.plan == PLAN
    assert journal.began == RECORD
    assert [event.kind for event in journal.events] == ["planned", "moved", "closed"]
    assert (journal.record.status, journal.record.counts["moved"]) == (Status.COMPLETE, 2)
    assert (journal.record.events, journal.record.head) == (3, journal.events[-1].hash)


def test_nobody_else_reads_it_and_its_folder_is_the_users(tmp_path: Path) -> None:
    path = written(tmp_path / "state" / "rollback")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_earlier_journal_is_never_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = path.read_bytes()

    with pytest.raises(UsageError, match=r"Cannot write the journal .*: File exists"):
        FileStore.create(tmp_path, RECORD, PLAN, **hands())

    assert path.read_bytes() == before


def test_nothing_is_followed_that_lies_in_its_place(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "emergency-dev-111122223333-01EMERGENCY.jsonl").symlink_to(elsewhere)

    with pytest.raises(UsageError, match="Cannot write the journal"):
        FileStore.create(tmp_path, RECORD, PLAN, **hands())

    assert not elsewhere.exists()


def test_every_event_is_on_the_disk_before_append_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        real(handle)
        synced.append(os.fstat(handle).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    journal = FileStore.create(tmp_path, RECORD, PLAN, **hands())
    journal.append(Found(function="get", version="3", weights={}, revision="r", start=True, tag=""))

    assert synced[-1] == journal.path.stat().st_size
    journal.release()


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def edits(line: bytes) -> list[bytes]:
    """The line with each of its values changed in turn."""
    document = json.loads(line)
    changed = []

    def walk(node: Any, put: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(value, lambda new, node=node, key=key: node.__setitem__(key, new))
        elif isinstance(node, list) and node:
            for index, value in enumerate(node):
                walk(value, lambda new, node=node, index=index: node.__setitem__(index, new))
        else:
            put("x" if isinstance(node, str) else 99)
            changed.append(json.dumps(document).encode() + b"\n")
            put(node)

    walk(document, None)
    return changed


def test_every_single_change_of_a_value_is_seen(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = lines_of(path)
    tried = 0

    for number, line in enumerate(lines):
        for edited in edits(line):
            path.write_bytes(b"".join([*lines[:number], edited, *lines[number + 1 :]]))
            with pytest.raises((Refused, UsageError)):
                read(path)
            tried += 1

    assert tried > 60


@pytest.mark.parametrize("order", [[0, 2, 1, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2, 2, 3], [1, 2, 3], [0]])
def test_lines_that_are_swapped_missing_or_doubled_are_seen(tmp_path: Path, order: list[int]) -> None:
    path = written(tmp_path)
    lines = lines_of(path)
    path.write_bytes(b"".join(lines[number] for number in order))

    with pytest.raises((Refused, UsageError)):
        read(path)


def test_a_last_line_that_was_cut_off_does_not_count_and_is_written_anew(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-7])

    file = read(path)
    journal = FileStore.go_on(file, **hands())
    journal.append(Resumed())
    journal.release()

    assert [event.kind for event in file.events] == ["planned", "moved"]
    assert [event.kind for event in read(path).events] == ["planned", "moved", "resumed"]


def test_two_processes_are_never_at_one_journal(tmp_path: Path) -> None:
    journal = FileStore.create(tmp_path, RECORD, PLAN, **hands())

    with pytest.raises(Refused, match="Another process on this machine"):
        FileStore.go_on(read(journal.path), **hands())

    journal.release()
    FileStore.go_on(read(journal.path), **hands()).release()


def test_a_journal_that_went_on_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    path = written(tmp_path)
    journal = read(path)
    other = FileStore.go_on(journal, **hands())
    other.append(Resumed())
    other.release()

    with pytest.raises(Refused, match="written to by another process"):
        FileStore.go_on(journal, **hands())


def test_half_a_line_of_a_full_disk_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = FileStore.create(tmp_path, RECORD, PLAN, **hands())
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:20]))

    with pytest.raises(RollbackError, match=r"Cannot write the journal .*: No space left"):
        journal.append(AliasesMoved(functions={"get": "r2"}))

    monkeypatch.setattr(os, "write", real)
    journal.append(AliasesMoved(functions={"get": "r2"}))
    journal.release()
    assert [event.kind for event in read(journal.path).events] == ["planned", "moved"]


def test_each_holder_has_a_tag_of_its_own_under_the_records(tmp_path: Path) -> None:
    journal = FileStore.create(tmp_path, RECORD, PLAN, **hands())
    journal.append(Failed(failures=(FailedStep(subject="get", reason="no"),)))
    journal.release()

    other = FileStore.go_on(read(journal.path), **hands() | {"holder": "H2"})
    other.release()

    assert (journal.tag, other.tag) == ("rollback/01EMERGENCY/H1", "rollback/01EMERGENCY/H2")
    assert (journal.taken_over, other.taken_over) == (False, True)


def test_a_holder_that_finds_a_later_ones_tag_stops_and_an_earlier_ones_is_no_reason(tmp_path: Path) -> None:
    there = Found(function="get", version="2", weights={}, revision="r9", start=False, tag="")
    journal = FileStore.create(tmp_path, RECORD, PLAN, **hands() | {"holder": "H2"})

    journal.append(replace(there, tag="rollback/01EMERGENCY/H1"))
    journal.append(replace(there, tag="rollback/01OTHER/H3"))
    with pytest.raises(LeaseLost, match="with a copy of the journal"):
        journal.append(replace(there, tag="rollback/01EMERGENCY/H3/back"))

    journal.release()


def test_journals_of_other_environments_and_those_imported_are_not_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / f"{path.name}.imported").touch()
    FileStore.create(
        tmp_path, replace(RECORD, environment="sit"), replace(PLAN, environment="sit"), **hands()
    ).release()

    assert found(tmp_path, "dev", "111122223333") == [path]
    assert found(tmp_path / "nowhere", "dev", "111122223333") == []


def test_the_folder_follows_the_users_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    assert folder() == tmp_path / "rollback"


def test_what_is_no_journal_is_refused_as_such(tmp_path: Path) -> None:
    for content in (b"", b"{}\n", b"no json\n", b'{"journal": 1, "record": {}}\n', b"\xff\n"):
        path = tmp_path / "file"
        path.write_bytes(content)
        with pytest.raises(UsageError):
            read(path)
    with pytest.raises(UsageError, match=r"Cannot read .*: No such file"):
        read(tmp_path / "nothing")


def test_a_newer_journal_is_reported_as_newer(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"journal":1', b'"journal":2', 1))

    with pytest.raises(Newer, match="newer version"):
        read(path)


@pytest.mark.finding("G6")
@pytest.mark.parametrize("name", ["zero", "fifo", "folder", "large", "nested"])
def test_what_is_no_regular_file_or_too_large_a_one_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("rollback.emergency.journal._MAX_BYTES", 1_000_000)
    path = tmp_path / name
    if name == "fifo":
        os.mkfifo(path)
    elif name == "folder":
        path.mkdir()
    elif name == "zero":
        path = Path("/dev/zero")
    else:
        path.write_bytes(b"[" * (1_000_001 if name == "large" else 1_000_000))

    with pytest.raises(UsageError) as caught:
        read(path)

    assert caught.value.code is Code.JOURNAL_INVALID
    assert str(path) in caught.value.what
