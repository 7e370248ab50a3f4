"""`python -m bench.auditing --records 10000`: how long `rollback audit` takes, and how much memory.

The ledger is written by the command's own code into a file: records of 42 functions with a plan and a journal,
every fiftieth entry a release with its manifest. A process of its own then audits it; it reads a page as
DynamoDB's client hands it over, parsed from JSON. Only the network is missing, whose waiting 16 threads share.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rollback.ledger.audit_bucket import Archive
from rollback.ledger.repository import Ledger
from rollback.ledger.store import LedgerTable
from rollback.model.alias_moves import Move
from rollback.model.identity import Actor
from rollback.model.kind import Kind
from rollback.model.plan import Plan
from rollback.model.record import DeployedVersion, Entered, Record, Status
from rollback.model.release import Entry, Release, manifest_hash
from rollback.model.request import AliasesRequest
from rollback.queries.audit import audit

_PAGE_BYTES = 1_000_000
_FUNCTIONS, _BATCHES, _EVERY = 42, 3, 50
_ALICE = Actor(role="bbws-access-dev-rollback-role", person="alice")
_AT = "2026-11-24T12:00:00.000Z"


class File:
    """DynamoDB and S3 in one file, as far as the ledger and its archive ask: one writer, no condition fails."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS items (pk, sk, gsi_pk, gsi_sk, item, PRIMARY KEY (pk, sk)) WITHOUT ROWID"
        )
        self._db.execute("CREATE INDEX IF NOT EXISTS gsi ON items (gsi_pk, gsi_sk)")
        self._db.execute("CREATE TABLE IF NOT EXISTS objects (key PRIMARY KEY, etag) WITHOUT ROWID")

    def commit(self) -> None:
        """Everything on the disk."""
        self._db.commit()

    # -- DynamoDB --------------------------------------------------------------------------------------

    def transact_write_items(self, *, TransactItems: Any) -> None:  # noqa: N803 - boto3's
        """Puts, and updates of the form `SET #a = :a, …`."""
        for member in TransactItems:
            if put := member.get("Put"):
                self._write(put["Item"])
            elif update := member.get("Update"):
                pk, sk = update["Key"]["PK"]["S"], update["Key"]["SK"]["S"]
                (text,) = self._db.execute(
                    "SELECT item FROM items WHERE pk = ? AND sk = ?", (pk, sk)
                ).fetchone()
                item = json.loads(text)
                for part in update["UpdateExpression"].removeprefix("SET ").split(", "):
                    name, _, value = part.partition(" = ")
                    item[update["ExpressionAttributeNames"][name]] = update["ExpressionAttributeValues"][
                        value
                    ]
                self._write(item)

    def query(self, **request: Any) -> dict[str, Any]:
        """A page of a partition, or of the index, of a megabyte at most."""
        values = request["ExpressionAttributeValues"]
        key, order = ("gsi_pk", "gsi_sk") if "IndexName" in request else ("pk", "sk")
        forward, last = request.get("ScanIndexForward", True), request.get("ExclusiveStartKey")
        found = self._db.execute(
            f"SELECT {order}, item FROM items WHERE {key} = ? AND sk LIKE ? AND (? IS NULL OR {order} {'>' if forward else '<'} ?) "  # noqa: S608 - our own words
            f"ORDER BY {order} {'ASC' if forward else 'DESC'} LIMIT ?",
            (
                values[":pk"]["S"],
                f"{values[':sk']['S'] if ':sk' in values else ''}%",
                last,
                last,
                request.get("Limit", -1),
            ),
        )
        items, size, at = [], 0, None
        for at, text in found:  # noqa: B007 - where the page ends
            items.append(json.loads(text))
            size += len(text)
            if size > _PAGE_BYTES:
                break
        more = size > _PAGE_BYTES or len(items) == request.get("Limit")
        return {"Items": items} | ({"LastEvaluatedKey": at} if more else {})

    def _write(self, item: Any) -> None:
        index = [item.get(name, {}).get("S") for name in ("GSI1PK", "GSI1SK")]
        row = (item["PK"]["S"], item["SK"]["S"], *index, json.dumps(item))
        self._db.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?)", row)

    # -- S3 ---------------------------------------------------------------------------------------------

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> None:  # noqa: N803 - boto3's
        """Keeps an object's key and ETag."""
        etag = hashlib.md5(Body, usedforsecurity=False).hexdigest()
        self._db.execute("INSERT OR IGNORE INTO objects VALUES (?, ?)", (Key, etag))

    def list_object_versions(self, *, Prefix: str, KeyMarker: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's
        """A page of a thousand keys, each with its one version."""
        found = self._db.execute(
            "SELECT key, etag FROM objects WHERE key > ? AND key LIKE ? ORDER BY key LIMIT 1000",
            (KeyMarker, f"{Prefix}%"),
        ).fetchall()
        versions = [{"Key": key, "VersionId": "1", "ETag": f'"{etag}"'} for key, etag in found]
        more = {"NextKeyMarker": found[-1][0]} if len(found) == 1000 else {}  # noqa: PLR2004 - S3's page
        return {"Versions": versions, "IsTruncated": bool(more), **more}


class Nobody:
    """Who is told of progress."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def ledger(file: File) -> Ledger:
    """The ledger in a file, with its archive."""
    client: Any = file
    return Ledger(LedgerTable(client, "ledger"), "dev", Archive(lambda: file, "trail", "111122223333"))


def write(path: Path, records: int) -> None:
    """A ledger of that many rollbacks."""
    file = File(path)
    book = ledger(file)
    plan = _plan()
    # Nobody else writes: the newest entry need not be looked up in the whole past.
    for number in range(records):
        if number % _EVERY == 0:
            _release(book, number)
        _rollback(book, plan, number)
    file.commit()


def read(path: Path) -> dict[str, float]:
    """Audits it: seconds of the clock and of the processor, the process's peak in MB, and what was seen."""
    nobody: Any = Nobody()
    began, used = time.monotonic(), time.process_time()
    seen = audit(ledger(File(path)), lambda function, items: [function(item) for item in items], nobody)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1 << (20 if sys.platform == "darwin" else 10)
    )
    if seen.findings or seen.unkept:
        raise SystemExit(f"It is not whole: {[*seen.findings, *seen.unkept][:3]}")
    return {
        "records": seen.records,
        "seconds": round(time.monotonic() - began, 1),
        "cpu": round(time.process_time() - used, 1),
        "peak_mb": round(peak, 1),
    }


