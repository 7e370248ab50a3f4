"""What is in S3 of a Terraform configuration: its state, the state's lock, and saved plans."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from rollback.aws.account import Account, code, explained
from rollback.core.errors import Code, Refused, UsageError
from rollback.model.plan import Plan
from rollback.model.resource_changes import ResourceChange
from rollback.targets.terraform.backend import Backend

# The facts of `position`, by which a state is recognised.
POSITION = ("serial", "lineage")
# What S3 says of an object that is not there; a HEAD has only a number to say it with.
_GONE = ("404", "NoSuchKey")
PLAN, LOCK_FILE = "plan.tfplan", ".terraform.lock.hcl"


@dataclass(frozen=True, kw_only=True, slots=True)
class StateLock:
    """Terraform's lock on the state; `created` is ISO 8601 as Terraform writes it."""

    id: str
    who: str
    created: str
    operation: str

    def __str__(self) -> str:
        return f"{self.who or 'somebody'} since {self.created or 'an unknown time'} ({self.operation or '?'})"


@dataclass(frozen=True)
class StateBucket:
    """The state of a configuration, which is in `backend`; saved plans are in the environment's own bucket."""

    account: Account
    backend: Backend

    @cached_property
    def _s3(self) -> Any:
        return self.account.client("s3")

    @cached_property
    def _states(self) -> Any:
        """The same where the state is."""
        return self.account.client("s3", region_name=self.backend.region)

    @property
    def name(self) -> str:
        """The environment's own bucket."""
        return self.account.settings.names.state_bucket

    def state(self) -> Mapping[str, Any]:
        """The state's JSON (`plan_json`); empty where nothing was ever applied. Raises `UsageError` where it
        is malformed.
        """
        try:
            found = json.loads(self._kept(self.backend.key) or b"{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UsageError(f"{self.backend} is not a Terraform state.", code=Code.STATE_INVALID)
        return found

    def held(self) -> StateLock | None:
        """Who holds the state's lock, if anybody does."""
        found = self._kept(f"{self.backend.key}.tflock")
        if found is None:
            return None
        info = json.loads(found)
        return StateLock(
            id=str(info.get("ID", "")),
            who=str(info.get("Who", "")),
            created=str(info.get("Created", "")),
            operation=str(info.get("Operation", "")).removeprefix("OperationType").lower(),
        )

    def free(self) -> Mapping[str, Any]:
        """As `state`, of a state that nobody has locked. Raises `Refused` as `must_be_free` does."""
        self.must_be_free()
        return self.state()

    def must_be_free(self) -> None:
        """Raises `Refused` naming who has locked the state, where somebody has."""
        if (held := self.held()) is not None:
            raise Refused(
                f"The Terraform state is locked by somebody else: {held}.",
                code=Code.STATE_LOCKED,
                next="Wait until they are done, then try again; of a lock that nobody holds any more: terraform "
                f"force-unlock {held.id}",
            )

    def keep(self, rollback_id: str, *files: Path) -> None:
        """Puts files away under a record's id, encrypted: a plan holds secrets in the clear."""
        for file in filter(Path.exists, files):
            with explained("keeping the saved plan in the state bucket"):
                self._s3.put_object(
                    Bucket=self.name,
                    Key=_key(rollback_id, file.name),
                    Body=file.read_bytes(),
                    ServerSideEncryption="AES256",
                    **self._owned(self.name),
                )

    def forget(self, rollback_id: str) -> None:
        """Deletes a record's saved plan permanently, in a bucket that keeps versions as well; nothing where it is gone."""
        saved = {"Bucket": self.name, "Key": _key(rollback_id, PLAN), **self._owned(self.name)}
        with explained("deleting the saved plan in the state bucket"):
            try:
                version = self._s3.head_object(**saved).get("VersionId")
            except ClientError as error:
                if code(error) in _GONE:
                    return
                raise
            self._s3.delete_object(**saved, **({"VersionId": version} if version else {}))

    def fetch(
        self, plan: Plan[ResourceChange], rollback_id: str, folder: Path, names: Collection[str]
    ) -> None:
        """Brings of a record's saved plan and lock file those in `names` to `folder`.

        Raises `Refused` where either is gone or is not what the record's digest covers.
        """
        for name, fact in ((PLAN, "plan"), (LOCK_FILE, "lock-file")):
            if name not in names or not plan.facts[fact]:
                continue
            found = self._read(self._s3, self.name, _key(rollback_id, name))
            if found is None or hashlib.sha256(found).hexdigest() != plan.facts[fact]:
                what = "is gone from the state bucket" if found is None else "is not the one that was planned"
                raise Refused(
                    f"The saved {'plan' if fact == 'plan' else 'lock file'} of {rollback_id} {what}.",
                    code=Code.PLAN_OUTDATED,
                    next=f"rollback abort {rollback_id} --env {plan.environment}  # then plan again",
                )
            (folder / name).write_bytes(found)

    def _kept(self, key: str) -> bytes | None:
        return self._read(self._states, self.backend.bucket, key)

    def _read(self, s3: Any, bucket: str, key: str) -> bytes | None:
        """An object's content; None where there is no such object."""
        with explained(f"reading {key} in the bucket {bucket}"):
            try:
                found: bytes = s3.get_object(Bucket=bucket, Key=key, **self._owned(bucket))["Body"].read()
            except ClientError as error:
                if code(error) == "NoSuchKey":
                    return None
                raise
        return found

    def _owned(self, bucket: str) -> dict[str, str]:
        """Whose the bucket has to be: names of buckets are the world's. Whose another one is that a commit names,
        nobody here knows.
        """
        return {"ExpectedBucketOwner": self.account.settings.account} if bucket == self.name else {}


def _key(rollback_id: str, name: str) -> str:
    """Where a file of a record is kept."""
    return f"rollback/{rollback_id}/{name}"


def position(state: Mapping[str, Any]) -> dict[str, str]:
    """Which version of a state it is: `{"serial": "7", "lineage": <SHA-256>}`. The lineage is the key of
    hashes, and so only its hash is kept.
    """
    lineage = str(state.get("lineage", ""))
    return {
        "serial": str(state.get("serial", 0)),
        "lineage": hashlib.sha256(lineage.encode()).hexdigest() if lineage else "",
    }
