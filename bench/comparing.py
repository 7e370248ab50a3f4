"""`python -m bench.comparing --items 1000000`: how much memory and time comparing two tables takes.

Both tables are made up as they are read, page by page, so that what the process grows by is the
comparison's own: what DynamoDB's client makes of a page is there, the network and the client's parsing
are not. One item in a hundred differs, one in a hundred is missing on either side.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollback.aws.rate_limit import Budget
from rollback.targets.table.comparison import Comparison
from rollback.targets.table.loss_report import Reports

_PAGE = 1000
_PART = 8 << 20
_FILLER = "x" * 900
_SIDES = ("live", "restored")


@dataclass
class MadeUp:
    """DynamoDB with two tables of `items` items of 1 KB, a page is 1 MB; and S3, which keeps nothing."""

    items: int
    uploaded: int = field(default=0)

    def scan(self, **request: Any) -> dict[str, Any]:
        """One page of a segment."""
        start = request.get("ExclusiveStartKey", request["Segment"])
        numbers = range(start, self.items, request["TotalSegments"])[:_PAGE]
        found = [item for number in numbers if (item := made(request["TableName"], number))]
        answer = {"Items": found, "ConsumedCapacity": {"CapacityUnits": 256.0}}
        if len(numbers) == _PAGE:
            answer["LastEvaluatedKey"] = numbers[-1] + request["TotalSegments"]
        return answer

    def batch_get_item(self, *, RequestItems: Any, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """The items under some keys."""
        ((table, asked),) = RequestItems.items()
        found = [made(table, int(key["PK"]["S"].partition("#")[2])) for key in asked["Keys"]]
        return {"Responses": {table: [item for item in found if item]}}

    def upload_fileobj(self, file: Any, *_: Any, **__: Any) -> None:
        """Reads a file as an upload in parts does."""
        while part := file.read(_PART):
            self.uploaded += len(part)

    def put_object(self, **_: Any) -> None:
        """Takes a small object."""


def made(table: str, number: int) -> dict[str, Any] | None:
    """Item `number` of a table; None where it has none."""
    if number % 100 == _SIDES.index(table):
        return None
    role = table if number % 100 == len(_SIDES) else "reader"
    return {
        "PK": {"S": f"PERSON#{number:09d}"},
        "SK": {"S": "-"},
        "role": {"S": role},
        "filler": {"S": _FILLER},
        "seen": {"N": str(number)},
    }


def compare(items: int) -> tuple[float, float, Mapping[str, int]]:
    """Seconds, the process's peak in MB until then, and what was counted."""
    account = MadeUp(items=items)
    compared = Comparison(
        client=account,
        live="live",
        restored="restored",
        keys=("PK", "SK"),
        ttl="",
        budget=Budget(rate=float("inf")),
        pause=lambda: None,
    )
    began = time.monotonic()
    reports = Reports(client=account, bucket="b", account="a")
    reports.write("R", compared.differences(), compared.counted)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1 << (20 if sys.platform == "darwin" else 10)
    )
    return time.monotonic() - began, peak, compared.counted()


def sizes(items: int) -> Iterator[int]:
    """A hundredth, a tenth, and all."""
    yield from (items // 100, items // 10, items)


def main() -> None:
    """Measure and print, smallest first: a peak never goes down again."""
    parser = argparse.ArgumentParser(prog="python -m bench.comparing", description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    for items in sizes(parser.parse_args().items):
        seconds, peak, counts = compare(items)
        print(f"{items:>12,} items  {seconds:7.1f} s  peak {peak:6.1f} MB  {counts}", flush=True)


if __name__ == "__main__":
    main()
