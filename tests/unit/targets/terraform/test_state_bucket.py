"""Whose bucket it is that states and saved plans are read from and written to."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rollback.targets.terraform.backend import Backend, platform
from rollback.targets.terraform.state_bucket import StateBucket
from rollback.util.errors import RollbackError
from tests.doubles.world import settings

OWNER = settings().account


@dataclass
class S3:
    """Buckets of one account; a request that expects another owner gets S3's answer to that."""

    owner: str = OWNER
    written: list[str] = field(default_factory=list)

    def get_object(self, **asked: Any) -> Any:
        self._asked(asked)
        return {"Body": io.BytesIO(b'{"serial": 7, "lineage": "x"}')}

    def put_object(self, **asked: Any) -> None:
        self._asked(asked)
        self.written.append(asked["Key"])

    def _asked(self, asked: dict[str, Any]) -> None:
        if asked.get("ExpectedBucketOwner", self.owner) != self.owner:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")


def bucket(s3: S3, backend: Backend | None = None) -> StateBucket:
    account: Any = SimpleNamespace(client=lambda *_, **__: s3, settings=settings())
    return StateBucket(account, backend or platform(settings()))


@pytest.mark.finding("StateBucket")
def test_a_bucket_of_our_name_in_another_account_is_neither_read_nor_written(tmp_path: Path) -> None:
    theirs = S3(owner="999999999999")
    (tmp_path / "plan.tfplan").write_text("secrets")

    for ask in (
        bucket(theirs).state,
        bucket(theirs).held,
        lambda: bucket(theirs).keep("01J", tmp_path / "plan.tfplan"),
    ):
        with pytest.raises(RollbackError):
            ask()

    assert theirs.written == []
    assert bucket(S3()).state()["serial"] == 7


def test_a_commits_own_bucket_may_be_another_accounts_but_no_plan_is_kept_there(tmp_path: Path) -> None:
    theirs = S3(owner="999999999999")
    central = bucket(theirs, replace(platform(settings()), bucket="acme-states"))
    (tmp_path / "plan.tfplan").write_text("secrets")

    assert central.state()["serial"] == 7
    with pytest.raises(RollbackError):
        central.keep("01J", tmp_path / "plan.tfplan")
