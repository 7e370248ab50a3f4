"""What must hold for all policies. Who may do what, and who may take a role, is a table: `tests/permissions`."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components import break_glass
from components import policies as policies_of
from components.boundary import boundary, trust
from components.of_settings import scope_of
from components.permissions import function_policies, inline_policy
from components.policies import (
    ATTACHMENTS,
    INLINE_LIMIT,
    MANAGED_LIMIT,
    ON_EVERYTHING,
    Document,
    Scope,
    TooManyFunctions,
    text,
)
from rollback.config.naming import APPROVER, BREAK_GLASS, DEPLOYER, DRILL, GUARD, RESTORE, ROLES, ROLLBACK
from rollback.config.settings import load
from tests.unit.components.pulumi_mocks import walk

ROOT = Path(__file__).parents[3]
STACKS = ("dev", "sit", "prod")
every_stack = pytest.mark.parametrize("stack", STACKS)
every_role = pytest.mark.parametrize("role", ROLES)
LEDGER_ACTIONS = ("BatchGetItem", "ConditionCheckItem", "GetItem", "PutItem", "Query", "UpdateItem")


def scope(stack: str, *tails: str) -> Scope:
    """An environment's scope, with these functions or with its whole catalogue."""
    settings = load(ROOT, stack)
    of = scope_of(settings)
    return replace(of, functions=tuple(map(settings.names.function, tails)) or of.functions)


def many(count: int) -> Scope:
    base = scope("dev")
    return replace(
        base, functions=tuple(base.names.function(f"team-service-get-{n:04d}") for n in range(count))
    )


def policies(role: str, of: Scope) -> list[Document]:
    return [inline_policy(role, of), *function_policies(role, of)]


def of_functions(role: str, of: Scope) -> tuple[Document, ...]:
    """The policies of the functions, the break-glass role's among them."""
    return break_glass.function_permissions(of) if role == BREAK_GLASS else function_policies(role, of)


def statements(role: str, of: Scope) -> list[dict[str, Any]]:
    return [statement for policy in policies(role, of) for statement in walk(policy)]


def of_action(role: str, of: Scope, action: str) -> list[dict[str, Any]]:
    return [statement for statement in statements(role, of) if action in statement["Action"]]


def test_the_drill_role_is_taken_for_no_approval_and_is_nowhere_in_production() -> None:
    of = scope("dev", "team-service-get", "role-service-list")

    assert of.role(APPROVER) not in json.dumps(policies(DRILL, of)), "nobody approves their own drill"
    assert "lambda:UpdateFunctionConfiguration" in json.dumps(boundary(of))
    assert "lambda:UpdateFunctionConfiguration" not in json.dumps(boundary(scope("prod")))


