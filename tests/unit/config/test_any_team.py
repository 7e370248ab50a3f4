"""Settings of any team: names of its own, environments of any name, and what it does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rollback.config.naming import (
    APPROVER,
    ROLLBACK,
    Names,
    Templates,
    beginnings,
    is_like,
    permission_set_of,
    role_of,
)
from rollback.config.settings import Settings, environments, load, parse
from rollback.util.errors import Code, UsageError
from tests.coded import coded

LEAST: dict[str, Any] = {
    "aws:allowedAccountIds": ["111122223333"],
    "aws:region": "eu-central-1",
    "orders:prefix": "acme",
    "orders:alias": "live",
    "orders:services": {"orders": {"GetOrder": "orders-GetOrderFunction-1A2B3C4D5E6F"}},
    "orders:approval": {"aliases": "none", "infrastructure": "confirm", "table": "confirm"},
}


def made(environment: str = "staging", **more: Any) -> Settings:
    """The settings of the least that a file must have, and `more`."""
    config = LEAST | {f"orders:{key}": value for key, value in more.items()}
    return parse(environment, "name: orders\nruntime: python\n", yaml.safe_dump({"config": config}))


def refused(environment: str = "staging", **more: Any) -> UsageError:
    with pytest.raises(UsageError, check=coded(Code.SETTINGS_INVALID)) as raised:
        made(environment, **more)
    return raised.value


# -- functions -----------------------------------------------------------------------------------------------


def test_a_function_has_its_own_name_or_that_of_the_template() -> None:
    settings = made(
        services={
            "orders": {"GetOrder": "orders-GetOrderFunction-1A2B3C4D5E6F", "list": None},
            "payments-api": ["createPayment"],
        },
        naming={"function": "{entry}-{environment}"},
    )

    assert settings.catalogue() == {
        "orders-GetOrderFunction-1A2B3C4D5E6F": "orders",
        "list-staging": "orders",
        "createPayment-staging": "payments-api",
    }


def test_a_function_is_meant_by_its_entry_or_by_its_name_and_nothing_is_guessed() -> None:
    settings = made()

    assert settings.function("GetOrder") == "orders-GetOrderFunction-1A2B3C4D5E6F"
    assert settings.function("orders-GetOrderFunction-1A2B3C4D5E6F") == "orders-GetOrderFunction-1A2B3C4D5E6F"
    assert settings.function("GetOrde") == "GetOrde"
    assert settings.function("orders-GetOrderFunction") == "orders-GetOrderFunction"


@pytest.mark.parametrize(
    "services",
    [
        {"orders": {"get": "a-function"}, "payments": {"pay": "a-function"}},
        {"orders": {"get": "one"}, "payments": {"get": "two"}},
        {"orders": {"get": "pay"}, "payments": {"pay": "get"}},
        {"orders": {"get": "payments"}, "payments": {"pay": "x"}},
    ],
)
def test_no_name_is_that_of_two(services: Any) -> None:
    assert "orders:services" in refused(services=services).what


@pytest.mark.parametrize(
    "naming",
    [
        {"function": "{prefix}-{environment}"},
        {"function": "{prefix}-{entry}-{entry}"},
        {"function": "{prefix}-{stage}-{entry}"},
        {"function": "{prefix}-{entry}-{"},
        {"table": "orders"},
        {"ledger": "{prefix}-{entry}"},
        {"parameters": "{prefix}/{environment}"},
        {"parameters": "/aws/{prefix}"},
        {"parameters": "/ssm-{prefix}"},
        {"stateBucket": "{prefix}_{environment}"},
        {"auditBucket": "x" * 64},
        {"ledger": "a b"},
        {"functions": "{entry}"},
    ],
)
def test_a_template_that_names_nothing_that_aws_takes_is_refused(naming: Any) -> None:
    assert "orders:naming" in refused(naming=naming).what


def test_every_name_is_a_setting() -> None:
    settings = made(
        naming={
            "ledger": "{prefix}-releases-{environment}",
            "parameters": "/deploy/{environment}",
            "stateBucket": "{prefix}-pulumi",
            "foundationBucket": "{prefix}-admin",
            "auditBucket": "{account}-{prefix}-audit",
            "table": "{entry}.{environment}",
        },
        tables=["orders"],
    )
    names = settings.names

    assert names.deployments_table == "acme-releases-staging"
    assert names.deployed_version == "/deploy/staging/deployed-version"
    assert (names.state_bucket, names.foundation_bucket) == ("acme-pulumi", "acme-admin")
    assert names.audit_bucket(settings.account) == "111122223333-acme-audit"
    assert settings.restorable == ("orders.staging",)


@pytest.mark.parametrize(
    ("template", "own", "other"),
    [
        ("{prefix}-{environment}-audit-{account}", "a-dev-audit-111122223333", "a-dev-data-111122223333"),
        ("{account}-{prefix}-audit", "111122223333-a-audit", "111122223333-b-audit"),
        ("{prefix}-audit", "a-audit", "a-data"),
    ],
)
def test_the_audit_bucket_is_known_wherever_its_name_has_the_account(
    template: str, own: str, other: str
) -> None:
    names = Names("a", "dev", Templates(audit_bucket=template))

    assert names.is_audit_bucket(own)
    assert not names.is_audit_bucket(other)


# -- environments --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ["prod-eu", "staging", "production", "live", "eu-west-1-prod2"])
def test_an_environment_has_any_name(environment: str) -> None:
    assert made(environment).names.role("rollback") == f"acme-{environment}-rollback-role"


@pytest.mark.parametrize(
    "environment", ["Prod", "prod_eu", "-prod", "prod-", "pr--od", "foundation", "prod-foundation"]
)
def test_an_environment_that_a_bucket_could_not_be_named_after_is_refused(environment: str) -> None:
    assert "orders:environment" in refused(environment).what


def test_environments_are_those_that_have_a_file_and_a_foundation_is_a_part_of_one(tmp_path: Path) -> None:
    for name in ("prod-eu", "prod-eu-foundation", "staging", "Not.One"):
        (tmp_path / f"Pulumi.{name}.yaml").touch()

    assert environments(tmp_path) == ["prod-eu", "staging"]


@pytest.mark.parametrize(("environment", "fits"), [("e" * 33, True), ("e" * 34, False)])
def test_a_name_that_aws_would_refuse_is_refused_before_anything_is_made(
    environment: str, fits: bool
) -> None:
    if fits:
        assert len(made(environment).names.audit_bucket("111122223333")) == 63
    else:
        error = refused(environment)
        assert "orders:prefix" in error.what
        assert "64 characters" in error.what


def test_a_roles_name_says_what_its_environment_begins_with() -> None:
    assert role_of("acme-prod-eu-break-glass-role") == ("acme-prod-eu", "break-glass")
    assert role_of("acme-prod-eu-admin") == ("", "")


# -- production ----------------------------------------------------------------------------------------------


def test_an_environment_is_production_unless_it_is_said_that_it_is_not() -> None:
    assert made().production
    assert not made("prod", production=False).production


@pytest.mark.parametrize(("production", "yes"), [(True, False), (False, True)])
def test_production_decides_drills_and_yes(production: bool, yes: bool) -> None:
    settings = made(production=production)

    assert settings.drills is yes
    assert settings.confirmed_unseen is yes


@pytest.mark.parametrize("production", [True, False])
@pytest.mark.parametrize("unattended", [True, False])
def test_yes_may_be_said_apart(production: bool, unattended: bool) -> None:
    assert made(production=production, unattended=unattended).confirmed_unseen is unattended


@pytest.mark.parametrize(
    ("production", "asked"),
    [(True, ("identity", "identity", "identity")), (False, ("none", "confirm", "confirm"))],
)
def test_production_decides_what_is_approved_by_whom_where_nothing_else_is_said(
    production: bool, asked: tuple[str, ...]
) -> None:
    approval = made(production=production, repository="acme/orders", approval={"expiresMinutes": 60}).approval

    assert (approval.aliases, approval.infrastructure, approval.table) == asked
    assert approval.expires_minutes == 60


def test_this_platforms_environments_are_what_they_were() -> None:
    every = {name: load(Path(__file__).parents[3], name) for name in ("dev", "sit", "prod")}

    assert {name: (one.drills, one.confirmed_unseen) for name, one in every.items()} == {
        "dev": (True, True),
        "sit": (True, False),
        "prod": (False, False),
    }


# -- what a team does not have -------------------------------------------------------------------------------


def test_one_person_with_functions_and_nothing_else_is_configured() -> None:
    settings = made()

    assert (settings.restorable, settings.terraform, settings.repository, settings.smoke) == (
        (),
        None,
        "",
        {},
    )
    assert not settings.approvals


def test_an_approval_that_nobody_could_give_is_refused() -> None:
    error = refused(approval={"aliases": "identity", "infrastructure": "confirm"})

    assert "orders:approval.aliases" in error.what
    assert "people.approvers" in error.what


def test_without_tables_nobody_has_to_approve_their_restore() -> None:
    assert not made(approval={"aliases": "none", "infrastructure": "confirm", "table": "identity"}).approvals


@pytest.mark.parametrize(
    "terraform",
    [
        {"folder": "../elsewhere"},
        {"folder": "/etc"},
        {"folder": "-chdir"},
        {"variables": "../prod.tfvars"},
        {"key": "/x"},
        {"bucket": "Not_One"},
        {"fold": "x"},
        "terraform",
    ],
)
def test_terraform_is_below_this_project_and_its_state_in_a_bucket(terraform: Any) -> None:
    assert "orders:terraform" in refused(terraform=terraform).what


def test_terraforms_files_are_the_teams() -> None:
    terraform = made(terraform={"folder": "infra", "variables": "env/{environment}.tfvars"}).terraform

    assert terraform is not None
    assert terraform.values("prod-eu") == "env/prod-eu.tfvars"
    assert (terraform.key, terraform.bucket) == ("terraform.tfstate", "")


@pytest.mark.parametrize("smoke", ["python", {"alias": ["x"]}, {"aliases": "x"}, [1]])
def test_a_smoke_command_is_words_for_all_or_for_each_kind(smoke: Any) -> None:
    assert "orders:smoke" in refused(smoke=smoke).what


def test_each_kind_may_have_a_smoke_command_of_its_own() -> None:
    assert made(smoke={"stack": ["./stack.sh"]}).smoke == {"stack": ("./stack.sh",)}
    assert made(smoke=["./all.sh"]).smoke["full"] == ("./all.sh",)


# -- many functions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("services", "prefix", "expected"),
    [
        ([["a-dev-lambda-get", "a-dev-lambda-list"]], "a-dev-lambda-", ["a-dev-lambda-*"]),
        ([["orders-Get-1A", "orders-List-2B"], ["pay-Pay-3C"]], "", ["orders-*", "pay-Pay-3C"]),
        ([["orders-x"], ["orders-a", "orders-b"]], "", ["orders-*"]),
        ([["a-one", "b-two"]], "", ["a-one", "b-two"]),
        # Too short to tell a team's from another's.
        ([["x-one", "x-two"]], "x-", ["x-one", "x-two"]),
        # A beginning in the middle of a word is none.
        ([["orders-Get", "orders-Gone"]], "", ["orders-*"]),
        (
            [["acme-dev-lambda-get", "orders-Get-1A"]],
            "acme-dev-lambda-",
            ["acme-dev-lambda-*", "orders-Get-1A"],
        ),
    ],
)
def test_names_are_alike_by_the_template_or_by_what_a_services_have_in_common(
    services: list[list[str]], prefix: str, expected: list[str]
) -> None:
    found = beginnings(services, prefix)

    assert list(found) == expected
    assert all(is_like(name, found) for names in services for name in names)


def test_a_prefix_that_does_not_cover_every_function_is_refused() -> None:
    error = refused(functionAccess={"by": "prefix", "prefixes": ["payments-"]})

    assert "orders-GetOrderFunction-1A2B3C4D5E6F" in error.what
    assert made(functionAccess={"by": "prefix", "prefixes": ["orders-"]}).alike == ("orders-*",)


@pytest.mark.parametrize("access", [{"by": "tag"}, {"by": "guess"}, {"prefixes": ["*"]}, {"tag": {"a": ""}}])
def test_access_by_what_does_not_exist_is_refused(access: Any) -> None:
    assert "orders:functionAccess" in refused(functionAccess=access).what


# -- permission sets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "permission_set"),
    [
        ("AWSReservedSSO_OnCall_0123456789abcdef", "OnCall"),
        ("AWSReservedSSO_On_Call_0123456789abcdef", "On_Call"),
        ("AWSReservedSSO_OnCall_0123456789ABCDEF", ""),
        ("AWSReservedSSO_OnCall_0123", ""),
        ("x-AWSReservedSSO_OnCall_0123456789abcdef", ""),
        ("acme-staging-rollback-role", ""),
    ],
)
def test_a_permission_set_is_known_by_its_roles_whole_name(name: str, permission_set: str) -> None:
    assert permission_set_of(name) == permission_set


def test_people_act_as_a_role_by_the_role_or_by_its_permission_set_alone() -> None:
    settings = made(permissionSets={"onCall": "OnCall", "approvers": "Approve"})

    for name in ("acme-staging-approver-role", "AWSReservedSSO_Approve_0123456789abcdef"):
        assert settings.acts_as(name, APPROVER)
        assert not settings.acts_as(name, ROLLBACK)
    for name in ("AWSReservedSSO_Approve_Readers_0123456789abcdef", "Approve", "acme-prod-approver-role"):
        assert not settings.acts_as(name, APPROVER)
    assert not made().acts_as("AWSReservedSSO_Approve_0123456789abcdef", APPROVER)


def test_a_permission_set_is_of_one_role_and_lets_people_approve() -> None:
    assert (
        "orders:permissionSets.approvers"
        in refused(permissionSets={"onCall": "Everybody", "approvers": "Everybody"}).what
    )
    assert made(permissionSets={"approvers": "Approve"}, approval={"aliases": "identity"}).approvals
    assert "orders:permissionSets.onCall" in refused(permissionSets={"onCall": "On Call"}).what