def _plan() -> Plan[Move]:
    steps = tuple(
        Move(
            function=f"bbws-access-dev-lambda-team-service-{number:02d}",
            service="team_service",
            from_version="12",
            to_version="11",
            code_sha256="a" * 44,
            revision_id=f"{number:036d}",
            weights={},
        )
        for number in range(_FUNCTIONS)
    )
    versions: Any = {"from_version": "v1.2.0", "to_version": "v1.1.0"}
    return Plan(
        kind=Kind.ALIASES,
        environment="dev",
        account="111122223333",
        region="eu-west-1",
        request=AliasesRequest(),
        leaves={"team_service": "v1.2.0"},
        targets={"team_service": "v1.1.0"},
        quarantines={},
        steps=steps,
        **versions,
    )


def _rollback(book: Ledger, plan: Plan[Move], number: int) -> None:
    record = Record(
        rollback_id=f"01R{number:023d}",
        kind=Kind.ALIASES,
        environment="dev",
        from_version=plan.from_version,
        to_version=plan.to_version,
        services=plan.services,
        without=(),
        reason="team answers 500",
        initiated_by=_ALICE,
        initiated_at=f"2026-11-24T12:00:00.{number:06d}Z",
        status=Status.PLANNED,
        digest=plan.digest(),
        counts={"planned": _FUNCTIONS},
        rto_seconds=300,
    )
    record, _ = book.open(
        record, Status.IN_PROGRESS, plan, _entered("planned", {"digest": record.digest}), None
    )
    size = _FUNCTIONS // _BATCHES
    for start in range(0, _FUNCTIONS, size):
        moved = [
            {"subject": step.function, "revision_id": "r" * 36, "at": _AT}
            for step in plan.steps[start : start + size]
        ]
        record, _ = book.journal(record, _entered("moved", {"steps": moved}), None)
    book.close(
        record,
        _entered("closed", {"status": Status.COMPLETE, "stands": plan.targets}),
        None,
        {"status": Status.COMPLETE, "completed_at": _AT, "elapsed_seconds": 3.25},
        entry=_entry("rollback", record.rollback_id, "", Status.COMPLETE),
    )


def _release(book: Ledger, number: int) -> None:
    manifest = {
        step.function: DeployedVersion(version="12", code_sha256="a" * 44, revision_id="r" * 36)
        for step in _plan().steps
    }
    release = Release(
        deployment_id=f"01D{number:023d}",
        version=f"v1.{number}.0",
        environment="dev",
        commit="a" * 40,
        stack_commit=None,
        terraform_commit=None,
        recorded_by=_ALICE,
        recorded_at=f"2026-11-24T11:00:00.{number:06d}Z",
        services=("team_service",),
        manifest_hash=manifest_hash(manifest),
        functions=len(manifest),
        manifest=manifest,
    )
    entry = _entry("deployment", release.deployment_id, release.version, "COMPLETE")
    nobody: Any = _NoLease()
    book.record_release(release, entry, nobody)


class _NoLease:
    """A lease that is asked for nothing."""

    def proofs(self) -> list[Any]:
        return []


def _entered(kind: str, data: dict[str, Any]) -> Entered:
    return Entered(kind=kind, at=_AT, by=_ALICE, data=data)


def _entry(kind: str, identifier: str, version: str, status: str) -> Entry:
    return Entry(
        seq=0,
        kind=kind,
        id=identifier,
        version=version,
        at=_AT,
        by=_ALICE,
        services=("team_service",),
        stands={"team_service": "v1.1.0"},
        covers="",
        status=status,
    )


def main() -> None:
    """Write a ledger, audit it in a process of its own, and print one JSON document."""
    parser = argparse.ArgumentParser(prog="python -m bench.auditing", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parts = parser.parse_args()
    if parts.read:
        print(json.dumps(read(parts.read)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger"
        write(path, parts.records)
        own = [sys.executable, "-m", "bench.auditing", "--read", str(path)]
        print(subprocess.run(own, check=True, capture_output=True, text=True).stdout, end="")


if __name__ == "__main__":
    main()
