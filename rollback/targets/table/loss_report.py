"""The loss report: every difference between a live and a restored table, stored in the state bucket.

It may contain personal data, so that it is stored encrypted in the environment's bucket, never in the ledger or
on this machine: `rollback/<rollback id>/loss.jsonl` has one JSON line per difference, with both items;
`loss.json` has the counts and the first keys of each kind. The record has the counts, the location and the
SHA-256 of the lines, which binds a later cutover to exactly this report.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from rollback.aws.account import code, explained
from rollback.targets.table import attribute_json
from rollback.targets.table.comparison import ItemDifference
from rollback.util.errors import Code, RollbackError

# How many keys of each kind are in the summary.
FIRST = 20
_CHUNK = 1 << 20
# Uploaded sequentially, so that only one part is in memory.
_TRANSFER = TransferConfig(use_threads=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class LossReport:
    """A report's location, number of `lines` (differences) and SHA-256."""

    key: str
    sha256: str
    lines: int


class _Text:
    """Lines as a file that can be read once; hashes them while reading."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._rest = b""
        self.hash = hashlib.sha256()
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while size < 0 or have < size:
            line = next(self._lines, None)
            if line is None:
                break
            data = f"{line}\n".encode()
            self.hash.update(data)
            self.count += 1
            parts.append(data)
            have += len(data)
        text = b"".join(parts)
        cut = len(text) if size < 0 else size
        self._rest = text[cut:]
        return text[:cut]


@dataclass(frozen=True, kw_only=True)
class Reports:
    """The reports of one environment. `account` must be the bucket's owner."""

    client: Any
    bucket: str
    account: str

    def write(
        self,
        rollback_id: str,
        differences: Iterable[ItemDifference],
        counts: Callable[[], Mapping[str, int]],
        name: str = "loss",
    ) -> LossReport:
        """Streams the differences to the bucket. `counts` is called after the last one."""
        first: dict[str, list[Any]] = defaultdict(list)

        def lines() -> Iterator[str]:
            for found in differences:
                if len(first[found.kind]) < FIRST:
                    first[found.kind].append(attribute_json.written(found.key))
                yield line(found)

        text = _Text(lines())
        key = f"rollback/{rollback_id}/{name}.jsonl"
        with explained(f"writing {key}"):
            self.client.upload_fileobj(text, self.bucket, key, ExtraArgs=self._guarded(), Config=_TRANSFER)
        report = LossReport(key=key, sha256=text.hash.hexdigest(), lines=text.count)
        summary = {"counts": counts(), "first_keys": first, "sha256": report.sha256}
        self.put(rollback_id, f"{name}.json", json.dumps(summary, indent=2))
        return report

    def put(self, rollback_id: str, name: str, text: str) -> None:
        """Writes a small object beside the report."""
        key = f"rollback/{rollback_id}/{name}"
        with explained(f"writing {key}"):
            self.client.put_object(Bucket=self.bucket, Key=key, Body=text.encode(), **self._guarded())

    def lines(self, report: LossReport) -> Iterator[bytes]:
        """The report's lines. Raises `RollbackError` at the end if the report was changed."""
        found = hashlib.sha256()
        with explained(f"reading {report.key}"):
            try:
                answer = self.client.get_object(
                    Bucket=self.bucket, Key=report.key, ExpectedBucketOwner=self.account
                )
            except ClientError as error:
                if code(error) in ("NoSuchKey", "404"):
                    raise _other(report, "no longer exists") from error
                raise
            for text in answer["Body"].iter_lines(chunk_size=_CHUNK, keepends=True):
                found.update(text)
                yield text
        if found.hexdigest() != report.sha256:
            raise _other(report, "was changed since it was written")

    def check(self, report: LossReport) -> None:
        """Reads the whole report. Raises `RollbackError` if it no longer exists, or was changed."""
        for _ in self.lines(report):
            pass

    def _guarded(self) -> dict[str, str]:
        return {"ServerSideEncryption": "AES256", "ExpectedBucketOwner": self.account}


def line(found: ItemDifference) -> str:
    """One difference as a line."""
    return json.dumps(
        {
            "kind": found.kind,
            "key": attribute_json.written(found.key),
            "live": attribute_json.written(found.live),
            "restored": attribute_json.written(found.restored),
        },
        separators=(",", ":"),
        ensure_ascii=False,
    )


def parsed(text: bytes) -> ItemDifference:
    """Parses what `line` wrote."""
    found = json.loads(text)
    return ItemDifference(
        kind=found["kind"],
        key=attribute_json.read(found["key"]) or {},
        live=attribute_json.read(found["live"]),
        restored=attribute_json.read(found["restored"]),
    )


def _other(report: LossReport, why: str) -> RollbackError:
    return RollbackError(
        f"The loss report {report.key} {why}.",
        code=Code.LOSS_REPORT_DAMAGED,
        next="Restore the table again, which writes a new report.",
    )
