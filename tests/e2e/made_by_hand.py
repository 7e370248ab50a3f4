"""What the program declares, made by somebody else's hand: plain calls of boto3, in nobody's state.

    everything = declared(root, settings)
    make(Clients(endpoint, settings), everything)

What is to be made is what the program of the checkout in `root` registers with a double of the engine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localaws import shell
from localaws.clients import connect
from localaws.paths import ROOT
from rollback.config.settings import Settings

TABLE = "aws:dynamodb/table:Table"
_PROGRAM = """
import json, pathlib, runpy, sys
root, environment, account = sys.argv[1:]
sys.path[:0] = [root, sys.argv[0]]
import yaml
from pulumi_mocks import run
project = yaml.safe_load(pathlib.Path(root, "Pulumi.yaml").read_text())
values = {f"rollback:{key}": declared.get("default") for key, declared in project["config"].items()}
values |= yaml.safe_load(pathlib.Path(root, f"Pulumi.{environment}.yaml").read_text())["config"]
config = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
program = lambda: runpy.run_path(str(pathlib.Path(root, "__main__.py")))
stacks = (f"{environment}-foundation", environment)
runs = [run(program, stack=stack, config=config, account=account, versions=None) for stack in stacks]
made = [one for ran in runs for one in ran.resources]
print(json.dumps([[one.type, one.name, one.protect, one.inputs] for one in made if one.type.startswith("aws:")]))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """One resource as the program registers it; its inputs in the SDK's spelling."""

    type: str
    name: str
    protect: bool
    inputs: dict[str, Any]


def declared(root: Path, settings: Settings) -> list[Made]:
    """What the program declares, in an order in which it can be made."""
    parts = [str(root), settings.environment, settings.account]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys\nsys.argv[0] = {str(ROOT / 'tests' / 'unit' / 'components')!r}\n{_PROGRAM}",
            *parts,
        ],
        env=shell.inherited(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    fields = ("type", "name", "protect", "inputs")
    made = [Made(**dict(zip(fields, one, strict=True))) for one in json.loads(done.stdout)]
    order = list(_MAKERS)
    return sorted(made, key=lambda one: order.index(one.type))


@dataclass(frozen=True)
class Hand:
    """Whoever made it: the account's root."""

    endpoint: str
    settings: Settings

    def __call__(self, service: str) -> Any:
        return connect(service, self.endpoint, self.settings)

    def make(self, everything: Sequence[Made]) -> None:
        for one in everything:
            _MAKERS[one.type](self, one.inputs)

    def finish_table(self, name: str, tags: dict[str, str]) -> None:
        """What a table of the provider's version that Terraform has here lacks."""
        client = self("dynamodb")
        arn = client.describe_table(TableName=name)["Table"]["TableArn"]
        client.tag_resource(ResourceArn=arn, Tags=_tags(tags))
        client.update_table(TableName=name, DeletionProtectionEnabled=True)
        recovery = {"PointInTimeRecoveryEnabled": True}
        client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _spelt(document: str) -> str:
    """A policy as somebody else writes it: other white space, another order of keys."""
    return json.dumps(json.loads(document), indent=2, sort_keys=True)


def _table(hand: Hand, inputs: dict[str, Any]) -> None:
    keys = {"HASH": inputs["hashKey"], "RANGE": inputs["rangeKey"]}
    hand("dynamodb").create_table(
        TableName=inputs["name"],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for kind, name in keys.items()],
        AttributeDefinitions=[
            {"AttributeName": one["name"], "AttributeType": one["type"]} for one in inputs["attributes"]
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": index["name"],
                "KeySchema": [
                    {"AttributeName": key["attributeName"], "KeyType": key["keyType"]}
                    for key in index["keySchemas"]
                ],
                "Projection": {"ProjectionType": index["projectionType"]},
            }
            for index in inputs["globalSecondaryIndexes"]
        ],
        BillingMode=inputs["billingMode"],
    )
    hand.finish_table(inputs["name"], inputs["tags"])


