"""The permissions boundary of every role of this project, and the trust policies: who may assume a role.

A permissions boundary is an upper limit: a role's policies cannot grant what it does not allow. It allows the
actions of `permissions` and denies, by name, what no later policy may grant.
"""

from __future__ import annotations

from collections.abc import Sequence

from rollback.config.naming import APPROVER, GITHUB_OIDC_HOST, OIDC_AUDIENCE

from .permissions import granted
from .policies import LEDGER_WRITES, Document, Scope, Statement, denial, document, statement

# Every way to write to IAM, as prefixes: so new actions of a known kind are denied too.
_IAM_WRITES = (
    "Accept",
    "Add",
    "Associate",
    "Attach",
    "Change",
    "Create",
    "Deactivate",
    "Delete",
    "Detach",
    "Disable",
    "Enable",
    "PassRole",
    "Put",
    "Reject",
    "Remove",
    "Reset",
    "Resync",
    "Send",
    "Set",
    "Tag",
    "Untag",
    "Update",
    "Upload",
)
# Actions that delete or overwrite the ledger, or prepare that: a TTL deletes, a resource policy lets
# others in, UpdateTable turns off deletion protection, UpdateContinuousBackups point-in-time recovery.
_LEDGER_HARM = (
    "dynamodb:BatchWriteItem",
    "dynamodb:Delete*",
    "dynamodb:ImportTable",
    "dynamodb:PartiQL*",
    "dynamodb:PutResourcePolicy",
    "dynamodb:Restore*",
    "dynamodb:UpdateContinuousBackups",
    "dynamodb:UpdateTable",
    "dynamodb:UpdateTimeToLive",
)
# Actions that delete from the archive, shorten its retention, or let others do so.
_TRAIL_HARM = (
    "s3:Bypass*",
    "s3:Delete*",
    "s3:PutBucket*",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutObjectAcl",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
    "s3:PutReplicationConfiguration",
)

# Actions that set an alarm's state by hand, or disable it.
_ALARM_HARM = (
    "cloudwatch:DeleteAlarms",
    "cloudwatch:DisableAlarmActions",
    "cloudwatch:PutCompositeAlarm",
    "cloudwatch:PutMetricAlarm",
    "cloudwatch:SetAlarmState",
)
# Actions that change the function, or let others invoke it.
_FUNCTION_HARM = (
    "lambda:AddPermission",
    "lambda:Delete*",
    "lambda:Put*",
    "lambda:RemovePermission",
    "lambda:Update*",
)