@every_stack
def test_each_role_is_trusted_for_one_github_environment(stack: str) -> None:
    of = scope(stack)

    subjects = {}
    for role in ROLES:
        (jobs,) = trust(of, "bbws/access-platform", of.names.github_environment(role), ())["Statement"]
        assert list(jobs["Condition"]) == ["StringEquals"], "exact, never a pattern"
        subjects[role] = jobs["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]

    assert subjects == {
        DEPLOYER: f"repo:bbws/access-platform:environment:{stack}-deploy",
        ROLLBACK: f"repo:bbws/access-platform:environment:{stack}-rollback",
        RESTORE: f"repo:bbws/access-platform:environment:{stack}-rollback",
        APPROVER: f"repo:bbws/access-platform:environment:{stack}-rollback-approval",
    }


@every_stack
@every_role
def test_no_permission_is_granted_by_a_pattern_of_actions(stack: str, role: str) -> None:
    of = scope(stack)

    for statement in [*statements(role, of), *walk(boundary(of))]:
        assert statement["Effect"] == "Deny" or not any("*" in action for action in statement["Action"])
        assert "NotAction" not in statement
        assert statement["Effect"] == "Deny" or "NotResource" not in statement


@every_stack
def test_every_statement_on_all_resources_has_its_reason(stack: str) -> None:
    of = replace(scope(stack), guard=True, alarms=True)
    found = {
        (where, statement["Sid"])
        for where, every in [
            *((role, statements(role, of)) for role in (*ROLES, GUARD)),
            ("boundary", list(walk(boundary(of)))),
        ]
        for statement in every
        if "*" in statement["Resource"]
    }

    assert found == {
        (ROLLBACK, "FindInvokers"),
        (ROLLBACK, "ListFunctions"),
        (ROLLBACK, "SeeAlarms"),
        (GUARD, "FindInvokers"),
        (GUARD, "ListFunctions"),
        (GUARD, "SeeAlarms"),
        (DEPLOYER, "FindInvokers"),
        (DEPLOYER, "FindUsers"),
        (DEPLOYER, "ListFunctions"),
        (DEPLOYER, "DescribeParameters"),
        (DEPLOYER, "SeeAlarms"),
        ("boundary", "Ceiling"),
        ("boundary", "LeaveIdentityAlone"),
    }
    assert {sid for _, sid in found} == set(ON_EVERYTHING)
    assert all(reason.endswith(".") for reason in ON_EVERYTHING.values())


@pytest.mark.parametrize("role", [*ROLES, DRILL, GUARD])
def test_of_all_that_can_be_configured_no_policy_is_too_long_or_has_two_statements_of_one_name(
    role: str,
) -> None:
    of = replace(
        scope("dev"),
        guard=True,
        alarms=True,
        event_bus="default",
        cloudformation_stacks=("orders", "billing"),
    )

    for policy in policies(role, of):
        sids = [statement["Sid"] for statement in policy["Statement"]]
        # IAM refuses a policy with two (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_sid.html).
        assert len(sids) == len(set(sids)), sids
    assert len(text(inline_policy(role, of))) <= INLINE_LIMIT


@every_stack
def test_alarms_are_read_by_who_may_move_aliases_and_only_where_an_alarm_may_take_something(
    stack: str,
) -> None:
    watching = replace(scope(stack), alarms=True)

    def who(of: policies_of.Scope) -> set[str]:
        return {
            role
            for role in ROLES
            for statement in statements(role, of)
            if any(action.startswith("cloudwatch:Describe") for action in statement["Action"])
        }

    assert who(scope(stack)) == set()
    assert who(watching) == {ROLLBACK, DEPLOYER}


@every_stack
def test_events_are_put_by_who_ends_a_rollback_on_the_bus_that_is_named_and_no_other(stack: str) -> None:
    telling = replace(scope(stack), event_bus="pagers")

    def granted(of: policies_of.Scope) -> set[tuple[str, str]]:
        return {
            (role, on)
            for role in ROLES
            for statement in statements(role, of)
            if "events:PutEvents" in statement["Action"]
            for on in statement["Resource"]
        }

    bus = f"arn:aws:events:{telling.region}:{telling.account}:event-bus/pagers"
    assert granted(scope(stack)) == set()
    assert granted(telling) == {(ROLLBACK, bus), (DEPLOYER, bus)}


@pytest.mark.parametrize("make", [policies_of.statement, policies_of.denial])
def test_a_statement_on_all_resources_is_not_made_without_a_reason(make: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="Anything covers all resources"):
        make("Anything", ["s3:GetObject"], ["arn:aws:s3:::a", "*"])


@every_stack
@every_role
def test_every_permission_on_the_ledgers_items_demands_a_leading_key_and_that_it_is_there(
    stack: str, role: str
) -> None:
    of = scope(stack)

    for statement in statements(role, of):
        items = [action for action in statement["Action"] if action.split(":")[1] in LEDGER_ACTIONS]
        if items and any(resource.startswith(of.ledger) for resource in statement["Resource"]):
            assert set(statement["Condition"]) == {"ForAllValues:StringLike", "Null"}
            assert statement["Condition"]["Null"] == {"dynamodb:LeadingKeys": "false"}, (
                "ForAllValues alone is true for a request without any key"
            )


def written_keys(role: str, of: Scope) -> set[str]:
    return {
        pattern
        for action in ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:ConditionCheckItem")
        for statement in of_action(role, of, action)
        if of.ledger in statement["Resource"]
        for pattern in statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    }


@every_stack
def test_who_writes_which_part_of_the_ledger(stack: str) -> None:
    of = scope(stack)

    assert {role: written_keys(role, of) for role in ROLES} == {
        DEPLOYER: {"DEPLOYMENT#*", "ROLLBACK#*", f"LOCK#{stack}", f"RELEASE#{stack}"},
        ROLLBACK: {"ROLLBACK#*", f"LOCK#{stack}", f"RELEASE#{stack}"},
        APPROVER: {"APPROVAL#*"},
        RESTORE: set(),
    }


@every_stack
def test_only_the_approver_role_can_ever_write_an_approval(stack: str) -> None:
    of = scope(stack)
    (deny,) = [one for one in walk(boundary(of)) if one["Sid"] == "OnlyApproversApprove"]

    assert deny["Effect"] == "Deny"
    assert deny["Condition"]["ForAnyValue:StringLike"] == {"dynamodb:LeadingKeys": "APPROVAL#*"}
    assert deny["Condition"]["ArnNotEquals"] == {
        "aws:PrincipalArn": f"arn:aws:iam::{of.account}:role/bbws-access-{stack}-approver-role"
    }


@pytest.mark.parametrize(
    "action",
    ["BatchWriteItem", "DeleteItem", "DeleteTable", "DeleteBackup", "DeleteResourcePolicy",
     "PartiQLDelete", "PartiQLInsert", "PartiQLUpdate", "PutResourcePolicy", "RestoreTableFromBackup",
     "RestoreTableToPointInTime", "UpdateContinuousBackups", "UpdateTable", "UpdateTimeToLive"],
)  # fmt: skip
def test_nobody_under_the_boundary_can_harm_the_ledger(action: str) -> None:
    of = scope("prod")
    (deny,) = [one for one in walk(boundary(of)) if one["Sid"] == "KeepLedger"]

    assert deny["Effect"] == "Deny"
    assert "Condition" not in deny
    assert of.ledger in deny["Resource"]
    assert any(fnmatch.fnmatchcase(f"dynamodb:{action}", pattern) for pattern in deny["Action"])


@pytest.mark.parametrize(
    "action",
    ["BypassGovernanceRetention", "DeleteBucket", "DeleteBucketPolicy", "DeleteObject", "DeleteObjectVersion",
     "PutBucketAcl", "PutBucketObjectLockConfiguration", "PutBucketOwnershipControls", "PutBucketPolicy",
     "PutBucketPublicAccessBlock", "PutBucketVersioning", "PutEncryptionConfiguration",
     "PutLifecycleConfiguration", "PutObjectAcl", "PutObjectLegalHold", "PutObjectRetention",
     "PutReplicationConfiguration"],
)  # fmt: skip
def test_nobody_under_the_boundary_can_weaken_the_trail(action: str) -> None:
    of = scope("prod")
    (deny,) = [one for one in walk(boundary(of)) if one["Sid"] == "KeepTrail"]

    assert deny["Effect"] == "Deny"
    assert "Condition" not in deny
    assert deny["Resource"] == [of.trail, f"{of.trail}/*"]
    assert any(fnmatch.fnmatchcase(f"s3:{action}", pattern) for pattern in deny["Action"])


@every_stack
def test_a_version_can_be_deleted_and_a_function_cannot(stack: str) -> None:
    of = scope(stack, "team-service-get")
    function = of.function(of.functions[0])
    (deny,) = [one for one in walk(boundary(of)) if one["Sid"] == "KeepFunctions"]

    assert not any(of_action(role, of, "lambda:DeleteFunction") for role in ROLES if role != DEPLOYER)
    (allow,) = of_action(DEPLOYER, of, "lambda:DeleteFunction")
    for arn, deletable in ((f"{function}:7", True), (function, False), (of.function("another:7"), False)):
        assert any(fnmatch.fnmatchcase(arn, one) for one in allow["Resource"]) is deletable
    assert fnmatch.fnmatchcase(f"{function}:7", deny["NotResource"])
    assert not fnmatch.fnmatchcase(function, deny["NotResource"])


@every_stack
def test_who_writes_what_into_the_trail(stack: str) -> None:
    of = scope(stack)
    bucket = f"arn:aws:s3:::bbws-access-{stack}-audit-trail-{of.account}"

    put = {
        role: [
            resource
            for one in of_action(role, of, "s3:PutObject")
            for resource in one["Resource"]
            if "audit-trail" in resource
        ]
        for role in ROLES
    }

    heads = [f"{bucket}/releases/*", f"{bucket}/timeline/*"]
    assert put == {DEPLOYER: heads, ROLLBACK: heads, APPROVER: [f"{bucket}/approvals/*"], RESTORE: []}


@pytest.mark.parametrize(
    "action",
    ["AddClientIDToOpenIDConnectProvider", "AttachRolePolicy", "CreatePolicyVersion", "CreateRole",
     "CreateUser", "DeleteOpenIDConnectProvider", "DeleteRolePermissionsBoundary", "DeleteRolePolicy",
     "DetachRolePolicy", "PassRole", "PutRolePermissionsBoundary", "PutRolePolicy",
     "SetDefaultPolicyVersion", "TagRole", "UpdateAssumeRolePolicy",
     "UpdateOpenIDConnectProviderThumbprint", "UpdateRole"],
)  # fmt: skip
def test_nobody_under_the_boundary_can_change_identities(action: str) -> None:
    (deny,) = [one for one in walk(boundary(scope("prod"))) if one["Sid"] == "LeaveIdentityAlone"]

    assert any(fnmatch.fnmatchcase(f"iam:{action}", pattern) for pattern in deny["Action"])
    assert deny["Resource"] == ["*"]


@every_stack
@every_role
def test_the_boundary_leaves_possible_what_the_roles_are_given(stack: str, role: str) -> None:
    of = scope(stack)
    (ceiling,) = [one for one in walk(boundary(of)) if one["Effect"] == "Allow"]

    given = {action for statement in statements(role, of) for action in statement["Action"]}
    assert given <= set(ceiling["Action"])
    for deny in walk(boundary(of)):
        if deny["Sid"] == "LeaveIdentityAlone":
            assert not [
                (action, pattern)
                for action in given
                for pattern in deny["Action"]
                if fnmatch.fnmatchcase(action, pattern)
            ]


@every_stack
def test_aliases_move_on_exactly_the_catalogues_functions(stack: str) -> None:
    of = scope(stack)
    arns = [f"arn:aws:lambda:{of.region}:{of.account}:function:{name}" for name in of.functions]

    for role in (ROLLBACK, DEPLOYER):
        moved = [
            arn for statement in of_action(role, of, "lambda:UpdateAlias") for arn in statement["Resource"]
        ]
        assert moved == arns
    invoked = [
        arn for statement in of_action(ROLLBACK, of, "lambda:InvokeFunction") for arn in statement["Resource"]
    ]
    assert invoked == [f"{arn}:*" for arn in arns], (
        "an alias, and a version that is woken; never without either"
    )


@every_stack
def test_the_restore_role_never_sees_the_ledger(stack: str) -> None:
    of = scope(stack)
    table = f"arn:aws:dynamodb:{of.region}:{of.account}:table/bbws-access-{stack}-ddb-access-management"

    assert {resource for one in statements(RESTORE, of) for resource in one["Resource"]} == {
        table,
        f"{table}/backup/*",
        f"{table}-restore-*",
        f"arn:aws:s3:::bbws-access-{stack}-terraform-state/rollback/*/loss*",
        of.arn("ssm", f"parameter/bbws-access/{stack}/table/bbws-access-{stack}-ddb-access-management"),
    }


@every_stack
def test_the_restore_role_is_taken_from_the_rollback_role_and_from_no_other(stack: str) -> None:
    of = scope(stack)
    restore, rollback = of.role(RESTORE), of.role(ROLLBACK)

    (_, *trusted) = trust(of, "bbws/access-platform", of.names.github_environment(RESTORE), (), ROLLBACK)[
        "Statement"
    ]

    assert [one["Principal"] for one in trusted] == [{"AWS": rollback}] * 2
    assert [one["Action"] for one in trusted] == [["sts:AssumeRole", "sts:SetSourceIdentity"]] * 2
    assert {role: [one["Resource"] for one in of_action(role, of, "sts:AssumeRole")] for role in ROLES} == {
        ROLLBACK: [[restore]],
        DEPLOYER: [],
        APPROVER: [],
        RESTORE: [],
    }


@every_stack
def test_the_deployer_makes_and_changes_terraforms_table_and_nobody_deletes_it(stack: str) -> None:
    of = scope(stack)
    (kept,) = [one for one in walk(boundary(of)) if one["Sid"] == "KeepTables"]
    deleted = [
        resource
        for role in ROLES
        for one in of_action(role, of, "dynamodb:DeleteTable")
        for resource in one["Resource"]
    ]

    assert [one["Resource"] for one in of_action(DEPLOYER, of, "dynamodb:UpdateTable")] == [
        [of.table(of.names.table("ddb-access-management"))]
    ]
    assert kept["Effect"] == "Deny"
    assert kept["Resource"] == [of.table(of.names.table("ddb-access-management"))]
    assert deleted == [of.table(f"{of.names.table('ddb-access-management')}-restore-*")], (
        "a copy, and no table"
    )


@every_stack
def test_an_api_is_made_changed_and_deleted_by_its_name_only(stack: str) -> None:
    of = scope(stack)
    below = f"arn:aws:apigateway:{of.region}::/restapis"
    changes = [
        one
        for action in ("POST", "PATCH", "PUT", "DELETE")
        for one in of_action(DEPLOYER, of, f"apigateway:{action}")
        if one["Resource"][0].startswith(below)
    ]

    assert len(changes) == 3
    for one in changes:
        assert list(one["Condition"]) == ["StringEquals"], "exact, never a pattern"
        assert list(one["Condition"]["StringEquals"].values()) == [f"bbws-access-{stack}-apigw"]


def test_the_ledger_cannot_be_configured_to_be_restored() -> None:
    with pytest.raises(ValueError, match="is the ledger"):
        replace(scope("dev"), tables=("bbws-access-dev-ddb-deployments",))


@pytest.mark.finding("S2")
def test_without_a_key_there_is_no_statement_about_keys() -> None:
    of = scope("dev")
    keyed = replace(of, state_key="arn:aws:kms:eu-west-1:111122223333:key/a", table_keys=("arn:…:key/b",))

    assert "kms:" not in json.dumps([boundary(of), *(inline_policy(role, of) for role in ROLES)])
    (ceiling,) = [one for one in walk(boundary(keyed)) if one["Sid"] == "Ceiling"]
    assert {action for action in ceiling["Action"] if action.startswith("kms:")} == {
        "kms:CreateGrant",
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
    }
    assert len(text(boundary(keyed))) <= MANAGED_LIMIT
    assert all(len(text(inline_policy(role, keyed))) <= INLINE_LIMIT for role in ROLES)


@every_stack
def test_no_role_reaches_into_another_environment(stack: str) -> None:
    of = scope(stack)
    others = [other for other in STACKS if other != stack]

    for role in ROLES:
        written = json.dumps(policies(role, of))
        for other in others:
            assert f"-{other}-" not in written
            assert f"/{other}/" not in written
            assert f"#{other}" not in written


@every_stack
@every_role
def test_the_policies_of_the_whole_catalogue_fit_into_iams_limits(stack: str, role: str) -> None:
    of = scope(stack)

    assert len(of.functions) == 42
    assert len(text(inline_policy(role, of))) <= INLINE_LIMIT
    assert all(len(text(policy)) <= MANAGED_LIMIT for policy in function_policies(role, of))
    assert len(text(boundary(of))) <= MANAGED_LIMIT


@pytest.mark.parametrize("count", [1, 27, 28, 100, 270])
def test_a_larger_catalogue_is_spread_over_managed_policies_and_none_is_left_out(count: int) -> None:
    of = many(count)

    made = function_policies(ROLLBACK, of)

    moved = [
        arn
        for policy in made
        for statement in walk(policy)
        if statement["Sid"] == "MoveAliases"
        for arn in statement["Resource"]
    ]
    assert moved == [of.function(name) for name in of.functions]
    assert len(made) <= ATTACHMENTS
    assert all(len(text(policy)) <= MANAGED_LIMIT for policy in made)


@pytest.mark.parametrize("by", ["listed", "prefix"])
def test_a_catalogue_beyond_ten_policies_is_refused_with_the_numbers(by: str) -> None:
    alike = tuple(f"no-beginning-in-common-{n:04d}" for n in range(1000))

    with pytest.raises(TooManyFunctions) as raised:
        function_policies(ROLLBACK, replace(many(1000), by=by, alike=alike))

    message = str(raised.value)
    assert "1000 functions of bbws-access-dev need" in message
    assert "bbws-access-dev-rollback-role" in message
    assert "attaches only 10" in message
    assert "functionAccess" in message


@pytest.mark.parametrize("role", [DEPLOYER, ROLLBACK, DRILL, BREAK_GLASS])
@pytest.mark.parametrize("by", ["auto", "prefix"])
def test_beyond_what_ten_policies_hold_functions_are_those_whose_names_begin_alike(
    role: str, by: str
) -> None:
    (policy,) = of_functions(role, replace(many(1000), by=by))

    for statement in walk(policy):
        assert "Condition" not in statement
        for resource in statement["Resource"]:
            assert resource.startswith(
                "arn:aws:lambda:eu-west-1:536580886816:function:bbws-access-dev-lambda-*"
            )


@pytest.mark.parametrize("role", [DEPLOYER, ROLLBACK, DRILL, BREAK_GLASS])
@pytest.mark.parametrize(("by", "count"), [("auto", 1000), ("tag", 1)])
def test_functions_are_those_with_a_tag_where_one_is_named_and_they_are_too_many_or_that_is_asked_for(
    role: str, by: str, count: int
) -> None:
    (policy,) = of_functions(role, replace(many(count), by=by, tag=(("team", "access"), ("stage", "dev"))))

    for statement in walk(policy):
        assert statement["Condition"] == {
            "StringEquals": {"aws:ResourceTag/team": "access", "aws:ResourceTag/stage": "dev"}
        }
        assert all(
            one.startswith("arn:aws:lambda:eu-west-1:536580886816:function:*")
            for one in statement["Resource"]
        )


def test_as_long_as_they_fit_functions_are_listed_one_by_one() -> None:
    of = replace(many(270), tag=(("team", "access"),))

    assert function_policies(ROLLBACK, of) == function_policies(ROLLBACK, replace(of, by="listed"))


def test_a_tag_that_is_asked_for_and_not_named_is_no_way_around() -> None:
    with pytest.raises(TooManyFunctions):
        function_policies(ROLLBACK, replace(many(1), by="tag"))


@pytest.mark.parametrize(("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")])
def test_every_arn_is_in_the_partition_of_the_region(region: str, partition: str) -> None:
    of = replace(scope("dev"), region=region)

    for role in ROLES:
        for statement in statements(role, of):
            assert all(
                resource == "*" or resource.startswith(f"arn:{partition}:")
                for resource in statement["Resource"]
            )


@pytest.mark.parametrize("role", ROLES)
def test_stacks_are_read_where_the_settings_name_them_and_by_nobody_else(role: str) -> None:
    without = scope("dev", "team-service-get")
    named = replace(without, cloudformation_stacks=("orders",))

    def reads(of: Scope) -> list[tuple[str, str]]:
        return [
            (action, arn)
            for one in inline_policy(role, of)["Statement"]
            for action in one["Action"]
            for arn in one["Resource"]
            if action.startswith("cloudformation:")
        ]

    assert reads(without) == []
    actions = ("DescribeStacks", "GetTemplate", "ListStackResources")
    assert reads(named) == (
        [
            (f"cloudformation:{action}", "arn:aws:cloudformation:eu-west-1:536580886816:stack/orders/*")
            for action in actions
        ]
        if role in (DEPLOYER, ROLLBACK)
        else []
    )
