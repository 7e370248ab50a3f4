"""The whole program, as the engine would see it, for every environment."""

from __future__ import annotations

import json
import runpy
from functools import cache
from pathlib import Path

import pulumi
import pytest
import yaml

from rollback.config.settings import Settings, load
from tests.unit.components.pulumi_mocks import Run, run

ROOT = Path(__file__).parents[3]
STACKS = ("dev", "sit", "prod")
ALIAS = "aws:lambda/alias:Alias"
PARAMETER = "aws:ssm/parameter:Parameter"
POLICY = "aws:iam/policy:Policy"
ROLE = "aws:iam/role:Role"
INLINE = "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
PROVIDER = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
TABLE = "aws:dynamodb/table:Table"
BUCKET = "aws:s3/bucket:Bucket"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
LOCK = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
CLOSED = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
TRAIL = (BUCKET, VERSIONING, LOCK, ENCRYPTION, CLOSED)
ENVIRONMENT = "github:index/repositoryEnvironment:RepositoryEnvironment"
BRANCHES = "github:index/repositoryEnvironmentDeploymentPolicy:RepositoryEnvironmentDeploymentPolicy"
GITHUB = {"github:owner": "bbws", "rollback:reviewers": {"teams": [7], "users": [11, 12]}}
# For what does not depend on functions: to declare 42 aliases takes longer than everything else.
ONE_FUNCTION = {"rollback:services": {"team_service": ["team-service-get"]}, "rollback:minimumFunctions": 1}
every_stack = pytest.mark.parametrize("stack", STACKS)


def configuration(stack: str, **more: object) -> dict[str, str]:
    """The configuration map as the engine hands it to a program: structured values as JSON text."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    values = {f"rollback:{key}": declared.get("default") for key, declared in project["config"].items()}
    values |= yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]
    values |= more
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def program() -> None:
    runpy.run_path(str(ROOT / "__main__.py"))


@cache
def part(stack: str) -> Run:
    """One of an environment's two stacks, `dev` or `dev-foundation`."""
    environment = stack.partition("-")[0]
    return run(program, stack=stack, config=configuration(environment), account=settings(environment).account)


@cache
def declared(stack: str) -> Run:
    """Both stacks of an environment."""
    daily, foundation = part(stack), part(f"{stack}-foundation")
    return Run(
        resources=[*foundation.resources, *daily.resources],
        exports=foundation.exports | daily.exports,
        calls=foundation.calls + daily.calls,
        messages=foundation.messages + daily.messages,
    )


@cache
def drill(stack: str) -> tuple[str, ...]:
    """The drill role, where there is one."""
    return () if stack == "prod" else ("drill",)


@cache
def with_github(stack: str) -> Run:
    return run(program, stack=f"{stack}-foundation", config=configuration(stack, **GITHUB))


def settings(stack: str) -> Settings:
    return load(ROOT, stack)


def names(stack: str) -> list[str]:
    return list(settings(stack).catalogue())


@every_stack
def test_nothing_but_the_types_that_an_environment_is_made_of_is_declared(stack: str) -> None:
    types = {resource.type for resource in declared(stack).resources}

    assert {type_ for type_ in types if not type_.startswith(("rollback:index:", "pulumi:"))} == {
        TABLE, ALIAS, PARAMETER, ROLE, POLICY, INLINE, ATTACHMENT, PROVIDER, *TRAIL,
    }  # fmt: skip


@pytest.mark.finding("S5")
@every_stack
def test_the_deployers_stack_has_nothing_that_decides_who_may_do_what(stack: str) -> None:
    daily = {one.type for one in part(stack).resources if one.type.startswith(("aws:", "github:"))}
    foundation = {one.type for one in part(f"{stack}-foundation").resources if one.type.startswith("aws:")}

    assert daily == {ALIAS, PARAMETER}
    assert foundation == {TABLE, ROLE, POLICY, INLINE, ATTACHMENT, PROVIDER, *TRAIL}


@pytest.mark.finding("S5")
@every_stack
def test_both_stacks_of_an_environment_read_one_file(stack: str) -> None:
    file = ROOT / f"Pulumi.{stack}-foundation.yaml"

    assert file.is_symlink()
    assert file.readlink() == Path(f"Pulumi.{stack}.yaml")