# A trust policy needs a statement.
NOBODY: Statement = {"Sid": "Nobody", "Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}

# Assuming a role; IAM evaluates the second too if a source identity is set or passed on.
_TAKE = ["sts:AssumeRole", "sts:SetSourceIdentity"]


def boundary(scope: Scope) -> Document:
    """The permissions boundary of all roles, as a policy document (`policies.Document`)."""
    by_set = scope.by_permission_set(APPROVER)
    approvers: Document = (
        {"ArnNotLike": {"aws:PrincipalArn": [scope.role(APPROVER), *by_set]}}
        if by_set
        else {"ArnNotEquals": {"aws:PrincipalArn": scope.role(APPROVER)}}
    )
    return document(
        [
            statement("Ceiling", granted(scope), "*"),
            denial("KeepLedger", _LEDGER_HARM, [scope.ledger, f"{scope.ledger}/*"]),
            denial("KeepTrail", _TRAIL_HARM, [scope.trail, f"{scope.trail}/*"]),
            # A person who can write this state acts as the administrator who runs `pulumi up` next.
            denial("KeepFoundation", ["s3:*"], [scope.foundation, f"{scope.foundation}/*"]),
            # A version may be deleted; a function, with all its versions and aliases, never.
            {
                "Sid": "KeepFunctions",
                "Effect": "Deny",
                "Action": ["lambda:DeleteFunction"],
                "NotResource": scope.function("*:*"),
            },
            # A restored copy may be deleted; a table never.
            *(
                [
                    denial(
                        "KeepTables",
                        ("dynamodb:DeleteTable",),
                        [scope.table(table) for table in scope.tables],
                    )
                ]
                if scope.tables
                else []
            ),
            denial(
                "OnlyApproversApprove",
                LEDGER_WRITES,
                scope.ledger,
                {
                    # One approval among the keys is enough; a transaction may have several keys.
                    "ForAnyValue:StringLike": {"dynamodb:LeadingKeys": "APPROVAL#*"},
                    **approvers,
                },
            ),
            denial(
                "LeaveIdentityAlone",
                [
                    f"iam:{verb}" if verb == "PassRole" else f"iam:{verb}*"
                    for verb in _IAM_WRITES
                    if verb != "PassRole" or not scope.guard
                ],
                "*",
            ),
            *(_guarded(scope) if scope.guard else []),
        ]
    )


def _guarded(scope: Scope) -> list[Statement]:
    """Protects the guard and its alarms from the roles whose deployments it may have to roll back."""
    return [
        denial("LeaveAlarmsAlone", _ALARM_HARM, scope.guard_alarms),
        denial("LeaveGuardAlone", _FUNCTION_HARM, [scope.guard_function, f"{scope.guard_function}:*"]),
        denial(
            "OnlyCloudWatchCalls",
            ["sns:Publish", "sns:Set*", "sns:Subscribe"],
            scope.topic(scope.names.guard_alarms),
        ),
        # The role under which a schedule invokes the guard: only the guard may pass it on, and it allows nothing else.
        {
            "Sid": "PassNoRole",
            "Effect": "Deny",
            "Action": ["iam:PassRole"],
            "NotResource": scope.guard_schedule,
        },
    ]


def trust(
    scope: Scope,
    repository: str,
    github_environment: str,
    people: tuple[str, ...],
    role: str | None = None,
    *,
    gitlab: Sequence[Statement] = (),
) -> Document:
    """The trust policy of a role: the jobs of one GitHub environment, those of `gitlab` (`gitlab_jobs.may_take`),
    `people` (ARNs of IAM users), and anybody who has assumed `role` already.

    `repository` is as GitHub writes it into a token's subject: `owner/name`, or `owner@ID/name@ID` where the repository
    has immutable subjects (repositories created or renamed since 2026-07-15: GitHub changelog of 2026-04-23); "" if
    there is none. People need MFA, and their session must have their user name, so that callers cannot choose who they
    are. Nor can they when they come from `role`: a session keeps the name that it began with, so it needs a source
    identity (`rollback login` sets one); a job's session sets it when it assumes the role; a session of the permission
    set of `role`, if any, has no source identity, but its user's name.
    """
    jobs: list[Statement] = (
        [
            {
                "Sid": "Jobs",
                "Effect": "Allow",
                "Principal": {"Federated": scope.oidc_provider},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {
                        f"{GITHUB_OIDC_HOST}:aud": OIDC_AUDIENCE,
                        f"{GITHUB_OIDC_HOST}:sub": f"repo:{repository}:environment:{github_environment}",
                    }
                },
            }
        ]
        if repository
        else []
    )
    taken: list[Statement] = []
    if role is not None:
        by: Statement = {"Effect": "Allow", "Principal": {"AWS": scope.role(role)}, "Action": _TAKE}
        # Only a job's first session has the second, before it assumes a role (IAM User Guide, "AWS global condition
        # context keys").
        taken = [
            {"Sid": "Role", **by, "Condition": _named("${aws:SourceIdentity}")},
            {"Sid": "RoleOfJobs", **by, "Condition": {"Null": {"aws:FederatedProvider": "false"}}},
            *_of_permission_set(scope, role),
        ]
    found = [*jobs, *gitlab, *taken, *(people_may_take(people) if people else ())]
    return document(found or [NOBODY])


def _of_permission_set(scope: Scope, role: str) -> list[Statement]:
    """The statement by which people assume a role from the permission set of `role`; empty if it has no set.

    The set's role has an unknown name, so the trust names the account: a session also needs permission by its own
    policies. Identity Center names a session after its user and sets no source identity; that name is the part that
    follows the colon in `aws:userid` (IAM User Guide, "IAM policy elements: variables and tags",
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-infotouse).
    """
    roles = scope.by_permission_set(role)
    if not roles:
        return []
    return [
        {
            "Sid": "PermissionSet",
            "Effect": "Allow",
            "Principal": {"AWS": scope.arn("iam", "root")},
            "Action": "sts:AssumeRole",
            "Condition": {
                "ArnLike": {"aws:PrincipalArn": roles},
                "StringLike": {"aws:userid": "*:${sts:RoleSessionName}"},
            },
        }
    ]


def people_may_take(people: Sequence[str]) -> list[Statement]:
    """The statements of a trust by which `people` (ARNs of IAM users, at least one) assume a role.

    They need MFA, and their session must have their user name: an AWS profile with `mfa_serial` and
    `role_session_name` does both. No profile can set a source identity (boto/botocore#2486), so it is not
    required; a caller who sets one (`rollback login`) can only set their own name.
    """
    return [
        {
            "Sid": "People",
            "Effect": "Allow",
            "Principal": {"AWS": sorted(people)},
            "Action": _TAKE,
            "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}, **_named("${aws:username}")},
        },
    ]


def _named(name: str) -> Document:
    """True if the session's name, and the source identity if it is set, is `name`.

    AssumeRole always carries the session's name; SetSourceIdentity never does
    (https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html),
    hence "IfExists". One statement for both, because a trust policy is limited to 2,048 characters.
    """
    return {"StringEqualsIfExists": {"sts:RoleSessionName": name, "sts:SourceIdentity": name}}
