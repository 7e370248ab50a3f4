"""The scenes of a table: restored beside the live one, and copied back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.crashes import calls
from tests.crashes.alias_estate import CAROL
from tests.e2e.estate_under_test import ALICE, BOB, Person, Platform, Run
from tests.proxy import Proxy
from tests.warm import Child, Warm

REASON = "an import overwrote it"
PEOPLE = ("alice", "bob", "carol", "dave")
THEN = {name: {"role": {"S": "admin"}} for name in PEOPLE[:3]}
NOW = {name: {"role": {"S": "nobody"}} for name in ("alice", "bob", "dave")}
_TABLE = {
    "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("PK", "SK")],
    "BillingMode": "PAY_PER_REQUEST",
    "Tags": [{"Key": "team", "Value": "access"}],
    "DeletionProtectionEnabled": True,
}


@dataclass(kw_only=True)
class TableScene:
    """What both have in common. `upstream` tells of a recovery window as AWS does; the emulator has none."""

    platform: Platform
    warm: Warm
    upstream: str
    name: str = "table"
    phases: calls.Phases = ()
    known: dict[str, str] = field(default_factory=dict)
    clone: Path = field(init=False)
    _before: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.clone = self.platform.clone()

    # -- what is typed -----------------------------------------------------------------------------------

    def start(self, *arguments: str, as_: Person, endpoint: str | None = None) -> Child:
        cwd = self.platform.root if as_ == ALICE else self.clone
        environment = self.platform.variables(as_, endpoint=endpoint or self.upstream)
        return self.warm.start([*arguments, "--env", "dev"], environment, cwd)

    def type(self, *arguments: str) -> Run:
        return self.start(*arguments, as_=CAROL).wait()

    def approved(self, *arguments: str) -> str:
        """The id of what alice asks for and bob approves."""
        asked = ("table", "--table", self.table, "--reason", REASON, "--json", *arguments)
        waiting = self.start(*asked, as_=ALICE).wait()
        assert waiting.code == 10, str(waiting)
        digest = waiting.json["digest"]
        approved = self.start("approve", waiting.id, "--digest", digest, as_=BOB).wait()
        assert approved.code == 0, str(approved)
        return waiting.id

    # -- what there is -----------------------------------------------------------------------------------

    @property
    def table(self) -> str:
        return self.platform.settings.names.table("ddb-access-management")

    @property
    def root(self) -> Any:
        return self.platform.root_client("dynamodb")

    def items(self, table: str) -> dict[str, Any]:
        return {
            item["PK"]["S"]: {name: value for name, value in item.items() if name not in ("PK", "SK")}
            for item in self.root.scan(TableName=table)["Items"]
        }

    def become(self, people: Mapping[str, Mapping[str, Any]]) -> None:
        """The live table holds exactly this."""
        for name in PEOPLE:
            key = {"PK": {"S": name}, "SK": {"S": "-"}}
            if name in people:
                self.root.put_item(TableName=self.table, Item={**key, **people[name]})
            else:
                self.root.delete_item(TableName=self.table, Key=key)

    def copies(self) -> list[str]:
        return [name for name in self.root.list_tables()["TableNames"] if "-restore-" in name]

    def begun(self) -> None:
        """From now on `record` looks for what is begun."""
        self._before = max(self._records(), default="")

    def record(self) -> str | None:
        return next((name for name in self._records() if name > self._before), None)

    def owner(self) -> str | None:
        return next((str(item["owner"]) for item in self.platform.items() if "owner" in item), None)

    def _records(self) -> list[str]:
        found = (item for item in self.platform.items() if item["SK"] == "METADATA")
        return [str(item["rollback_id"]) for item in found if item["PK"].startswith("ROLLBACK#")]


class Restore(TableScene):
    """`rollback table`, approved: a copy appears, with the live table's settings."""

    def fresh(self) -> None:
        for copy in self.copies():
            self.root.update_table(TableName=copy, DeletionProtectionEnabled=False)
            self.root.delete_table(TableName=copy)
        self.become(THEN)
        self.begun()

    def begin(self, endpoint: str) -> Child:
        at = datetime.now(UTC) - timedelta(hours=1)
        return self.start("apply", self.approved("--to", at.isoformat()), as_=ALICE, endpoint=endpoint)

    def deployed(self) -> dict[str, Any]:
        descriptions = [self.root.describe_table(TableName=copy)["Table"] for copy in self.copies()]
        return {
            "live": self.items(self.table),
            "copies": [self.items(one["TableName"]) for one in descriptions],
            "protected": [bool(one.get("DeletionProtectionEnabled")) for one in descriptions],
            "holder": self.owner(),
        }