@pytest.mark.finding("S5")
@pytest.mark.parametrize(
    "caller",
    [
        "arn:aws:iam::536580886816:user/admin",
        "arn:aws:iam::536580886816:root",
        "arn:aws:sts::536580886816:assumed-role/Administrator/bbws-access-dev-github-actions-role",
        "arn:aws:sts::536580886816:assumed-role/bbws-access-dev-rollback-role/alice",
        "arn:aws:sts::536580886816:assumed-role/bbws-access-sit-github-actions-role/dan",
    ],
)
def test_the_deployers_stack_is_declared_under_no_other_role(caller: str) -> None:
    with pytest.raises(pulumi.RunError, match="dev-foundation"):
        run(program, config=configuration("dev", **ONE_FUNCTION), caller=caller)


def test_the_deployers_stack_is_declared_by_the_permission_set_of_those_who_deploy() -> None:
    config = configuration("dev", **ONE_FUNCTION) | {"rollback:permissionSets": '{"deployers": "Deploy"}'}
    by = "arn:aws:sts::536580886816:assumed-role/AWSReservedSSO_{}_0123456789abcdef/dan@example.com"

    declared = run(program, config=config, caller=by.format("Deploy"))

    assert declared.of("aws:lambda/alias:Alias")
    with pytest.raises(pulumi.RunError, match="dev-foundation"):
        run(program, config=config, caller=by.format("Deploy_Readers"))


def test_permission_sets_refer_to_policies_that_are_declared_and_to_the_boundary() -> None:
    sets = {"deployers": "Deploy", "onCall": "OnCall", "approvers": "Approve", "breakGlass": "Glass"}
    config = configuration("prod") | {"rollback:permissionSets": json.dumps(sets)}

    declared = run(program, stack="prod-foundation", config=config, account="093646564004")

    policies = {one.inputs["name"]: one for one in declared.of("aws:iam/policy:Policy").values()}
    refers_to = declared.exports["permissionSets"]
    assert set(refers_to) == set(sets.values())
    for one in refers_to.values():
        assert set(one["policies"]) <= set(policies)
        assert one["boundary"] in policies
        assert 0 < len(one["policies"]) <= 10
    assert all(len(json.dumps(one.policy(), separators=(",", ":"))) <= 6144 for one in policies.values())
    assert "AWSReservedSSO_Approve_" in json.dumps(policies["bbws-access-prod-boundary"].policy())


def test_another_stack_is_refused_by_name() -> None:
    with pytest.raises(pulumi.RunError, match=r"'dev-fundation'.*'dev-foundation'"):
        run(program, stack="dev-fundation", config=configuration("dev"))


@every_stack
def test_every_resource_belongs_to_its_component_and_carries_no_alias(stack: str) -> None:
    run_ = declared(stack)
    owners = {TABLE: "DeploymentsTable", ALIAS: "LiveAliases", PARAMETER: "ReleaseParameters"}
    owners |= dict.fromkeys(TRAIL, "AuditTrail")

    for resource in run_.resources:
        if resource.type.startswith("aws:"):
            roles = "BreakGlass" if resource.name.startswith("break-glass") else "GithubRoles"
            assert resource.parent_type == f"rollback:index:{owners.get(resource.type, roles)}"
            daily = resource.type in (ALIAS, PARAMETER)
            assert f"urn:pulumi:{stack if daily else f'{stack}-foundation'}::rollback::" in resource.parent
        # The SDK's own speak of an older name of a type.
        assert not [alias for alias in resource.aliases if not alias.spec.type]


@every_stack
def test_what_must_outlive_a_mistake_is_protected_and_the_rest_is_free_to_change(stack: str) -> None:
    protected = {(resource.type, resource.name) for resource in declared(stack).resources if resource.protect}

    assert protected == {
        (TABLE, "deployments"),
        *((part, "trail") for part in TRAIL),
        (PROVIDER, "github"),
        (POLICY, "boundary"),
        *(
            (ROLE, role)
            for role in ("deployer", "rollback", "approver", "restore", "break-glass", *drill(stack))
        ),
        *((ALIAS, tail) for tails in settings(stack).services.values() for tail in tails),
    }


