"""The S3 objects of a Terraform configuration: its state, the state's lock, and saved plans."""

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
from rollback.model.plan import Plan
from rollback.model.resource_changes import ResourceChange
from rollback.targets.terraform.backend import Backend
from rollback.util.errors import Code, Refused, UsageError

# The facts of `position`, which identify a state.
POSITION = ("serial", "lineage")
# Error codes for a missing object; a HEAD request only returns a number.
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
        return f"{self.who or 'an unknown holder'} since {self.created or 'an unknown time'} ({self.operation or '?'})"


@dataclass(frozen=True)
class StateBucket:
    """The state of a configuration, which is in `backend`; saved plans are in the environment's bucket."""

    account: Account
    backend: Backend

    @cached_property
    def _s3(self) -> Any:
        return self.account.client("s3")

    @cached_property
    def _states(self) -> Any:
        """The client for the state's bucket."""
        return self.account.client("s3", region_name=self.backend.region)

    @property
    def name(self) -> str:
        """The environment's bucket."""
        return self.account.settings.names.state_bucket

    def state(self) -> Mapping[str, Any]:
        """The state's JSON (`plan_json`); empty before the first apply. Raises `UsageError` where it
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
        """The state's lock, if it is locked."""
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
        """Like `state`, but the state must not be locked. Raises `Refused` as `must_be_free` does."""
        self.must_be_free()
        return self.state()

    def must_be_free(self) -> None:
        """Raises `Refused` naming the lock's holder, if the state is locked."""
        if (held := self.held()) is not None:
            raise Refused(
                f"The Terraform state is locked by {held}.",
                code=Code.STATE_LOCKED,
                next="Wait until it is unlocked, then run the same command again. If its holder has crashed: terraform "
                f"force-unlock {held.id}",
            )

    def keep(self, rollback_id: str, *files: Path) -> None:
        """Stores files under a record's id, encrypted, because a plan contains secrets in plain text."""
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
        """Deletes a record's saved plan with all its versions; does nothing if it does not exist."""
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
        """Downloads those of a record's saved plan and lock file that are in `names` to `folder`.

        Raises `Refused` where one does not exist or does not match the record's digest.
        """
        for name, fact in ((PLAN, "plan"), (LOCK_FILE, "lock-file")):
            if name not in names or not plan.facts[fact]:
                continue
            found = self._read(self._s3, self.name, _key(rollback_id, name))
            if found is None or hashlib.sha256(found).hexdigest() != plan.facts[fact]:
                what = (
                    "is no longer in the state bucket"
                    if found is None
                    else "was changed since the plan was made"
                )
                raise Refused(
                    f"The saved {'plan' if fact == 'plan' else 'lock file'} of {rollback_id} {what}.",
                    code=Code.PLAN_OUTDATED,
                    next=f"rollback abort {rollback_id} --env {plan.environment}  # then plan again",
                )
            (folder / name).write_bytes(found)

    def _kept(self, key: str) -> bytes | None:
        return self._read(self._states, self.backend.bucket, key)

    def _read(self, s3: Any, bucket: str, key: str) -> bytes | None:
        """An object's content; None if it does not exist."""
        with explained(f"reading {key} in the bucket {bucket}"):
            try:
                found: bytes = s3.get_object(Bucket=bucket, Key=key, **self._owned(bucket))["Body"].read()
            except ClientError as error:
                if code(error) == "NoSuchKey":
                    return None
                raise
        return found

    def _owned(self, bucket: str) -> dict[str, str]:
        """The expected owner of a bucket, because bucket names are global. For a bucket that only a commit names,
        the owner is unknown.
        """
        return {"ExpectedBucketOwner": self.account.settings.account} if bucket == self.name else {}


def _key(rollback_id: str, name: str) -> str:
    """The key of a record's file."""
    return f"rollback/{rollback_id}/{name}"


def position(state: Mapping[str, Any]) -> dict[str, str]:
    """The identity of a state's version: `{"serial": "7", "lineage": <SHA-256>}`. The lineage is the key of
    hashes, so that only its hash is stored.
    """
    lineage = str(state.get("lineage", ""))
    return {
        "serial": str(state.get("serial", 0)),
        "lineage": hashlib.sha256(lineage.encode()).hexdigest() if lineage else "",
    }