class CopyBack(TableScene):
    """`rollback table --cutover copy-back`, approved: items that were overwritten are as they were."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.become(THEN)
        at = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        self.restore = self.approved("--to", at)
        with Proxy(self.upstream) as proxy:
            # The emulator restores the present: what is written before the comparison is the difference.
            proxy.meanwhile("TagResource", lambda: self.become(NOW))
            done = self.start("apply", self.restore, as_=ALICE, endpoint=proxy.endpoint).wait()
        assert done.code == 0, str(done)
        self.known[self.restore] = "<restore>"

    def fresh(self) -> None:
        self.become(NOW)
        self.begun()

    def begin(self, endpoint: str) -> Child:
        cut = self.approved("--to", f"restored:{self.restore}", "--cutover", "copy-back")
        return self.start("apply", cut, as_=ALICE, endpoint=endpoint)

    def deployed(self) -> dict[str, Any]:
        return {"live": self.items(self.table), "holder": self.owner()}


RESTORE_PHASES: calls.Phases = (
    ("identify", lambda call: call.startswith("GetCallerIdentity")),
    ("lock", lambda call: call.endswith(" take")),
    ("plan", lambda call: not call.endswith(" take")),
    ("approve", lambda call: call.endswith(" approved")),
    ("restore", lambda call: call.startswith("RestoreTable")),
    ("equip", lambda call: call.startswith(("TagResource", "UpdateContinuous", "UpdateTable"))),
    ("compare", lambda call: call.startswith("Scan")),
    ("verify", lambda call: call.startswith("DescribeTable")),
    ("close", lambda call: call.endswith(" closed")),
)
COPY_PHASES: calls.Phases = (
    *RESTORE_PHASES[:4],
    ("back up", lambda call: call.startswith("CreateBackup")),
    ("write", lambda call: call.endswith(" writing")),
    ("put", lambda call: call.startswith("PutItem")),
    ("wrote", lambda call: call.endswith(" wrote")),
    ("compare", lambda call: call.startswith("Scan")),
    ("close", lambda call: call.endswith(" closed")),
)


@contextmanager
def scenes(platform: Platform, warm: Warm) -> Iterator[list[TableScene]]:
    """Both scenes, one after the other upon one table with point-in-time recovery."""
    names, region = platform.settings.names, platform.settings.region
    bucket = {"LocationConstraint": region}
    platform.root_client("s3").create_bucket(Bucket=names.state_bucket, CreateBucketConfiguration=bucket)
    client = platform.root_client("dynamodb")
    client.create_table(TableName=names.table("ddb-access-management"), **_TABLE)
    on = {"PointInTimeRecoveryEnabled": True}
    client.update_continuous_backups(
        TableName=names.table("ddb-access-management"), PointInTimeRecoverySpecification=on
    )
    with Proxy(platform.endpoint) as proxy:
        proxy.rewrite("DescribeContinuousBackups", window)
        with_both = {"platform": platform, "warm": warm, "upstream": proxy.endpoint}
        yield [
            CopyBack(name="copy back", phases=COPY_PHASES, **with_both),
            Restore(name="restore", phases=RESTORE_PHASES, **with_both),
        ]
    remove(platform.root_client("s3"), platform)


def remove(s3: Any, platform: Platform) -> None:
    """Removes the state bucket from an account that has it: its name is one for all accounts."""
    bucket = platform.settings.names.state_bucket
    if bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        return
    found = s3.list_object_versions(Bucket=bucket)
    for version in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]:
        s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    s3.delete_bucket(Bucket=bucket)


def window(answer: Any) -> Any:
    """What AWS tells of a table whose recovery has been on for long."""
    now = datetime.now(UTC)
    recovery = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    if recovery["PointInTimeRecoveryStatus"] == "ENABLED":
        recovery["EarliestRestorableDateTime"] = (now - timedelta(days=35)).timestamp()
        recovery["LatestRestorableDateTime"] = (now - timedelta(minutes=5)).timestamp()
    return answer
