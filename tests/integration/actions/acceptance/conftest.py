"""An account that judges policies, and an administrator who may do what `--dry-run` lists and nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from localaws import identity
from localaws.clients import connect as as_root
from localaws.emulator import server
from localaws.emulator.server import Emulator
from rollback.aws.account import Account, connect
from rollback.config.settings import Settings
from rollback.rehearsal.acceptance import names, removal
from rollback.rehearsal.acceptance.names import SandboxNames
from rollback.rehearsal.acceptance.sandbox import Sandbox
from rollback.util.clocks import Clocks
from tests.doubles.world import settings

IDENTIFIER = Clocks(now=str).identifier


def now() -> datetime:
    return datetime.now(UTC)


def things(endpoint: str, of: Settings) -> dict[str, list[str]]:
    """All functions, roles, tables and buckets of the account, as its root sees them."""
    functions, iam, dynamodb, s3 = (
        as_root(service, endpoint, of) for service in ("lambda", "iam", "dynamodb", "s3")
    )
    return {
        "functions": sorted(one["FunctionName"] for one in functions.list_functions()["Functions"]),
        "roles": sorted(one["RoleName"] for one in iam.list_roles()["Roles"]),
        "tables": sorted(dynamodb.list_tables()["TableNames"]),
        "buckets": sorted(one["Name"] for one in s3.list_buckets()["Buckets"]),
    }


@pytest.fixture(scope="session")
def of() -> Settings:
    """The settings of acme's dev, at Lambda's own pace."""
    return settings(pace={"writes": 14.9, "burst": 13, "reads": 95})


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with server.running(auth=True) as running, pytest.MonkeyPatch.context() as patch:
        # Clients are made when a fact first needs them.
        patch.setenv("AWS_ENDPOINT_URL", running.endpoint)
        patch.delenv("AWS_SESSION_TOKEN", raising=False)
        yield running


@pytest.fixture(scope="module")
def person(emulator: Emulator, of: Settings) -> Callable[..., Account]:
    """The account as an IAM user sees it who has one policy; `endpoint` is the way to Lambda."""

    def made(name: str, policy: Any = None, endpoint: str = "") -> Account:
        keys = identity.person(emulator.endpoint, of, name)
        if policy is not None:
            as_root("iam", emulator.endpoint, of).put_user_policy(
                UserName=name, PolicyName="its", PolicyDocument=json.dumps(policy)
            )
        session = boto3.Session(region_name=of.region, **{key.lower(): value for key, value in keys.items()})
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", endpoint or emulator.endpoint)
            return connect(of, session)

    return made


@pytest.fixture(scope="module")
def administrator(person: Callable[..., Account], of: Settings) -> Account:
    return person("administrator", names.policy(of))


@pytest.fixture
def new(of: Settings) -> Callable[..., Sandbox]:
    """A sandbox of its own, with nothing in it yet."""

    def made(account: Account, **more: Any) -> Sandbox:
        run = SandboxNames(of, names.new_run(IDENTIFIER()))
        return Sandbox(
            account=account, names=run, now=now, stop=threading.Event(), patience=5.0, follows=1.0, **more
        )

    return made


@pytest.fixture(scope="module")
def shared(administrator: Account, of: Settings) -> Iterator[Sandbox]:
    """A sandbox that many facts are tried in; each leaves what it needs itself."""
    run = SandboxNames(of, names.new_run(IDENTIFIER()))
    sandbox = Sandbox(
        account=administrator, names=run, now=now, stop=threading.Event(), patience=5.0, follows=1.0
    )
    yield sandbox
    assert removal.remove(sandbox.client, of, sandbox.made) == []