def _provider(hand: Hand, inputs: dict[str, Any]) -> None:
    hand("iam").create_open_id_connect_provider(
        Url=inputs["url"],
        ClientIDList=inputs["clientIdLists"],
        ThumbprintList=["0" * 40],
        Tags=_tags(inputs["tags"]),
    )


def _policy(hand: Hand, inputs: dict[str, Any]) -> None:
    hand("iam").create_policy(
        PolicyName=inputs["name"],
        Description=inputs["description"],
        PolicyDocument=_spelt(inputs["policy"]),
        Tags=_tags(inputs["tags"]),
    )


def _role(hand: Hand, inputs: dict[str, Any]) -> None:
    hand("iam").create_role(
        RoleName=inputs["name"],
        Description=inputs["description"],
        AssumeRolePolicyDocument=_spelt(inputs["assumeRolePolicy"]),
        PermissionsBoundary=inputs["permissionsBoundary"],
        MaxSessionDuration=int(inputs.get("maxSessionDuration", 3600)),
        Tags=_tags(inputs["tags"]),
    )


def _inline(hand: Hand, inputs: dict[str, Any]) -> None:
    hand("iam").put_role_policy(
        RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=_spelt(inputs["policy"])
    )


def _attached(hand: Hand, inputs: dict[str, Any]) -> None:
    hand("iam").attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])


def _alias(hand: Hand, inputs: dict[str, Any]) -> None:
    hand("lambda").create_alias(FunctionName=inputs["functionName"], Name=inputs["name"], FunctionVersion="1")


def _parameter(hand: Hand, inputs: dict[str, Any]) -> None:
    hand("ssm").put_parameter(
        Name=inputs["name"], Value="somebody's", Type=inputs["type"], Tags=_tags(inputs["tags"])
    )


def _bucket(hand: Hand, inputs: dict[str, Any]) -> None:
    hand("s3").create_bucket(
        Bucket=inputs["bucket"],
        ObjectLockEnabledForBucket=inputs["objectLockEnabled"],
        CreateBucketConfiguration={"LocationConstraint": hand.settings.region},
    )
    hand("s3").put_bucket_tagging(Bucket=inputs["bucket"], Tagging={"TagSet": _tags(inputs["tags"])})


def _versioning(hand: Hand, inputs: dict[str, Any]) -> None:
    status = {"Status": inputs["versioningConfiguration"]["status"]}
    hand("s3").put_bucket_versioning(Bucket=inputs["bucket"], VersioningConfiguration=status)


def _lock(hand: Hand, inputs: dict[str, Any]) -> None:
    kept = inputs["rule"]["defaultRetention"]
    rule = {"DefaultRetention": {"Mode": kept["mode"], "Days": int(kept["days"])}}
    hand("s3").put_object_lock_configuration(
        Bucket=inputs["bucket"], ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )


def _encryption(hand: Hand, inputs: dict[str, Any]) -> None:
    (rule,) = inputs["rules"]
    algorithm = rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"]
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}]
    hand("s3").put_bucket_encryption(
        Bucket=inputs["bucket"], ServerSideEncryptionConfiguration={"Rules": rules}
    )


def _closed(hand: Hand, inputs: dict[str, Any]) -> None:
    parts = {name[0].upper() + name[1:]: value for name, value in inputs.items() if isinstance(value, bool)}
    hand("s3").put_public_access_block(Bucket=inputs["bucket"], PublicAccessBlockConfiguration=parts)


_S3 = "aws:s3/bucket"
_MAKERS: dict[str, Callable[[Hand, dict[str, Any]], None]] = {
    TABLE: _table,
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": _provider,
    "aws:iam/policy:Policy": _policy,
    "aws:iam/role:Role": _role,
    "aws:iam/rolePolicy:RolePolicy": _inline,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": _attached,
    "aws:lambda/alias:Alias": _alias,
    "aws:ssm/parameter:Parameter": _parameter,
    f"{_S3}:Bucket": _bucket,
    f"{_S3}Versioning:BucketVersioning": _versioning,
    f"{_S3}ObjectLockConfiguration:BucketObjectLockConfiguration": _lock,
    f"{_S3}ServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _encryption,
    f"{_S3}PublicAccessBlock:BucketPublicAccessBlock": _closed,
}
