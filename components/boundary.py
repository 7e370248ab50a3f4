"""The permissions boundary of every role of this project, and the trust policies: who may take a role.

A permissions boundary is a ceiling: what it does not allow, a role's policies cannot give. It allows the
actions of `permissions` and denies, by name, what must not come back through a policy that somebody adds.
"""

from __future__ import annotations

from collections.abc import Sequence

from rollback.config.naming import APPROVER, GITHUB_OIDC_HOST, OIDC_AUDIENCE

from .permissions import granted
from .policies import LEDGER_WRITES, Document, Scope, Statement, denial, document, statement

# Every way to write to IAM, as prefixes: a new action of a known kind is denied from its first day.
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
# What deletes or overwrites the ledger, or readies it for that: a TTL deletes, a resource policy lets
# strangers in, UpdateTable lifts the deletion protection, UpdateContinuousBackups ends the recovery.
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
# What deletes from the audit trail, shortens what it keeps, or lets others do so.
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

# What makes an alarm red or green by hand, or deaf.
_ALARM_HARM = (
    "cloudwatch:DeleteAlarms",
    "cloudwatch:DisableAlarmActions",
    "cloudwatch:PutCompositeAlarm",
    "cloudwatch:PutMetricAlarm",
    "cloudwatch:SetAlarmState",
)
# What makes another function of it, or lets it in for others.
_FUNCTION_HARM = (
    "lambda:AddPermission",
    "lambda:Delete*",
    "lambda:Put*",
    "lambda:RemovePermission",
    "lambda:Update*",
)

# A trust policy needs a statement.
NOBODY: Statement = {"Sid": "Nobody", "Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}

# Taking a role; the second is judged as well where a source identity is set, or goes along.
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
            # Who writes this state acts as the administrator who next runs `pulumi up`.
            denial("KeepFoundation", ["s3:*"], [scope.foundation, f"{scope.foundation}/*"]),
            # A version may go; a function, with all its versions and aliases, never.
            {
                "Sid": "KeepFunctions",
                "Effect": "Deny",
                "Action": ["lambda:DeleteFunction"],
                "NotResource": scope.function("*:*"),
            },
            # A copy may go again; a table never.
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
                    # Any approval among the keys is enough; a transaction may carry several.
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
    """What keeps the guard's alarms, and the guard itself, from those whom it may have to roll back."""
    return [
        denial("LeaveAlarmsAlone", _ALARM_HARM, scope.guard_alarms),
        denial("LeaveGuardAlone", _FUNCTION_HARM, [scope.guard_function, f"{scope.guard_function}:*"]),
        denial(
            "OnlyCloudWatchCalls",
            ["sns:Publish", "sns:Set*", "sns:Subscribe"],
            scope.topic(scope.names.guard_alarms),
        ),
        # The one under which a schedule invokes the guard: the guard's alone, by its policy, and of no other use.
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
    """The trust policy of a role: the jobs of one GitHub environment, those of `gitlab` (`gitlab_jobs.may_take`), `people`
    (ARNs of IAM users), and anybody who has taken `role` already.

    `repository` is as GitHub writes it into a token's subject: `owner/name`, or `owner@ID/name@ID`
    where the repository has immutable subjects (repositories created or renamed since 2026-07-15:
    GitHub changelog of 2026-04-23); empty where there is none. People need MFA, and their session must bear their user name, so that
    "who" is never of the caller's choosing. Nor is it on the way from `role`: a session keeps the name that
    it was taken with, for which it needs a source identity (`rollback login` sets one); a job's session
    sets it as it goes; a session of the permission set of `role`, where there is one, has none, but its own name.
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
        # The second only a job's session has that no role led to (IAM User Guide, "AWS global condition
        # context keys").
        taken = [
            {"Sid": "Role", **by, "Condition": _named("${aws:SourceIdentity}")},
            {"Sid": "RoleOfJobs", **by, "Condition": {"Null": {"aws:FederatedProvider": "false"}}},
            *_of_permission_set(scope, role),
        ]
    found = [*jobs, *gitlab, *taken, *(people_may_take(people) if people else ())]
    return document(found or [NOBODY])


def _of_permission_set(scope: Scope, role: str) -> list[Statement]:
    """The statement by which people take a role from the permission set of `role`; none where it has no set.

    A trust can name no role whose name is not known, so it names the account: a session needs the permission of its own
    policies as well. Identity Center names a session after its user and sets no source identity, and the name is what
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
    """The statements of a trust by which `people` (ARNs of IAM users, one at least) take a role.

    They need MFA, and their session must bear their user name: an AWS profile with `mfa_serial` and
    `role_session_name` says both. No profile can set a source identity (boto/botocore#2486), so it is not
    asked for; who sets one (`rollback login`) can set their own name only.
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
    """Holds where the session, and the source identity if it is set, is called `name`.

    AssumeRole always carries the session's name; SetSourceIdentity never does
    (https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html),
    for which it says "if exists". One statement for both: a trust holds 2,048 characters.
    """
    return {"StringEqualsIfExists": {"sts:RoleSessionName": name, "sts:SourceIdentity": name}}
