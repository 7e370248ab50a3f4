"""The access-management root works with what the deployer role may do, and with nothing more."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.boundary import boundary, trust
from components.of_settings import scope_of
from components.permissions import inline_policy
from components.policies import text
from localaws import identity, shell
from localaws.clients import connect
from localaws.emulator import server
from localaws.emulator.server import Emulator
from localaws.paths import ROOT
from rollback.config.naming import DEPLOYER, GITHUB_OIDC_HOST
from rollback.config.settings import Settings, load
from tests.prepared import terraform

STATE = "access-management/terraform.tfstate"


@dataclass(frozen=True, kw_only=True)
class Root:
    """A copy of `terraform/` that is run under the deployer role."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str, code: int = 0) -> str:
        """`terraform WORDS`, which has to end with `code`; what it said."""
        done = subprocess.run(
            [str(terraform()), *arguments, "-no-color"],
            cwd=self.folder,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def plan(self, *arguments: str, code: int) -> str:
        files = ("-var-file=environments/dev.tfvars", "-input=false", "-detailed-exitcode")
        return self.run("plan", *files, *arguments, code=code)

    def changes(self) -> dict[str, list[str]]:
        """Address → actions of what is to be changed; the plan is in `changes.tfplan`."""
        self.plan("-out=changes.tfplan", code=2)
        shown = json.loads(self.run("show", "-json", "changes.tfplan"))
        return {
            one["address"]: one["change"]["actions"]
            for one in shown["resource_changes"]
            if one["change"]["actions"] != ["no-op"]
        }

    def apply(self) -> None:
        self.run("apply", "-input=false", "changes.tfplan")

    def copy(self, place: Path) -> Root:
        shutil.copytree(self.folder, place, symlinks=True)
        return Root(folder=place, environment=self.environment)


@pytest.fixture(scope="module")
def dev() -> Settings:
    return load(ROOT, "dev")


@pytest.fixture(scope="module")
def account() -> Iterator[Emulator]:
    with server.running(auth=True) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def deployer(account: Emulator, dev: Settings) -> dict[str, str]:
    """The variables of the deployer role, with its real trust, boundary and policy."""
    names = dev.names
    scope = scope_of(dev)
    iam = connect("iam", account.endpoint, dev)
    iam.create_open_id_connect_provider(
        Url=f"https://{GITHUB_OIDC_HOST}", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["0" * 40]
    )
    ceiling = iam.create_policy(PolicyName=names.boundary, PolicyDocument=text(boundary(scope)))
    iam.create_role(
        RoleName=names.role(DEPLOYER),
        AssumeRolePolicyDocument=text(
            trust(scope, dev.repository, names.github_environment(DEPLOYER), people=())
        ),
        PermissionsBoundary=ceiling["Policy"]["Arn"],
    )
    iam.put_role_policy(
        RoleName=names.role(DEPLOYER),
        PolicyName="permissions",
        PolicyDocument=text(inline_policy(DEPLOYER, scope)),
    )
    return identity.assume(account.endpoint, dev, DEPLOYER, "dora")


@pytest.fixture(scope="module")
def applied(
    account: Emulator, dev: Settings, deployer: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Root:
    """The root as it has been applied for the first time."""
    terraform()
    shell.make_bucket(connect("s3", account.endpoint, dev), dev)
    folder = tmp_path_factory.mktemp("terraform") / "root"
    shutil.copytree(ROOT / "terraform", folder, ignore=shutil.ignore_patterns(".terraform*"))
    environment = shell.environment(account.endpoint, dev, identity=deployer, folder=folder.parent)
    root = Root(folder=folder, environment={**shell.inherited(), **environment})
    backend = {"bucket": dev.names.state_bucket, "region": dev.region, "use_path_style": "true"}
    root.run("init", "-input=false", *(f"-backend-config={k}={v}" for k, v in backend.items()))
    assert root.changes() == {
        "aws_api_gateway_rest_api.access": ["create"],
        "aws_dynamodb_table.access_management": ["create"],
    }
    root.apply()
    return root


def test_the_root_declares_the_table_and_the_api(applied: Root, account: Emulator, dev: Settings) -> None:
    outputs = json.loads(applied.run("output", "-json"))

    tables = connect("dynamodb", account.endpoint, dev)
    table = tables.describe_table(TableName=dev.names.table("ddb-access-management"))["Table"]
    backups = tables.describe_continuous_backups(TableName=dev.names.table("ddb-access-management"))
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert {key["AttributeName"]: key["KeyType"] for key in table["KeySchema"]} == {
        "PK": "HASH",
        "SK": "RANGE",
    }
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"
    assert outputs["table_name"]["value"] == dev.names.table("ddb-access-management")
    assert outputs["api_name"]["value"] == dev.names.api("apigw")
    api = connect("apigateway", account.endpoint, dev).get_rest_api(restApiId=outputs["api_id"]["value"])
    assert api["name"] == dev.names.api("apigw")
    assert api["tags"]["Environment"] == "dev"


def test_what_is_deployed_needs_no_change_and_no_lock_is_left(
    applied: Root, account: Emulator, dev: Settings
) -> None:
    applied.plan(code=0)

    kept = connect("s3", account.endpoint, dev).list_objects_v2(Bucket=dev.names.state_bucket)["Contents"]
    assert [entry["Key"] for entry in kept] == [STATE]


@pytest.mark.soak  # test_target.py goes forward and back, both with updates in place
def test_a_change_is_an_update_in_place_and_can_be_reverted(applied: Root, tmp_path: Path) -> None:
    bad = applied.copy(tmp_path / "bad")
    main = bad.folder / "main.tf"
    main.write_text(main.read_text().replace('"The access platform\'s API"', '"Broken"'))
    main.write_text(main.read_text().replace('= "terraform"', '= "nobody"'))
    both = {
        "aws_api_gateway_rest_api.access": ["update"],
        "aws_dynamodb_table.access_management": ["update"],
    }

    assert bad.changes() == both
    bad.apply()
    good = applied.copy(tmp_path / "good")
    assert good.changes() == both
    good.apply()

    applied.plan(code=0)


def test_no_plan_deletes_the_table(applied: Root) -> None:
    output = applied.plan("-destroy", code=1)

    assert "aws_dynamodb_table.access_management" in output
    assert "prevent_destroy" in output


def test_another_accounts_credentials_are_refused(applied: Root) -> None:
    output = applied.plan("-var=account=123456789012", code=1)

    assert "not allowed" in " ".join(output.split())


def test_a_state_that_somebody_holds_is_left_alone(applied: Root, account: Emulator, dev: Settings) -> None:
    s3 = connect("s3", account.endpoint, dev)
    held = {"ID": "1", "Who": "alice", "Operation": "OperationTypeApply", "Created": "2026-11-24T00:00:00Z"}
    lock = {"Bucket": dev.names.state_bucket, "Key": f"{STATE}.tflock"}
    s3.put_object(**lock, Body=json.dumps(held).encode())

    try:
        output = applied.plan(code=1)
    finally:
        s3.delete_object(**lock)

    assert "Error acquiring the state lock" in output


def test_the_deployer_changes_no_api_but_this_one(
    account: Emulator, dev: Settings, deployer: dict[str, str]
) -> None:
    others = connect("apigateway", account.endpoint, dev)
    other = others.create_rest_api(name="somebody-elses")["id"]
    own = others.create_rest_api(name=dev.names.api("apigw"))["id"]
    client = connect("apigateway", account.endpoint, dev, deployer)
    described = [{"op": "replace", "path": "/description", "value": "changed"}]

    refused(lambda: client.create_rest_api(name="mine"))
    refused(lambda: client.update_rest_api(restApiId=other, patchOperations=described))
    refused(lambda: client.delete_rest_api(restApiId=other))
    refused(lambda: client.create_resource(restApiId=own, parentId="root", pathPart="x"))

    client.update_rest_api(restApiId=own, patchOperations=described)
    client.delete_rest_api(restApiId=own)
    client.delete_rest_api(restApiId=client.create_rest_api(name=dev.names.api("apigw"))["id"])


def test_the_deployer_deletes_neither_the_table_nor_the_state(
    applied: Root, account: Emulator, dev: Settings, deployer: dict[str, str]
) -> None:
    tables = connect("dynamodb", account.endpoint, dev, deployer)
    s3 = connect("s3", account.endpoint, dev, deployer)

    refused(lambda: tables.delete_table(TableName=dev.names.table("ddb-access-management")))
    refused(lambda: s3.delete_object(Bucket=dev.names.state_bucket, Key=STATE))


def refused(call: Any) -> None:
    with pytest.raises(ClientError) as raised:
        call()
    assert raised.value.response["Error"]["Code"].startswith("AccessDenied")
