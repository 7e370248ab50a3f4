"""What of an account a stack can take over, decided from what the engine and Terraform's state say."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rollback.config.naming import Names, arn
from rollback.config.sections import Terraform
from rollback.engines.pulumi.preview_events import PreviewStep, steps
from rollback.setup.adoption import import_ids
from rollback.setup.adoption.discovery import READERS
from rollback.setup.adoption.import_ids import (
    Declared,
    Importable,
    ImportPlan,
    ImportState,
)
from rollback.setup.adoption.import_preview import Forecast
from rollback.targets.terraform.backend import platform
from rollback.targets.terraform.state_bucket import StateBucket
from rollback.util.errors import Code, Refused, UsageError
from tests.coded import coded

ACCOUNT = "536580886816"
IAM = partial(arn, "iam", "eu-west-1", ACCOUNT)
STACK = "urn:pulumi:dev::rollback::pulumi:pulumi:Stack::rollback-dev"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
TABLE, ROLE, ALIAS = "aws:dynamodb/table:Table", "aws:iam/role:Role", "aws:lambda/alias:Alias"
POLICY, INLINE = "aws:iam/policy:Policy", "aws:iam/rolePolicy:RolePolicy"
ATTACHED = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
BUCKET, PARAMETER = "aws:s3/bucket:Bucket", "aws:ssm/parameter:Parameter"
ROLES = "rollback:index:GithubRoles"


def urn(type_: str, name: str, parent: str = ROLES) -> str:
    return f"urn:pulumi:dev::rollback::{parent}${type_}::{name}"


def step(type_: str, label: str, op: str = "create", /, **inputs: Any) -> PreviewStep:
    return PreviewStep(urn=urn(type_, label), type=type_, op=op, new=inputs)


def stack() -> PreviewStep:
    return PreviewStep(urn=STACK, type="pulumi:pulumi:Stack", op="same")


def component(op: str = "create") -> PreviewStep:
    plain = f"urn:pulumi:dev::rollback::{ROLES}::github-roles"
    return PreviewStep(urn=plain, type=ROLES, op=op, new={}, custom=False)


def forecast(
    *made: PreviewStep, depends: Mapping[str, Any] | None = None, deployed: bool = False
) -> Forecast:
    """What the engine says of these; its import file as the engine writes it."""
    entries: list[dict[str, Any]] = []
    parent: dict[str, Any] = {"type": ROLES, "name": "github-roles", "component": True}
    if not deployed:
        entries.append(parent)
    taken = set()
    for one in made:
        if one.op != "create":
            continue
        name = one.urn.rpartition("::")[2]
        entry = {"type": one.type, "name": name, "id": "<PLACEHOLDER>", "parent": "github-roles"}
        if name in taken:
            entry |= {"name": f"{name}{one.type.rpartition(':')[2]}", "logicalName": name}
        taken.add(name)
        entries.append(entry)
    table = {"github-roles": component().urn, "other": "urn:pulumi:dev::rollback::x:y:Z::other"}
    return Forecast(
        steps=(stack(), component("same" if deployed else "create"), *made),
        imports={"resources": entries, **({"nameTable": table} if deployed else {})},
        depends=depends or {},
    )


def declared(*made: PreviewStep, **more: Any) -> dict[str, str | None]:
    return {one.urn.rpartition("::")[2]: one.id for one in import_ids.declared(forecast(*made, **more), IAM)}


@pytest.mark.parametrize(
    ("type_", "inputs", "identifier"),
    [
        (TABLE, {"name": "t"}, "t"),
        (ROLE, {"name": "r"}, "r"),
        (POLICY, {"name": "p"}, f"arn:aws:iam::{ACCOUNT}:policy/p"),
        (POLICY, {"name": "p", "path": "/a/"}, f"arn:aws:iam::{ACCOUNT}:policy/a/p"),
        (INLINE, {"role": "r", "name": "p"}, "r:p"),
        (ATTACHED, {"role": "r", "policyArn": "arn:p"}, "r/arn:p"),
        (ALIAS, {"functionName": "f", "name": "live"}, "f/live"),
        (ALIAS, {"functionName": "arn:aws:lambda:eu-west-1:1:function:f", "name": "live"}, "f/live"),
        (PARAMETER, {"name": "/a/b"}, "/a/b"),
        (BUCKET, {"bucket": "b"}, "b"),
        ("aws:s3/bucketVersioning:BucketVersioning", {"bucket": "b"}, "b"),
        (
            "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
            {"url": "https://host/"},
            f"arn:aws:iam::{ACCOUNT}:oidc-provider/host",
        ),
        ("github:index/repositoryEnvironment:RepositoryEnvironment", {"environment": "dev"}, None),
        (ROLE, {"name": UNKNOWN}, None),
    ],
)
def test_a_resource_is_imported_by_the_id_that_its_type_has(
    type_: str, inputs: dict[str, str], identifier: str | None
) -> None:
    assert declared(step(type_, "it", **inputs)) == {"it": identifier}


def test_the_arn_of_a_policy_is_reported_before_the_policy_is_made() -> None:
    attached = step(ATTACHED, "a", role="r", policyArn=UNKNOWN)
    waits = {attached.urn: {"policyArn": (urn(POLICY, "p"),), "role": (urn(ROLE, "r"),)}}

    found = declared(attached, step(POLICY, "p", name="ours"), step(ROLE, "r", name="r"), depends=waits)

    assert found["a"] == f"r/arn:aws:iam::{ACCOUNT}:policy/ours"


def test_every_type_that_can_be_imported_can_be_looked_for() -> None:
    assert import_ids.KINDS.keys() == READERS.keys()


def test_the_import_file_is_the_engines_own_without_what_does_not_exist() -> None:
    forecasted = forecast(
        step(ROLE, "deployer", name="r"),
        step(INLINE, "deployer", role="r", name="p"),
        step(TABLE, "t", name="t"),
    )
    role, inline, _ = import_ids.declared(forecasted, IAM)

    assert import_ids.import_file(forecasted, [role, inline]) == {
        "resources": [
            {"type": ROLES, "name": "github-roles", "component": True},
            {"type": ROLE, "name": "deployer", "id": "r", "parent": "github-roles"},
            {
                "type": INLINE,
                "name": "deployerRolePolicy",
                "logicalName": "deployer",
                "id": "r:p",
                "parent": "github-roles",
            },
        ]
    }


def test_of_a_partly_adopted_estate_only_the_rest_is_imported_below_the_component_that_exists() -> None:
    forecasted = forecast(step(ROLE, "old", "same", name="o"), step(ROLE, "new", name="n"), deployed=True)
    everything = import_ids.declared(forecasted, IAM)
    new = [one for one in everything if not one.in_stack]

    made = import_ids.import_file(forecasted, new)

    assert [one.id for one in everything] == ["o", "n"]
    assert [entry["id"] for entry in made["resources"]] == ["n"]
    assert made["nameTable"] == {"github-roles": component().urn}
    assert [one.declared.id for one in import_ids.found(everything, set(), ())] == ["n"]


def test_the_state_of_a_resource_is_what_the_engine_would_do_once_it_is_imported() -> None:
    first = forecast(
        step(ROLE, "a", name="same"),
        step(ROLE, "b", name="changed"),
        step(TABLE, "c", name="replaced"),
        step(ROLE, "d", name="missing"),
        step("github:x:Y", "e"),
    )
    everything = import_ids.declared(first, IAM)
    then = [
        step(ROLE, "a", "same"),
        PreviewStep(
            urn=urn(ROLE, "b"), type=ROLE, op="update", properties=("description", "tags", "tagsAll")
        ),
        PreviewStep(
            urn=urn(TABLE, "c"),
            type=TABLE,
            op="replace",
            properties=("attributes", "hashKey"),
            replacing=("hashKey",),
        ),
    ]

    found = import_ids.found(everything, {urn(ROLE, "a"), urn(ROLE, "b"), urn(TABLE, "c")}, then)

    assert {one.declared.urn.rpartition("::")[2]: (str(one.state), one.then) for one in found} == {
        "a": ("exists", "adopted"),
        "b": ("differs", "adopted; pulumi up then changes description, tags"),
        "c": ("replaced", "refused: pulumi up would replace it for hashKey"),
        "d": ("missing", "pulumi up creates it"),
        "e": ("unseen", "not checked: pulumi up creates it"),
    }


@pytest.mark.finding("W9")
def test_audiences_of_others_that_an_identity_provider_would_lose_are_named() -> None:
    kind = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
    provider = PreviewStep(
        urn=urn(kind, "github"),
        type=kind,
        op="update",
        properties=("clientIdLists",),
        old={"clientIdLists": ["team-b", "sts.amazonaws.com", "team-a"]},
        new={"clientIdLists": ["sts.amazonaws.com"]},
    )
    declared = import_ids.Declared(urn=provider.urn, type=kind, id="arn", in_stack=False)

    (found,) = import_ids.found([declared], {provider.urn}, [provider])

    assert found.properties == ("clientIdLists (no longer team-a, team-b)",)


def test_a_component_is_distinguished_from_a_resource_by_what_the_engine_shows_of_it() -> None:
    def event(type_: str, **more: Any) -> tuple[str, Any]:
        new = {"type": type_, "inputs": {}, **more}
        return "resourcePreEvent", {
            "metadata": {"op": "create", "urn": urn(type_, "x"), "type": type_, "new": new}
        }

    found = {one.type: one.custom for one in steps([event(ROLE, custom=True), event(ROLES)])}

    assert found == {ROLE: True, ROLES: False}


def held(*resources: dict[str, Any]) -> tuple[str, ...]:
    names = Names(prefix="bbws-access", environment="dev")
    everything = import_ids.declared(
        forecast(
            step(TABLE, "t", name=names.deployments_table),
            step(ROLE, "r", "same", name="r"),
            step(ALIAS, "a", functionName="f", name="live"),
        ),
        IAM,
    )
    return import_ids.held({"version": 4, "resources": list(resources)}, everything, IAM)


def resource(type_: str, *attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    instances = [{"attributes": one} for one in attributes]
    return {"mode": "managed", "type": type_, "name": "x", "instances": instances, **more}


def test_terraform_lets_go_of_what_the_program_declares_and_of_nothing_else() -> None:
    deployments, access = "bbws-access-dev-ddb-deployments", "bbws-access-dev-ddb-access-management"

    found = held(
        resource("aws_dynamodb_table", {"name": deployments}),
        resource("aws_dynamodb_table", {"name": access}, name="access"),
        resource("aws_api_gateway_rest_api", {"name": deployments}),
        resource("aws_dynamodb_table", {"name": deployments}, mode="data", name="read"),
        resource("aws_iam_role", {"name": "r"}, module='module.roles["a"]'),
        resource(
            "aws_lambda_alias", {"function_name": "arn:aws:lambda:eu-west-1:1:function:f", "name": "live"}
        ),
        {
            **resource("aws_dynamodb_table", name="many"),
            "instances": [
                {"index_key": key, "attributes": {"name": name}}
                for key, name in ((0, deployments), ('a"${b}', deployments), ("other", access))
            ],
        },
    )

    assert found == (
        "aws_dynamodb_table.x",
        'module.roles["a"].aws_iam_role.x',
        "aws_lambda_alias.x",
        "aws_dynamodb_table.many[0]",
        'aws_dynamodb_table.many["a\\"$${b}"]',
    )


@pytest.mark.parametrize(
    "state", [{"resources": [1]}, {"resources": 1}, {"resources": [{"type": "aws_iam_role"}]}]
)
def test_what_is_no_state_of_terraforms_is_reported_as_none(state: dict[str, Any]) -> None:
    with pytest.raises(UsageError, check=coded(Code.STATE_INVALID)):
        import_ids.held(state, (), IAM)


@pytest.mark.parametrize("text", [b"\xff\xfe", b"{", b"[]", b"1"])
def test_a_state_that_cannot_be_read_is_named(text: bytes) -> None:
    with pytest.raises(
        UsageError,
        match=r"-terraform-state/access-management/terraform\.tfstate ",
        check=coded(Code.STATE_INVALID),
    ):
        _bucket(text).state()


def test_a_bucket_without_a_state_holds_nothing() -> None:
    assert _bucket(None).state() == {}
    assert import_ids.sealed({"encrypted_data": "…"})


def test_what_would_be_replaced_is_refused_with_what_to_do_about_it() -> None:
    found = tuple(
        Importable(
            declared=Declared(urn=urn(type_, "x"), type=type_, id=name, in_stack=False),
            state=ImportState.replaced,
            properties=("hashKey",),
        )
        for type_, name in ((TABLE, "t"), (BUCKET, "b"), (POLICY, IAM("policy/p")))
    )

    with pytest.raises(Refused, check=coded(Code.WOULD_DESTROY)) as refused:
        import_ids.refuse(ImportPlan(found=found, imports={}, held=()))

    first, table, bucket, policy = refused.value.what.splitlines()
    assert "cannot be adopted" in first
    assert table.startswith("table t: hashKey. This table cannot be the ledger: back it up")
    assert "put-object-lock-configuration --bucket b" in bucket
    assert policy.startswith("policy policy/p: hashKey. Delete it when nothing uses it")


def adoption(*standings: ImportState, held: tuple[str, ...] = ()) -> ImportPlan:
    one = Declared(urn=urn(ROLE, "x"), type=ROLE, id="x", in_stack=False)
    found = tuple(Importable(declared=one, state=deployed) for deployed in standings)
    return ImportPlan(found=found, imports={}, held=held)


def typed(of: ImportPlan) -> list[str]:
    return import_ids.commands(of, "dev", "../my folder/pulumi-import.json", tool="tofu", folder="terraform")


def test_the_commands_are_in_the_order_in_which_nothing_is_held_by_nobody() -> None:
    found = typed(adoption(ImportState.exists, held=('aws_iam_role.x["a b"]',)))

    assert found == [
        "pulumi import --stack dev --file '../my folder/pulumi-import.json' --generate-code=false --yes",
        """tofu -chdir=terraform state rm 'aws_iam_role.x["a b"]'""",
        "pulumi preview --stack dev --expect-no-changes",
        "pulumi up --stack dev",
    ]


def test_what_differs_or_is_missing_is_shown_before_it_is_changed_or_made() -> None:
    assert "pulumi preview --stack dev --diff" in typed(adoption(ImportState.exists, ImportState.differs))
    assert "pulumi preview --stack dev --diff" in typed(adoption(ImportState.exists, ImportState.missing))
    assert not any("import" in line for line in typed(adoption(ImportState.missing)))


def _bucket(text: bytes | None) -> StateBucket:
    def get_object(**_: Any) -> Any:
        if text is None:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": io.BytesIO(text)}

    names = Names(prefix="bbws-access", environment="dev")
    client = SimpleNamespace(get_object=get_object)
    known = SimpleNamespace(
        names=names,
        account="1" * 12,
        region="eu-west-1",
        terraform=Terraform(key="access-management/terraform.tfstate"),
    )
    account: Any = SimpleNamespace(client=lambda *_, **__: client, settings=known)
    return StateBucket(account, platform(account.settings))
