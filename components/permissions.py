"""Each role's permissions, as pure functions from an environment to policy documents.

Exactly the calls that the role's commands make, each on exactly its resources. An action that takes no
resource is allowed on `"*"`, for the reason in `policies.ON_EVERYTHING`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rollback.config.naming import APPROVER, DEPLOYER, DRILL, GUARD, RESTORE, ROLLBACK

from .deployer import deployer, deployer_functions
from .policies import (
    LEDGER_READS,
    LEDGER_WRITES,
    TABLE_READS,
    Document,
    Scope,
    Statement,
    document,
    leading_keys,
    packed_for,
    reading,
    statement,
)

_LAMBDA_READS = (
    "lambda:GetAlias",
    "lambda:GetFunction",
    "lambda:GetFunctionUrlConfig",
    "lambda:GetProvisionedConcurrencyConfig",
    "lambda:ListVersionsByFunction",
)


def inline_policy(role: str, scope: Scope) -> Document:
    """What `role` may do, without the permissions on functions (`function_policies`)."""
    return document(_INLINE[role](scope))


def function_policies(role: str, scope: Scope) -> tuple[Document, ...]:
    """What `role` may do to each function of the catalogue, in as few managed policies as possible.

    Empty for a role without permissions on functions. Raises `TooManyFunctions` if they do not fit into one
    role.
    """
    return packed_for(role, scope, _FUNCTIONS[role]) if role in _FUNCTIONS else ()


def granted(scope: Scope) -> list[str]:
    """Every action that any role may do: what the boundary has to allow."""
    one = scope.functions[:1]
    statements = [
        granting
        for role in (*scope.roles, *([GUARD] if scope.guard else []))
        for granting in (
            *_INLINE[role](scope),
            *(_FUNCTIONS[role](scope, one) if role in _FUNCTIONS else ()),
        )
    ]
    return sorted({action for granting in statements for action in granting["Action"]})


def _environment_reads(scope: Scope, *, alarms: bool) -> list[Statement]:
    """What every plan and every status reads; with `alarms` also the alarms, for roles that decide by them."""
    env = scope.names.environment
    return [
        statement(
            "ReadLedger",
            LEDGER_READS,
            scope.ledger,
            leading_keys("DEPLOYMENT#*", "ROLLBACK#*", "APPROVAL#*", f"LOCK#{env}", f"RELEASE#{env}"),
        ),
        statement(
            "ReadHistory",
            ["dynamodb:Query"],
            f"{scope.ledger}/index/GSI1",
            leading_keys(f"ENV#{env}"),
        ),
        # To check that it exists and is protected: partitions of a deleted table cannot be allowed.
        statement(
            "SeeLedger",
            ["dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable"],
            scope.ledger,
        ),
        # To check that there is something to restore from.
        *(
            [
                statement(
                    "SeeRecovery",
                    ["dynamodb:DescribeContinuousBackups"],
                    [scope.table(table) for table in scope.tables],
                )
            ]
            if scope.tables
            else []
        ),
        reading(scope, _LAMBDA_READS),
        statement("ListFunctions", ["lambda:ListFunctions"], "*"),
        # To find what invokes functions without their alias: no rollback would move that traffic.
        statement(
            "FindInvokers",
            [
                "events:ListEventBuses",
                "events:ListRules",
                "events:ListTargetsByRule",
                "lambda:ListEventSourceMappings",
                "scheduler:ListSchedules",
            ],
            "*",
        ),
        *(
            [
                statement(
                    "TellEventBus",
                    ["events:PutEvents"],
                    scope.arn("events", f"event-bus/{scope.event_bus}"),
                )
            ]
            if scope.event_bus
            else []
        ),
        # The alarms by which `rollback watch` and the guard decide.
        *(
            [statement("SeeAlarms", ["cloudwatch:DescribeAlarmHistory", "cloudwatch:DescribeAlarms"], "*")]
            if alarms
            else []
        ),
        *(
            [
                statement(
                    "ReadStacks",
                    [
                        "cloudformation:DescribeStacks",
                        "cloudformation:GetTemplate",
                        "cloudformation:ListStackResources",
                    ],
                    # A stack's ARN ends in an id that cannot be chosen.
                    [scope.arn("cloudformation", f"stack/{name}/*") for name in scope.cloudformation_stacks],
                )
            ]
            if scope.cloudformation_stacks
            else []
        ),
        statement("ReadApis", ["apigateway:GET"], scope.every_api),
        statement("ReleaseParameters", ["ssm:GetParameter", "ssm:PutParameter"], scope.parameters),
        statement("TellSlack", ["ssm:GetParameter"], scope.slack),
    ]


def _trail(scope: Scope) -> list[Statement]:
    """The heads of the ledger: written, and read back to compare; if an object has two versions, the oldest counts."""
    return [
        statement("KeepHeads", ["s3:PutObject"], [f"{scope.trail}/releases/*", f"{scope.trail}/timeline/*"]),
        statement("ListHeads", ["s3:ListBucketVersions"], scope.trail),
        statement("ReadHeads", ["s3:GetObjectVersion"], f"{scope.trail}/*"),
    ]


def _records(scope: Scope) -> list[Statement]:
    """What applying a rollback of aliases needs, without the functions."""
    env = scope.names.environment
    return [
        *_environment_reads(scope, alarms=scope.alarms or scope.guard),
        *_trail(scope),
        statement(
            "WriteRecords",
            LEDGER_WRITES,
            scope.ledger,
            leading_keys("ROLLBACK#*", f"LOCK#{env}", f"RELEASE#{env}"),
        ),
    ]


def _rollback(scope: Scope) -> list[Statement]:
    return [
        *_records(scope),
        # Only the restore role may change a table's data. SetSourceIdentity: a person's session has
        # one, and passes it on ("Monitor and control actions taken with assumed roles",
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html).
        *(
            [statement("RestoreTables", ["sts:AssumeRole", "sts:SetSourceIdentity"], scope.role(RESTORE))]
            if scope.tables
            else []
        ),
        *(_seeing_guard(scope) if scope.guard else []),
    ]


def _seeing_guard(scope: Scope) -> list[Statement]:
    """To check that the guard and its alarms are as declared, and to test the whole path without changes: the guard
    does not trust what it is invoked with.
    """
    return [
        statement(
            "SeeGuard",
            [
                "lambda:GetFunctionConcurrency",
                "lambda:GetFunctionConfiguration",
                "lambda:GetFunctionEventInvokeConfig",
                "lambda:InvokeFunction",
            ],
            scope.guard_function,
        ),
        # When a message came into the queue is only known to who reads it. Nobody of the team may delete one.
        statement(
            "SeeWhatFailed",
            ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage"],
            _failed(scope),
        ),
        statement(
            "SeeTopics",
            ["sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic"],
            [scope.topic(scope.names.guard_alarms), scope.topic(scope.names.guard_reports)],
        ),
    ]


def _failed(scope: Scope) -> str:
    return scope.arn("sqs", scope.names.guard_failed)


def _guard(scope: Scope) -> list[Statement]:
    """The rollback role's permissions on the ledger, and the alarms' state and history; no approval, no release. The
    code ensures that it neither freezes nor lifts: those items are in the partition that it has to write to.
    """
    names = scope.names
    return [
        *_records(scope),
        statement("Report", ["sns:Publish"], scope.topic(names.guard_reports)),
        # Lambda sends failed events to the queue under the function's role.
        statement("Fail", ["sqs:SendMessage"], _failed(scope)),
        # For one invocation some minutes after its rollback.
        statement(
            "ScheduleItself",
            ["scheduler:CreateSchedule"],
            scope.arn("scheduler", f"schedule/default/{names.guard}-*"),
        ),
        statement(
            "AsTheSchedule",
            ["iam:PassRole"],
            scope.guard_schedule,
            {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
        ),
        statement(
            "Log",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            [
                scope.arn("logs", f"log-group:/aws/lambda/{names.guard}"),
                scope.arn("logs", f"log-group:/aws/lambda/{names.guard}:*"),
            ],
        ),
    ]


def _rollback_functions(scope: Scope, functions: Sequence[str]) -> list[Statement]:
    arns = [scope.function(function) for function in functions]
    return [
        statement("MoveAliases", ["lambda:UpdateAlias"], arns),
        # Smoke tests invoke the alias; an Inactive version is invoked to activate it before its alias moves.
        statement("Invoke", ["lambda:InvokeFunction"], [f"{arn}:*" for arn in arns]),
    ]


def _deployer(scope: Scope) -> list[Statement]:
    return [*_environment_reads(scope, alarms=scope.alarms), *_trail(scope), *deployer(scope)]


def _approver(scope: Scope) -> list[Statement]:
    return [
        statement(
            "ReadWhatIsAsked",
            ["dynamodb:Query"],
            scope.ledger,
            leading_keys("ROLLBACK#*"),
        ),
        statement("Approve", ["dynamodb:PutItem"], scope.ledger, leading_keys("APPROVAL#*")),
        statement("KeepApprovals", ["s3:PutObject"], f"{scope.trail}/approvals/*"),
    ]


def _restore(scope: Scope) -> list[Statement]:
    """A restore needs permission on the source and, on the new table, for reads and writes that the restore itself
    never makes, DeleteItem among them ("Using IAM with DynamoDB backup and restore",
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/backuprestore_IAM.html; AWS re:Post,
    "DynamoDB not able to restore with deny DeleteItem"). Only restored copies may be deleted.
    """
    tables = [scope.table(table) for table in scope.tables]
    return [
        statement(
            "FromTables",
            [
                *TABLE_READS,
                "dynamodb:BatchGetItem",
                "dynamodb:CreateBackup",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:GetResourcePolicy",
                "dynamodb:PutItem",
                "dynamodb:RestoreTableToPointInTime",
                "dynamodb:Scan",
            ],
            tables,
        ),
        statement("LookAtBackups", ["dynamodb:DescribeBackup"], [f"{arn}/backup/*" for arn in tables]),
        statement(
            "ToCopies",
            [
                *TABLE_READS,
                "dynamodb:BatchGetItem",
                "dynamodb:BatchWriteItem",
                "dynamodb:DeleteItem",
                "dynamodb:DeleteTable",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:RestoreTableToPointInTime",
                "dynamodb:Scan",
                "dynamodb:TagResource",
                "dynamodb:UpdateContinuousBackups",
                "dynamodb:UpdateItem",
                "dynamodb:UpdateTable",
                "dynamodb:UpdateTimeToLive",
            ],
            [f"{arn}-restore-*" for arn in tables],
        ),
        statement(
            "KeepReports",
            ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
            # Saved plans in the same bucket contain secrets, which this role may not read.
            f"{scope.bucket}/rollback/*/loss*",
        ),
        statement("PointToTables", ["ssm:GetParameter", "ssm:PutParameter"], scope.table_parameters),
        *_table_keys(scope),
    ]


def _table_keys(scope: Scope) -> list[Statement]:
    """What DynamoDB requires to use or restore a table with a customer-managed key: permissions on the key, through
    DynamoDB, and for itself (Amazon DynamoDB Developer Guide, "DynamoDB encryption at rest: usage notes" and "How
    DynamoDB uses AWS KMS").
    """
    if not scope.table_keys:
        return []
    through = {"StringEquals": {"kms:ViaService": scope.dynamodb}}
    return [
        statement(
            "TableKeys",
            [
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:Encrypt",
                "kms:GenerateDataKey",
                "kms:GenerateDataKeyWithoutPlaintext",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
            ],
            scope.table_keys,
            through,
        ),
        statement(
            "KeepCopiesUnderTableKeys",
            ["kms:CreateGrant"],
            scope.table_keys,
            {**through, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]


def _drill(scope: Scope) -> list[Statement]:
    """Only a drill's bad configuration needs permissions here; the rest is done under the two real roles."""
    roles = [scope.role(DEPLOYER), scope.role(ROLLBACK)]
    return [statement("DeployAndPutBack", ["sts:AssumeRole", "sts:SetSourceIdentity"], roles)]


def _drill_functions(scope: Scope, functions: Sequence[str]) -> list[Statement]:
    arns = [scope.function(function) for function in functions]
    return [statement("Misconfigure", ["lambda:UpdateFunctionConfiguration"], arns)]


_INLINE: dict[str, Callable[[Scope], list[Statement]]] = {
    DEPLOYER: _deployer,
    ROLLBACK: _rollback,
    APPROVER: _approver,
    RESTORE: _restore,
    DRILL: _drill,
    GUARD: _guard,
}
_FUNCTIONS: dict[str, Callable[[Scope, Sequence[str]], list[Statement]]] = {
    DEPLOYER: deployer_functions,
    ROLLBACK: _rollback_functions,
    DRILL: _drill_functions,
    GUARD: _rollback_functions,
}
