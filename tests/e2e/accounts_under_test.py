"""Accounts with an environment in them: declared once by a real `pulumi up`, then copied for each test."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localaws import estate, shell
from localaws.clients import connect
from localaws.emulator import server
from localaws.emulator.server import copy_account
from rollback.config.naming import BREAK_GLASS, DRILL, GITHUB_OIDC_HOST, ROLES
from rollback.config.settings import Settings, load
from tests import asked, planted
from tests.e2e.estate_under_test import ADMIN, DAN, PATIENCE, RELEASED, Platform, checkout, git
from tests.warm import Warm

_DECLARED_IN = "690000000001"
# What releases change, and what else `stamp` makes.
_DECLARED = (*RELEASED, "iam")


@dataclass(frozen=True, kw_only=True)
class Template:
    """What `pulumi up` has declared in one account, to be stamped into others."""

    settings: Settings
    provider: Mapping[str, Any]
    policies: Mapping[str, str]
    roles: Mapping[str, Mapping[str, Any]]
    table: Mapping[str, Any]
    parameters: Mapping[str, str]


def declare(endpoint: str, environment: str, account: str, folder: Path) -> Template:
    """A real `pulumi up` of this repository's program, with the small catalogue, in `account`."""
    platform = whole(endpoint, environment, account, folder)
    try:
        return _read(endpoint, platform.settings)
    finally:
        platform.end()


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An environment that the engine has declared, at rest: its account, and the checkout that it was declared from.

    `template` is what it has of its own.
    """

    place: Path
    template: Template

    @contextmanager
    def awake(self, folder: Path, warm: Warm) -> Iterator[Platform]:
        """A copy of it in an empty folder, `pulumi` on PATH.

        On an emulator of its own: a bucket's name, and so that of the state, is one for all accounts.
        """
        shutil.copytree(self.place, folder, symlinks=True, dirs_exist_ok=True)
        root, settings = folder / "files" / "whole", self.template.settings
        with server.running(folder / "account", auth=True, calls=asked.folder()) as emulator:
            path = shell.environment(emulator.endpoint, settings, folder=folder / "files")["PATH"]
            platform = Platform(
                endpoint=emulator.endpoint,
                settings=settings,
                root=root,
                folder=folder / "files",
                path=path,
                warm=warm,
            )
            try:
                yield platform
            finally:
                platform.end()


def keep(environment: str, place: Path) -> Kept:
    """Has the engine declare an environment, and keeps what comes of it."""
    with server.running(place / "account", auth=True, calls=asked.folder()) as emulator:
        template = declare(emulator.endpoint, environment, _DECLARED_IN, place / "files")
    return Kept(place=place, template=template)


def whole(endpoint: str, environment: str, account: str, folder: Path) -> Platform:
    """An environment that the engine has declared from a checkout of the whole program, `pulumi` on PATH."""
    platform = undeclared(endpoint, environment, account, folder)
    _plant(platform)
    stacks = {ADMIN: platform.settings.names.foundation_stack, DAN: environment}
    for person, stack in stacks.items():
        platform.pulumi("stack", "select", "--create", stack, as_=person)
        platform.pulumi("up", "--yes", "--skip-preview", "--stack", stack, as_=person)
    return platform


def undeclared(endpoint: str, environment: str, account: str, folder: Path) -> Platform:
    """A checkout of the whole program, and functions at v1.0.0 in an account with nothing else."""
    root = folder / "whole"
    checkout(root, environment, account, whole=True)
    settings = load(root, environment)
    shell.prepare(endpoint, settings)
    path = shell.environment(endpoint, settings, folder=folder)["PATH"]
    return Platform(endpoint=endpoint, settings=settings, root=root, folder=folder, path=path)


def _plant(platform: Platform) -> None:
    """A secret in the configuration of both stacks, which the program hands on: to an output, and to what is
    changed by every bad commit.
    """
    root = platform.root
    token = 'pulumi.Config("planted").require_secret("token")'
    parameters, program = root / "components" / "release_parameters.py", root / "__main__.py"
    plain = 'tags=tags(names, "release-parameters")'
    text = parameters.read_text()
    assert plain in text
    parameters.write_text(
        text.replace(plain, f'tags={{**tags(names, "release-parameters"), "planted": {token}}}')
    )
    program.write_text(f'{program.read_text()}\nimport pulumi\npulumi.export("planted", {token})\n')
    foundation = platform.settings.names.foundation_stack
    platform.pulumi("stack", "select", "--create", foundation, as_=ADMIN)
    # What is typed here is searched for everywhere (`tests.planted`), so it is not heard itself.
    subprocess.run(
        ["pulumi", "config", "set", "planted:token", "--secret", "--stack", foundation],
        cwd=root,
        env=platform.variables(ADMIN),
        input=planted.secret("pulumi"),
        text=True,
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )
    git(root, "commit", "-qam", "a secret")


class Models:
    """Accounts of an emulator that others are copied from: one that `stamp` has made, and one with its story."""

    def __init__(self, endpoint: str, kept: Callable[[str], Kept], folder: Path, warm: Warm) -> None:
        self._endpoint, self._kept, self._folder, self._warm = endpoint, kept, folder, warm
        self._numbers = itertools.count(740_000_000_000)
        self._plain: dict[str, Platform] = {}
        self._told: dict[str, Platform] = {}

    def another(self, environment: str, account: str, folder: Path) -> Platform:
        """An account of its own, with functions at v1.0.0 and nothing recorded, and a checkout that names it."""
        if environment not in self._plain:
            number = str(next(self._numbers))
            template = self._kept(environment).template
            self._plain[environment] = stamp(template, self._endpoint, number, self._folder / number)
        plain, root = self._plain[environment], folder / "checkout"
        checkout(root, environment, account)
        copy_account(self._endpoint, plain.settings.account, account, _DECLARED)
        return Platform(
            endpoint=self._endpoint,
            settings=load(root, environment),
            root=root,
            folder=folder,
            models=self,
            warm=self._warm,
            table=plain.table,
        )

    def told(self, environment: str) -> Platform:
        """The account with the story, which the command has recorded."""
        if environment not in self._told:
            number = str(next(self._numbers))
            platform = self.another(environment, number, self._folder / number)
            platform.models = None
            platform.story()
            self._told[environment] = platform
        return self._told[environment]


def stamp(template: Template, endpoint: str, account: str, folder: Path) -> Platform:
    """What `template` declares, in another account, with functions at v1.0.0 and a checkout that names it."""
    root, environment = folder / "checkout", template.settings.environment
    checkout(root, environment, account)
    settings = load(root, environment)
    platform = Platform(
        endpoint=endpoint,
        settings=settings,
        root=root,
        folder=folder,
        table=template.table,
    )
    iam, dynamodb, ssm, functions, s3 = map(platform.root_client, ("iam", "dynamodb", "ssm", "lambda", "s3"))

    def ours(text: str) -> str:
        return text.replace(template.settings.account, account)

    iam.create_open_id_connect_provider(**template.provider)
    for name, document in template.policies.items():
        iam.create_policy(PolicyName=name, PolicyDocument=ours(document))
    for name, role in template.roles.items():
        iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=ours(role["trust"]),
            PermissionsBoundary=ours(role["boundary"]),
        )
        for policy, document in role["inline"].items():
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=ours(document))
        for attached in role["attached"]:
            iam.attach_role_policy(RoleName=name, PolicyArn=ours(attached))
    dynamodb.create_table(**template.table)
    # With a lock a bucket is versioned; nothing here waits for a retention to end.
    s3.create_bucket(
        Bucket=settings.names.audit_bucket(account),
        ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={"LocationConstraint": settings.region},
    )
    for name, value in template.parameters.items():
        ssm.put_parameter(Name=name, Value=value, Type="String")
    estate.establish(iam, settings)
    estate.deploy(functions, settings, "v1.0.0", create_alias=True)
    return platform


def _read(endpoint: str, settings: Settings) -> Template:
    """What an account has of the environment's own."""
    iam, dynamodb, ssm = (connect(service, endpoint, settings) for service in ("iam", "dynamodb", "ssm"))
    provider = iam.get_open_id_connect_provider(
        OpenIDConnectProviderArn=f"arn:aws:iam::{settings.account}:oidc-provider/{GITHUB_OIDC_HOST}"
    )
    policies = {
        found["PolicyName"]: json.dumps(
            iam.get_policy_version(PolicyArn=found["Arn"], VersionId=found["DefaultVersionId"])[
                "PolicyVersion"
            ]["Document"]
        )
        for found in iam.list_policies(Scope="Local")["Policies"]
    }
    table = dynamodb.describe_table(TableName=settings.names.deployments_table)["Table"]
    found = ssm.get_parameters_by_path(Path=settings.names.parameter_path)["Parameters"]
    return Template(
        settings=settings,
        provider={
            "Url": f"https://{GITHUB_OIDC_HOST}",
            "ClientIDList": provider["ClientIDList"],
            "ThumbprintList": provider["ThumbprintList"] or ["0" * 40],
        },
        policies=policies,
        roles={
            settings.names.role(role): _role(iam, settings.names.role(role))
            for role in (*ROLES, BREAK_GLASS, *((DRILL,) if settings.drills else ()))
        },
        table={
            "TableName": table["TableName"],
            "KeySchema": table["KeySchema"],
            "AttributeDefinitions": table["AttributeDefinitions"],
            "GlobalSecondaryIndexes": [
                {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
                for index in table["GlobalSecondaryIndexes"]
            ],
            "BillingMode": "PAY_PER_REQUEST",
        },
        parameters={item["Name"]: item["Value"] for item in found},
    )


def _role(iam: Any, name: str) -> dict[str, Any]:
    role = iam.get_role(RoleName=name)["Role"]
    return {
        "trust": json.dumps(role["AssumeRolePolicyDocument"]),
        "boundary": role["PermissionsBoundary"]["PermissionsBoundaryArn"],
        "inline": {
            policy: json.dumps(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"])
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
        },
        "attached": [
            item["PolicyArn"] for item in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        ],
    }
