"""Six functions with everything that an alias can be, put back to where they began between two runs.

| function | begins at | goes to |
|---|---|---|
| team-service-get | 3, written once more by hand after the release was recorded | 2 |
| team-service-list | 3, a tenth on 2, as recorded | 2 |
| role-service-get | 2 | 2 |
| the other three | 3 | 2 |
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localaws.emulator.server import copy_account
from rollback.config.naming import ROLLBACK
from rollback.ledger.repository import Ledger
from rollback.ledger.store import LedgerTable
from rollback.model.record import chain_break
from tests.crashes import calls
from tests.e2e.estate_under_test import ALICE, DAN, FUNCTIONS, REASON, Person, Platform
from tests.warm import Child, Warm

CAROL = Person(role=ROLLBACK, name="carol")
UNRECORDED, RECORDED, STAYS = "team-service-get", "team-service-list", "role-service-get"
START: dict[str, tuple[str, dict[str, float]]] = {
    **dict.fromkeys(FUNCTIONS, ("3", {})),
    UNRECORDED: ("3", {}),
    RECORDED: ("3", {"2": 0.1}),
    STAYS: ("2", {}),
}
GOAL: dict[str, tuple[str, dict[str, float]]] = dict.fromkeys(FUNCTIONS, ("2", {}))
# What tells an entry of the trail from another of its number.
_ENTRY_HASH = re.compile(r"-[0-9a-f]{64}(?=\.json$)")
# The service of the emulator that keeps functions and their aliases.
_FUNCTIONS = ("lambda_svc",)
# The least that the settings allow: whoever takes over waits for so long.
LEASE_SECONDS = 2
VERB = ("lambda", "--reason", REASON)


@dataclass(frozen=True, kw_only=True)
class State:
    """All that a rollback of aliases may change, without ids and times."""

    aliases: Mapping[str, tuple[str, Mapping[str, float]]]
    parameters: Mapping[str, str]
    # Service and version of what must not come back.
    quarantined: frozenset[tuple[str, str]]
    # Kind, version, status and what stands, oldest first.
    timeline: tuple[tuple[str, str, str, tuple[tuple[str, str], ...]], ...]
    # Status, counts, outcomes of the functions, and whether the checks passed, of each record.
    records: tuple[tuple[Any, ...], ...]
    holders: tuple[str, ...]
    # What the audit trail's bucket keeps.
    kept: tuple[str, ...]


@dataclass(kw_only=True)
class AliasEstate:
    """One account in which rollbacks are begun again and again. `known` names the ids of its releases."""

    platform: Platform
    warm: Warm
    clone: Path = field(init=False)
    known: dict[str, str] = field(init=False, default_factory=dict)
    _items: list[dict[str, Any]] = field(init=False, default_factory=list)
    _parameters: dict[str, str] = field(init=False, default_factory=dict)
    _kept: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.platform.configure(leaseSeconds=LEASE_SECONDS)
        self.clone = self.platform.clone()
        platform = self.platform
        self._unlock()
        platform.deploy("v1.1.0")
        self._record("v1.1.0")
        platform.deploy("v1.2.0", changed=[platform.name(tail) for tail in FUNCTIONS if tail != STAYS])
        platform.move(RECORDED, *START[RECORDED])
        self._record("v1.2.0")
        platform.move(UNRECORDED, *START[UNRECORDED])
        copy_account(platform.endpoint, platform.settings.account, self._shadow, _FUNCTIONS)
        self._items = platform.raw_items()
        self._parameters = self._all_parameters()
        self._kept = {version["Key"] for version in self._versions()}
        for item in platform.items():
            if item["SK"] == "METADATA":
                self.known[item["PK"].partition("#")[2]] = f"<{item['version']}>"

    # -- running -----------------------------------------------------------------------------------------

    def start(self, *arguments: str, as_: Person = ALICE, endpoint: str | None = None) -> Child:
        """A command: alice's in the checkout, anybody else's in another clone."""
        cwd = self.platform.root if as_ == ALICE else self.clone
        arguments = (*arguments, "--env", self.platform.settings.environment)
        return self.warm.start(arguments, self.platform.variables(as_, endpoint=endpoint), cwd)

    def reset(self) -> None:
        """Everything as it was when this was made, RevisionIds too: the ledger's hashes cover them."""
        platform = self.platform
        copy_account(platform.endpoint, self._shadow, platform.settings.account, _FUNCTIONS)
        table, dynamodb = platform.settings.names.deployments_table, platform.root_client("dynamodb")
        for item in platform.raw_items():
            dynamodb.delete_item(TableName=table, Key={name: item[name] for name in ("PK", "SK")})
        for item in self._items:
            dynamodb.put_item(TableName=table, Item=item)
        for name, value in self._parameters.items():
            platform.root_client("ssm").put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
        for version in self._versions():
            if version["Key"] not in self._kept:
                where = {"Key": version["Key"], "VersionId": version["VersionId"]}
                platform.root_client("s3").delete_object(Bucket=self._bucket, **where)

    @property
    def _shadow(self) -> str:
        """The account that keeps the functions as they began."""
        return "9" + self.platform.settings.account[1:]

    @property
    def _bucket(self) -> str:
        return self.platform.settings.names.audit_bucket(self.platform.settings.account)

    def _unlock(self) -> None:
        """Makes the audit trail's bucket anew, without the lock that keeps even this from beginning again."""
        s3, region = self.platform.root_client("s3"), self.platform.settings.region
        with contextlib.suppress(s3.exceptions.NoSuchBucket):
            s3.delete_bucket(Bucket=self._bucket)
        s3.create_bucket(Bucket=self._bucket, CreateBucketConfiguration={"LocationConstraint": region})
        enabled = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=self._bucket, VersioningConfiguration=enabled)

    def _versions(self) -> list[dict[str, Any]]:
        found = self.platform.root_client("s3").list_object_versions(Bucket=self._bucket)
        return list(found.get("Versions", []))

    def _record(self, version: str) -> None:
        run = self.start("release", "record", "--version", version, "--commit", "a" * 40, as_=DAN).wait()
        assert run.code == 0, str(run)

    # -- what stands -------------------------------------------------------------------------------------

    def state(self) -> State:
        items = sorted(self.platform.items(), key=lambda item: (item["PK"], item["SK"]))
        return State(
            aliases=self.platform.live(),
            parameters=self._all_parameters(),
            quarantined=frozenset(
                (item["service"], item["version"])
                for item in items
                if item["SK"].startswith("QUARANTINE#") and "lifted_at" not in item
            ),
            timeline=tuple(
                (item["kind"], item["version"], item["status"], tuple(sorted(item["stands"].items())))
                for item in items
                if item["SK"].startswith("SEQ#")
            ),
            records=tuple(_recorded_end(item) for item in items if _is_record(item)),
            holders=tuple(item["SK"] for item in items if "owner" in item),
            kept=tuple(sorted({self._kept_as(version["Key"]) for version in self._versions()})),
        )

    def _kept_as(self, key: str) -> str:
        """A key of the audit trail without ids and hashes; entries keep their numbers."""
        return _ENTRY_HASH.sub("", calls.named(key, self.known))

    def owner(self) -> str | None:
        """On whose behalf the lease is held."""
        found = [str(item["owner"]) for item in self.platform.items() if "owner" in item]
        return found[0] if found else None

    def record(self) -> str | None:
        """The id of the rollback that has been recorded, if there is one."""
        found = [str(item["rollback_id"]) for item in self.platform.items() if _is_record(item)]
        assert len(found) < 2
        return found[0] if found else None

    def chain_break(self, record: str) -> str | None:
        """Where a record's journal does not hold together."""
        table = self.platform.settings.names.deployments_table
        opened = Ledger(LedgerTable(self.platform.root_client("dynamodb"), table), "dev").load(record)
        return chain_break(opened.record, opened.events)

    def _all_parameters(self) -> dict[str, str]:
        path = self.platform.settings.names.parameter_path
        found = self.platform.root_client("ssm").get_parameters_by_path(Path=path)["Parameters"]
        return {item["Name"]: item["Value"] for item in found}


def _is_record(item: Mapping[str, Any]) -> bool:
    return bool(item["SK"] == "METADATA" and item["PK"].startswith("ROLLBACK#"))


def _recorded_end(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a record says of its end."""
    checks = tuple((check["check"], check["ok"]) for check in item["verification"])
    return (item["status"], tuple(sorted(item["counts"].items())), checks)
