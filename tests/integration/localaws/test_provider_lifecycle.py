"""Each type through its whole life on the emulator, under the real engine.

One emulator serves the module; every test has a stack of its own in an account of its own.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from localaws.emulator import server
from localaws.toolchain.build import ensure_plugins
from localaws.toolchain.tools import ENGINE
from rollback.util.process_identity import began
from tests.integration.provider_stack import Stack
from tests.prepared import prepared

# A program is BASE and the parts that its test is about: every step of a smaller one takes less time.
BASE = """
import json
import pulumi
import pulumi_aws as aws

REV, PATH, VALUE, RANGE, INDEX = "1", "/", "one", "SK", "GSI1"
account = aws.get_caller_identity().account_id
def allow(actions):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": actions, "Resource": "*"}]})
trust = json.dumps({"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}]})
tags = {"rev": REV}
"""
TABLE = """
table = aws.dynamodb.Table(
    "table", name="deployments", billing_mode="PAY_PER_REQUEST", hash_key="PK", range_key=RANGE,
    attributes=[{"name": n, "type": "S"} for n in ("PK", RANGE, INDEX + "PK")],
    global_secondary_indexes=[{"name": INDEX, "hash_key": INDEX + "PK", "projection_type": "ALL"}],
    point_in_time_recovery={"enabled": REV != "2"}, server_side_encryption={"enabled": True}, tags=tags)
pulumi.export("table", table.arn)
"""
ROLE = """
boundary = aws.iam.Policy("boundary", name="boundary", policy=allow(["s3:Get" + REV, "s3:List"]), tags=tags)
role = aws.iam.Role(
    "role", name="deployer", path=PATH, assume_role_policy=trust, permissions_boundary=boundary.arn,
    description="rev " + REV, max_session_duration=7200, tags=tags)
inline = aws.iam.RolePolicy("inline", name="inline", role=role.name, policy=allow(["s3:Get" + REV]))
attached = aws.iam.RolePolicyAttachment("attached", role=role.name, policy_arn=boundary.arn)
"""
OIDC = """
oidc = aws.iam.OpenIdConnectProvider(
    "oidc", url="https://token.actions.githubusercontent.com", client_id_lists=["sts.amazonaws.com"],
    tags={"fixed": "yes"})
"""
ALIAS = """
alias = aws.lambda_.Alias("live", name="live", function_name="work", function_version="1",
    opts=pulumi.ResourceOptions(ignore_changes=["functionVersion", "routingConfig", "description"]))
"""
PARAMETER = """
parameter = aws.ssm.Parameter("parameter", name="/dev/version", type="String", value=VALUE, tags=tags)
"""
EVERYTHING = f"""{BASE}{TABLE}{ROLE}{OIDC}{ALIAS}{PARAMETER}
function = aws.lambda_.get_function(function_name="work")
pulumi.export("newest", function.version)
plain = aws.lambda_.Alias("plain", name="plain", function_name="work", function_version=REV,
    routing_config={{"additional_version_weights": {{"3": 0.1}}}} if REV == "2" else None)
bucket = aws.s3.Bucket("bucket", bucket="reports-" + account, object_lock_enabled=True, tags=tags)
versioning = aws.s3.BucketVersioning("versioning", bucket=bucket.bucket,
    versioning_configuration={{"status": "Enabled"}})
lock = aws.s3.BucketObjectLockConfiguration("lock", bucket=bucket.bucket,
    rule={{"default_retention": {{"mode": "GOVERNANCE", "days": 30 if REV == "1" else 60}}}},
    opts=pulumi.ResourceOptions(depends_on=[versioning]))
encryption = aws.s3.BucketServerSideEncryptionConfiguration("encryption", bucket=bucket.bucket,
    rules=[{{"apply_server_side_encryption_by_default": {{"sse_algorithm": "AES256"}}}}])
closed = aws.s3.BucketPublicAccessBlock("closed", bucket=bucket.bucket, block_public_policy=True,
    restrict_public_buckets=True, block_public_acls=REV != "1")
"""


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack that the others are copied from; it stays empty."""
    folder = tmp_path_factory.mktemp("blank")
    with server.running(auth=False) as emulator:
        yield Stack.create(
            folder,
            pulumi=prepared(ENGINE),
            plugins=ensure_plugins(folder / "bin"),
            endpoint=emulator.endpoint,
        )


@pytest.fixture
def stack(blank: Stack, tmp_path: Path) -> Stack:
    """An empty stack, its account empty but for three versions of a function."""
    stack = blank.another(tmp_path)
    stack.publish("work", versions=3)
    return stack


@pytest.fixture(scope="module")
def applied(blank: Stack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A stack of everything, for tests that change nothing."""
    stack = blank.another(tmp_path_factory.mktemp("standing"))
    stack.publish("work", versions=3)
    stack.program(EVERYTHING)
    stack.up()
    return stack


def test_a_preview_of_new_resources_shows_what_only_the_deployment_will_show(stack: Stack) -> None:
    stack.program(EVERYTHING)

    done = stack.run("preview")

    assert done.code == 0, done.output
    assert set(done.counts()) == {"create"}
    assert not stack.aws("dynamodb").list_tables()["TableNames"]


def test_up_creates_every_type_and_shows_the_outputs_of_the_real_one(applied: Stack) -> None:
    made = applied.resources()
    table = applied.aws("dynamodb").describe_table(TableName="deployments")["Table"]
    role = applied.aws("iam").get_role(RoleName="deployer")["Role"]
    outputs = json.loads(applied.pulumi("stack", "output", "--json").stdout)
    assert table["GlobalSecondaryIndexes"][0]["IndexName"] == "GSI1"
    assert made["table"]["outputs"]["arn"] == table["TableArn"] == outputs["table"]
    assert made["table"]["id"] == "deployments"
    assert made["role"]["outputs"]["arn"] == f"arn:aws:iam::{applied.account}:role/deployer"
    assert made["role"]["outputs"]["uniqueId"] == role["RoleId"]
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == made["boundary"]["outputs"]["arn"]
    assert made["live"]["outputs"]["invokeArn"].endswith(":work:live/invocations")
    assert made["parameter"]["outputs"]["version"] == 1
    assert outputs["newest"] == "3", "getFunction gives the most recently published version"


def test_a_parameters_value_is_secret_in_the_state(applied: Stack) -> None:
    parameter = applied.resources()["parameter"]

    assert "ciphertext" in parameter["inputs"]["value"]
    assert "ciphertext" in parameter["outputs"]["value"]


@pytest.mark.soak  # tests/e2e/test_the_engine_keeps_it.py has every up but one change nothing
def test_a_second_up_changes_nothing_refreshed_or_not(applied: Stack) -> None:
    assert applied.up().counts() == {}
    assert applied.up("--refresh").counts() == {}


def test_what_may_change_in_place_is_updated_and_a_fixed_name_is_replaced_by_deleting_first(
    stack: Stack,
) -> None:
    stack.program(EVERYTHING)
    stack.up()
    stack.program(EVERYTHING.replace('"1", "/", "one"', '"2", "/", "two"'))

    done = stack.up()

    iam, made = stack.aws("iam"), stack.resources()
    policy = made["boundary"]["outputs"]["arn"]
    backups = stack.aws("dynamodb").describe_continuous_backups(TableName="deployments")
    alias = stack.aws("lambda").get_alias(FunctionName="work", Name="plain")
    locked = stack.aws("s3").get_object_lock_configuration(Bucket=f"reports-{stack.account}")
    assert done.counts() == {"update": 9}
    closed = stack.aws("s3").get_public_access_block(Bucket=f"reports-{stack.account}")
    assert closed["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": False,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }
    assert done.keys_of("role") == ["description", "tags"]
    assert iam.get_role(RoleName="deployer")["Role"]["Description"] == "rev 2"
    assert iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"] == "v2"
    assert "s3:Get2" in json.dumps(iam.get_role_policy(RoleName="deployer", PolicyName="inline"), default=str)
    assert (
        backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
        == "DISABLED"
    )
    assert (alias["FunctionVersion"], alias["RoutingConfig"]["AdditionalVersionWeights"]) == ("2", {"3": 0.1})
    assert stack.aws("ssm").get_parameter(Name="/dev/version")["Parameter"]["Value"] == "two"
    assert made["parameter"]["outputs"]["version"] == 2
    assert locked["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]["Days"] == 60

    stack.program(EVERYTHING.replace('"1", "/", "one", "SK", "GSI1"', '"2", "/ops/", "two", "SORT", "GSI2"'))

    done = stack.up()

    table = stack.aws("dynamodb").describe_table(TableName="deployments")["Table"]
    assert done.steps["table"] == ["delete-replaced", "replace", "create-replacement"]
    assert done.steps["role"] == ["delete-replaced", "replace", "create-replacement"]
    assert done.steps["inline"] == done.steps["attached"] == done.steps["role"], "its dependents go along"
    assert [key["AttributeName"] for key in table["KeySchema"]] == ["PK", "SORT"]
    assert table["GlobalSecondaryIndexes"][0]["IndexName"] == "GSI2"
    assert stack.aws("iam").get_role(RoleName="deployer")["Role"]["Path"] == "/ops/"
    assert stack.up("--refresh").counts() == {}


@pytest.mark.soak  # tests/integration/targets/stack/test_planner.py sees a drift and has it put right
def test_refresh_sees_drift_and_up_corrects_it(stack: Stack) -> None:
    stack.program(BASE + TABLE + ROLE + PARAMETER)
    stack.up()
    iam, made = stack.aws("iam"), stack.resources()
    iam.update_role(RoleName="deployer", Description="by hand", MaxSessionDuration=3600)
    iam.delete_role_policy(RoleName="deployer", PolicyName="inline")
    iam.detach_role_policy(RoleName="deployer", PolicyArn=made["boundary"]["outputs"]["arn"])
    stack.aws("ssm").put_parameter(Name="/dev/version", Value="by hand", Overwrite=True)
    stack.aws("dynamodb").tag_resource(
        ResourceArn=made["table"]["outputs"]["arn"], Tags=[{"Key": "by", "Value": "hand"}]
    )

    refreshed = stack.run("refresh", "--yes", "--skip-preview")
    seen = stack.resources()
    done = stack.up()

    assert refreshed.code == 0, refreshed.output
    assert not {"inline", "attached"} & seen.keys(), "what is gone leaves the state"
    assert seen["role"]["inputs"]["description"] == seen["role"]["outputs"]["description"] == "by hand"
    assert seen["table"]["inputs"]["tags"] == {"rev": "1", "by": "hand"}
    assert done.counts() == {"create": 2, "update": 3}
    role = iam.get_role(RoleName="deployer")["Role"]
    assert (role["Description"], role["MaxSessionDuration"]) == ("rev 1", 7200)
    assert iam.list_role_policies(RoleName="deployer")["PolicyNames"] == ["inline"]
    assert len(iam.list_attached_role_policies(RoleName="deployer")["AttachedPolicies"]) == 1
    assert stack.aws("ssm").get_parameter(Name="/dev/version")["Parameter"]["Value"] == "one"
    tags = stack.aws("dynamodb").list_tags_of_resource(ResourceArn=made["table"]["outputs"]["arn"])["Tags"]
    assert tags == [{"Key": "rev", "Value": "1"}]


@pytest.mark.finding("W9")
def test_a_description_that_the_program_does_not_declare_is_cleared_and_stays_so(stack: Stack) -> None:
    stack.program(BASE + PARAMETER)
    stack.up()
    ssm = stack.aws("ssm")
    ssm.put_parameter(Name="/dev/version", Value="one", Description="by hand", Overwrite=True)

    assert stack.up("--refresh").counts() == {"update": 1}

    (described,) = ssm.describe_parameters()["Parameters"]
    assert not described.get("Description")
    assert stack.up("--refresh").counts() == {}


@pytest.mark.soak  # tests/e2e/test_the_engine_keeps_it.py, with the whole program
def test_an_alias_that_was_rolled_back_stays_where_it_was_moved(stack: Stack) -> None:
    stack.program(BASE + ALIAS + PARAMETER)
    stack.up()
    client = stack.aws("lambda")
    client.update_alias(
        FunctionName="work",
        Name="live",
        FunctionVersion="2",
        Description="rolled back",
        RoutingConfig={"AdditionalVersionWeights": {"3": 0.2}},
    )
    deployed = ALIAS.replace('function_version="1"', 'function_version="3"')
    stack.program(BASE + deployed + PARAMETER.replace("VALUE", '"two"'))

    done = stack.up("--refresh")

    now = client.get_alias(FunctionName="work", Name="live")
    inputs = stack.resources()["live"]["inputs"]
    assert "update" not in done.steps["live"]
    assert done.counts() == {"update": 1}, "something else did change"
    assert (now["FunctionVersion"], now["Description"]) == ("2", "rolled back")
    assert now["RoutingConfig"]["AdditionalVersionWeights"] == {"3": 0.2}
    assert (inputs["functionVersion"], inputs["description"]) == ("2", "rolled back")
    assert stack.up("--refresh").counts() == {}


def test_a_lost_object_can_be_imported_and_is_then_all_the_same(stack: Stack) -> None:
    stack.program(BASE + ROLE + OIDC + ALIAS + PARAMETER)
    stack.up()
    before = stack.resources()
    ids = {
        "live": "work/live",
        "role": "deployer",
        "parameter": "/dev/version",
        "oidc": f"arn:aws:iam::{stack.account}:oidc-provider/token.actions.githubusercontent.com",
    }
    # Dependents of what is lost; they are imported likewise.
    ids |= {name: before[name]["id"] for name in ("inline", "attached")}
    stack.forget(ids)
    listed = [{"type": before[name]["type"], "name": name, "id": id_} for name, id_ in ids.items()]
    (stack.folder / "import.json").write_text(json.dumps({"resources": listed}))

    done = stack.pulumi(
        "import", "--file", "import.json", "--yes", "--protect=false", "--generate-code=false"
    )

    after = stack.resources()
    assert done.returncode == 0, done.stdout + done.stderr
    assert after["live"]["id"] == before["live"]["id"]
    assert after["role"]["outputs"]["uniqueId"] == before["role"]["outputs"]["uniqueId"]
    assert stack.up("--refresh").counts() == {}


def test_an_object_that_is_already_there_is_the_real_error(stack: Stack) -> None:
    stack.aws("ssm").put_parameter(Name="/dev/other", Value="x", Type="String")
    stack.program(
        'import pulumi_aws as aws\naws.ssm.Parameter("other", name="/dev/other", type="String", value="hush-hush")\n'
    )

    done = stack.up(ok=False)

    assert "ParameterAlreadyExists" in done.output
    assert "hush-hush" not in json.dumps(done.events)
    assert stack.aws("ssm").get_parameter(Name="/dev/other")["Parameter"]["Value"] == "x"


@pytest.mark.parametrize(
    ("declared", "refusal"),
    [
        ('aws.kinesis.Stream("stream")', "the local provider has no type aws:kinesis/stream:Stream"),
        (
            'aws.ssm.Parameter("mistaken", type="String", value="x", value_wo_version=1)',
            "'valueWoVersion' is no input of aws:ssm/parameter:Parameter here; did you mean 'value",
        ),
        ('aws.iam.Role("untrusted", assume_role_policy="{")', "contains an invalid JSON policy"),
    ],
)
def test_what_the_provider_does_not_know_is_refused_at_preview(
    stack: Stack, declared: str, refusal: str
) -> None:
    stack.program(f"import pulumi_aws as aws\n{declared}\n")

    done = stack.run("preview")

    assert done.code != 0
    assert refusal in done.output


def test_a_missing_function_is_an_error_that_names_it(stack: Stack) -> None:
    stack.program('import pulumi_aws as aws\naws.lambda_.get_function(function_name="wrok")')

    done = stack.run("preview")

    assert done.code != 0
    assert f"reading Lambda Function (wrok): couldn't find resource: account {stack.account}" in done.output


def test_another_account_is_refused(stack: Stack) -> None:
    stack.program(BASE)
    configured = stack.pulumi("config", "set", "--path", "aws:allowedAccountIds[0]", "093646564004")
    assert configured.returncode == 0, configured.stderr

    done = stack.run("preview")

    assert done.code != 0
    assert f"AWS account ID not allowed: {stack.account}" in done.output


def test_a_provider_ends_with_an_engine_that_was_killed(stack: Stack) -> None:
    # Its program waits until the engine is gone, so that the provider is there while that happens.
    stack.program(
        "import signal, pulumi_aws\npulumi_aws.get_caller_identity()\nprint('declared', flush=True)\nsignal.pause()\n"
    )
    engine = subprocess.Popen(
        ["pulumi", "preview", "--non-interactive"],
        cwd=stack.folder,
        env=stack.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert engine.stdout
    with engine.stdout as output:
        assert any("declared" in line for line in output), "the program came to its end"
        providers = children(engine.pid, "localaws.provider.main")
        engine.kill()
        engine.wait()

    assert len(providers) >= 1
    assert all(gone(pid) for pid in providers), "no provider outlives its engine"


def children(parent: int, module: str) -> list[int]:
    """The processes under `parent` whose command line names the module."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                ppid = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if ppid == parent and module in (entry / "cmdline").read_text():
                    found.append(int(entry.name))
    return found


def gone(pid: int, *, within: float = 60.0) -> bool:
    """Whether the process has ended, or ends in time."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if not began(pid):
            return True
        time.sleep(0.02)
    return False


def test_deletion_protection_prevents_a_destroy_and_what_is_already_gone_does_not(
    stack: Stack,
) -> None:
    stack.program(BASE + TABLE + ROLE + ALIAS + PARAMETER)
    stack.up()
    client = stack.aws("dynamodb")
    client.update_table(TableName="deployments", DeletionProtectionEnabled=True)
    stack.aws("ssm").delete_parameter(Name="/dev/version")
    stack.aws("lambda").delete_alias(FunctionName="work", Name="live")

    kept = stack.run("destroy", "--yes", "--skip-preview")
    client.update_table(TableName="deployments", DeletionProtectionEnabled=False)
    gone = stack.run("destroy", "--yes", "--skip-preview")

    assert kept.code != 0
    assert "deletion protection" in kept.output.lower()
    assert gone.code == 0, gone.output
    assert client.list_tables()["TableNames"] == []
    with pytest.raises(ClientError, match="NoSuchEntity"):
        stack.aws("iam").get_role(RoleName="deployer")