@every_stack
def test_rollback_tracking_table_schema_has_the_keys_of_its_records_and_every_protection(stack: str) -> None:
    table = declared(stack).one(TABLE)

    assert table.inputs == {
        "name": f"bbws-access-{stack}-ddb-deployments",
        "billingMode": "PAY_PER_REQUEST",
        "hashKey": "PK",
        "rangeKey": "SK",
        "attributes": [{"name": key, "type": "S"} for key in ("PK", "SK", "GSI1PK", "GSI1SK")],
        "globalSecondaryIndexes": [
            {
                "name": "GSI1",
                "keySchemas": [
                    {"attributeName": "GSI1PK", "keyType": "HASH"},
                    {"attributeName": "GSI1SK", "keyType": "RANGE"},
                ],
                "projectionType": "ALL",
            }
        ],
        "pointInTimeRecovery": {"enabled": True},
        "deletionProtectionEnabled": True,
        "tags": {
            "environment": stack,
            "project": "bbws-access",
            "managed-by": "pulumi",
            "component": "deployments-table",
        },
    }


@every_stack
def test_the_trail_is_a_versioned_bucket_in_which_nothing_can_be_deleted_for_400_days(stack: str) -> None:
    run_ = declared(stack)
    name = f"bbws-access-{stack}-audit-trail-{settings(stack).account}"

    bucket = run_.one(BUCKET)
    assert (bucket.inputs["bucket"], bucket.inputs["objectLockEnabled"]) == (name, True)
    assert bucket.inputs["tags"]["component"] == "audit-trail"
    assert run_.one(VERSIONING).inputs["versioningConfiguration"] == {"status": "Enabled"}
    assert run_.one(LOCK).inputs["rule"] == {"defaultRetention": {"mode": "COMPLIANCE", "days": 400}}
    assert run_.one(ENCRYPTION).inputs["rules"] == [
        {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
    ]
    closed = run_.one(CLOSED).inputs
    assert [closed.pop("bucket"), set(closed.values())] == [name, {True}]


def test_how_long_the_trail_is_kept_is_a_setting() -> None:
    config = configuration("dev", **ONE_FUNCTION, **{"rollback:auditRetentionDays": 30})
    run_ = run(program, stack="dev-foundation", config=config)

    assert run_.one(LOCK).inputs["rule"]["defaultRetention"]["days"] == 30


@every_stack
def test_a_parameter_starts_with_none_or_its_table_and_its_value_is_never_written_again(stack: str) -> None:
    parameters = declared(stack).of(PARAMETER)
    table = f"bbws-access-{stack}-ddb-access-management"

    assert {one.inputs["name"]: one.inputs["value"]["value"] for one in parameters.values()} == {
        f"/bbws-access/{stack}/deployed-version": "none",
        f"/bbws-access/{stack}/terraform-commit": "none",
        f"/bbws-access/{stack}/pulumi-commit": "none",
        f"/bbws-access/{stack}/table/{table}": table,
    }
    for one in parameters.values():
        assert one.ignore_changes == ["value"]
        assert one.inputs["type"] == "String"
        assert one.inputs["tags"]["component"] == "release-parameters"


@every_stack
def test_an_alias_has_nothing_that_could_change_beside_what_the_rollback_moves(stack: str) -> None:
    aliases = declared(stack).of(ALIAS)

    assert len(aliases) == 42
    for tail, alias in aliases.items():
        assert set(alias.inputs) == {"name", "functionName", "functionVersion"}, (
            "any other input, once changed, sends the version of the checkpoint along and undoes a rollback"
        )
        assert alias.inputs["name"] == "live"
        assert alias.inputs["functionName"] == f"bbws-access-{stack}-lambda-{tail}"
        assert alias.ignore_changes == ["functionVersion", "routingConfig", "description"]


def test_a_new_alias_points_at_the_newest_published_version() -> None:
    versions = {name: str(number) for number, name in enumerate(names("dev"), start=1)}

    run_ = run(program, config=configuration("dev"), versions=versions)

    for alias in run_.of(ALIAS).values():
        assert alias.inputs["functionVersion"] == versions[alias.inputs["functionName"]]


@pytest.mark.parametrize("preview", [True, False])
def test_a_missing_function_is_an_error_that_names_it_and_shows_what_to_do(preview: bool) -> None:
    versions = dict.fromkeys(names("dev"), "1")
    for gone in ("team-service-get", "role-service-list"):
        del versions[f"bbws-access-dev-lambda-{gone}"]

    with pytest.raises(pulumi.RunError) as raised:
        run(program, config=configuration("dev"), versions=versions, preview=preview)

    message = str(raised.value)
    assert "bbws-access-dev-lambda-team-service-get cannot be read" in message
    assert "bbws-access-dev-lambda-role-service-list cannot be read" in message, "all of them at once"
    assert "Function not found" in message, "the cloud's own reason is kept: it may be a permission"
    assert "Deploy and publish them first" in message
    assert "role-service-get" not in message


def test_a_function_that_was_never_published_is_named() -> None:
    versions = dict.fromkeys(names("dev"), "1") | {"bbws-access-dev-lambda-team-service-get": "$LATEST"}

    with pytest.raises(pulumi.RunError, match="team-service-get has no published version"):
        run(program, config=configuration("dev"), versions=versions)


@every_stack
def test_each_function_is_asked_for_once(stack: str) -> None:
    asked = [arguments["functionName"] for _, arguments in declared(stack).calls]

    assert sorted(asked) == sorted(names(stack))


@every_stack
def test_every_role_carries_the_boundary(stack: str) -> None:
    roles = declared(stack).of(ROLE)
    account = settings(stack).account

    assert {role.inputs["name"] for role in roles.values()} == {
        f"bbws-access-{stack}-{tail}"
        for tail in (
            "github-actions-role", "rollback-role", "approver-role", "restore-role", "break-glass-role",
            *(f"{role}-role" for role in drill(stack)),
        )
    }  # fmt: skip
    for role in roles.values():
        assert (
            role.inputs["permissionsBoundary"]
            == f"arn:aws:iam::{account}:policy/bbws-access-{stack}-boundary"
        )
        assert role.inputs["tags"]["component"] in ("github-roles", "break-glass")


@every_stack
def test_github_is_trusted_for_the_audience_of_sts_only(stack: str) -> None:
    provider = declared(stack).one(PROVIDER)

    assert provider.inputs["url"] == "https://token.actions.githubusercontent.com"
    assert provider.inputs["clientIdLists"] == ["sts.amazonaws.com"]


@every_stack
def test_managed_policies_are_attached_to_the_role_they_are_named_after(stack: str) -> None:
    run_ = declared(stack)
    attached = {
        (one.inputs["role"], one.inputs["policyArn"].rsplit("/", 1)[-1])
        for one in run_.of(ATTACHMENT).values()
    }

    assert attached == {
        (f"bbws-access-{stack}-github-actions-role", f"bbws-access-{stack}-deployer-functions-1"),
        (f"bbws-access-{stack}-github-actions-role", f"bbws-access-{stack}-deployer-functions-2"),
        (f"bbws-access-{stack}-github-actions-role", f"bbws-access-{stack}-deployer-functions-3"),
        (f"bbws-access-{stack}-rollback-role", f"bbws-access-{stack}-rollback-functions-1"),
        (f"bbws-access-{stack}-rollback-role", f"bbws-access-{stack}-rollback-functions-2"),
        (f"bbws-access-{stack}-break-glass-role", f"bbws-access-{stack}-break-glass-functions-1"),
        (f"bbws-access-{stack}-break-glass-role", f"bbws-access-{stack}-break-glass-functions-2"),
        *(
            (f"bbws-access-{stack}-drill-role", f"bbws-access-{stack}-drill-functions-1")
            for _ in drill(stack)
        ),
    }
    assert {one.inputs["role"] for one in run_.of(INLINE).values()} == {
        role.inputs["name"] for role in run_.of(ROLE).values()
    }


@every_stack
def test_the_program_shows_what_it_has_declared(stack: str) -> None:
    exports = declared(stack).exports
    account = settings(stack).account

    assert exports["deploymentsTable"] == f"bbws-access-{stack}-ddb-deployments"
    assert exports["aliases"] == 42
    assert exports["roleArns"]["rollback"] == f"arn:aws:iam::{account}:role/bbws-access-{stack}-rollback-role"
    assert exports["githubEnvironments"] == []


def test_configured_people_may_take_their_role_and_no_other() -> None:
    alice, carol, olga = (f"arn:aws:iam::536580886816:user/{name}" for name in ("alice", "carol", "olga"))
    people = {"onCall": [alice], "approvers": [carol], "deployers": [], "breakGlass": [olga]}

    config = configuration("dev", **ONE_FUNCTION, **{"rollback:people": people})
    run_ = run(program, stack="dev-foundation", config=config)

    trusted = {
        name: [
            one["Principal"]["AWS"]
            for one in role.policy("assumeRolePolicy")["Statement"]
            if one["Sid"] == "People"
        ]
        for name, role in run_.of(ROLE).items()
    }
    assert trusted == {
        "rollback": [[alice]],
        "restore": [[alice]],
        "drill": [[alice]],
        "approver": [[carol]],
        "deployer": [],
        "break-glass": [[olga]],
    }


def test_a_setting_that_does_not_exist_ends_the_program_with_the_nearest_one() -> None:
    with pytest.raises(pulumi.RunError, match=r"unknown setting 'rollback:prefx'.*'rollback:prefix'"):
        run(program, config=configuration("dev", **{"rollback:prefx": "x"}))


@every_stack
def test_without_github_configuration_nothing_is_declared_there_and_the_program_reports_it(
    stack: str,
) -> None:
    run_ = declared(stack)

    assert not run_.of(ENVIRONMENT)
    assert len(run_.messages) == 1
    assert run_.messages[0].startswith(f"warning: The GitHub environments of {stack} are not declared:")
    assert "github:owner" in run_.messages[0]
    assert "rollback:reviewers" in run_.messages[0]


@pytest.mark.parametrize(
    ("more", "missing", "given"),
    [
        ({"github:owner": "bbws"}, "rollback:reviewers", "github:owner"),
        ({"rollback:reviewers": {"teams": [7], "users": []}}, "github:owner", "rollback:reviewers"),
    ],
)
def test_half_a_github_configuration_is_named_by_its_missing_half(
    more: dict[str, object], missing: str, given: str
) -> None:
    run_ = run(program, stack="dev-foundation", config=configuration("dev", **ONE_FUNCTION, **more))

    assert not run_.of(ENVIRONMENT)
    assert missing in run_.messages[0]
    assert given not in run_.messages[0]


@every_stack
def test_github_environments_are_declared_restricted_to_the_protected_branch(stack: str) -> None:
    run_ = with_github(stack)

    environments, branches = run_.of(ENVIRONMENT), run_.of(BRANCHES)
    kinds = ("deploy", "rollback", "rollback-approval", *drill(stack))
    expected = {f"{stack}-{kind}" for kind in kinds}
    assert set(environments) == set(branches) == set(run_.exports["githubEnvironments"]) == expected
    assert run_.messages == []
    for name, environment in environments.items():
        assert environment.inputs["repository"] == "access-platform"
        assert environment.inputs["environment"] == name
        assert environment.inputs["deploymentBranchPolicy"] == {
            "customBranchPolicies": True,
            "protectedBranches": False,
        }
        assert environment.inputs["canAdminsBypass"] is False
        assert branches[name].inputs == {
            "repository": "access-platform", "environment": name, "branchPattern": "main",
        }  # fmt: skip
        assert environment.protect
        assert branches[name].protect
        assert environment.parent_type == "rollback:index:RollbackEnvironments"


@every_stack
def test_only_the_approval_environment_has_reviewers_and_nobody_reviews_their_own_run(stack: str) -> None:
    run_ = with_github(stack)

    environments = dict(run_.of(ENVIRONMENT))
    approval = environments.pop(f"{stack}-rollback-approval")
    assert approval.inputs["reviewers"] == [{"teams": [7], "users": [11, 12]}]
    assert approval.inputs["preventSelfReview"] is True
    for other in environments.values():
        assert "reviewers" not in other.inputs


def test_environments_are_not_declared_in_a_strangers_repository() -> None:
    with pytest.raises(pulumi.RunError, match="a repository of another account"):
        run(
            program,
            stack="dev-foundation",
            config=configuration("dev", **GITHUB | {"github:owner": "somebody"}),
        )


def test_ids_in_the_repository_reach_the_trust_but_not_githubs_api() -> None:
    more = GITHUB | {"rollback:repository": "bbws@42/access-platform@77"}

    run_ = run(program, stack="dev-foundation", config=configuration("dev", **ONE_FUNCTION, **more))

    (jobs, *_) = run_.of(ROLE)["rollback"].policy("assumeRolePolicy")["Statement"]
    subject = jobs["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
    assert subject == "repo:bbws@42/access-platform@77:environment:dev-rollback"
    assert run_.of(ENVIRONMENT)["dev-deploy"].inputs["repository"] == "access-platform"
