"""The deployer's permissions: record releases, `pulumi up` of this program, Terraform, and the states of
both.
"""

from __future__ import annotations

from collections.abc import Sequence

from .policies import LEDGER_WRITES, TABLE_READS, Scope, Statement, leading_keys, statement


def deployer(scope: Scope) -> list[Statement]:
    """The statements of what the deployer may do, beside reading what every role of an environment reads."""
    env = scope.names.environment
    return [
        statement(
            "WriteReleases",
            LEDGER_WRITES,
            scope.ledger,
            leading_keys("DEPLOYMENT#*", "ROLLBACK#*", f"LOCK#{env}", f"RELEASE#{env}"),
        ),
        # Who uses a version by its ARN, before it is deleted.
        statement("FindUsers", ["cloudwatch:ListMetrics"], "*"),
        *_program(scope),
        *(_terraform_tables(scope) if scope.declared_tables else []),
        *(_terraform_apis(scope) if scope.declared_apis else []),
        *_state(scope),
    ]


def _program(scope: Scope) -> list[Statement]:
    """What `pulumi up` of the stack of aliases and parameters needs; the rest is in the foundation's stack, which
    is an administrator's.
    """
    return [
        statement("DescribeParameters", ["ssm:DescribeParameters"], "*"),
        statement(
            "RefreshParameters",
            ["ssm:AddTagsToResource", "ssm:ListTagsForResource", "ssm:RemoveTagsFromResource"],
            [*scope.parameters, *scope.table_parameters],
        ),
        # Which table functions use is not the deployer's to change.
        # A property beside the value is written with it: the engine sends the value that it has read.
        *(
            [statement("TableParameters", ["ssm:GetParameter", "ssm:PutParameter"], scope.table_parameters)]
            if scope.tables
            else []
        ),
    ]


def _terraform_tables(scope: Scope) -> list[Statement]:
    """What Terraform needs for the tables that the settings name, and no more: made and changed but never deleted. A
    root that grows takes its permissions here.
    """
    tables = [scope.table(table) for table in scope.declared_tables]
    return [
        statement(
            "AccessTable",
            [
                *TABLE_READS,
                "dynamodb:CreateTable",
                "dynamodb:TagResource",
                "dynamodb:UntagResource",
                "dynamodb:UpdateContinuousBackups",
                "dynamodb:UpdateTable",
            ],
            tables[0] if len(tables) == 1 else tables,
        ),
    ]


def _terraform_apis(scope: Scope) -> list[Statement]:
    """What Terraform needs for the APIs that the settings name. An API has an id that nobody chooses, so that the
    name decides where API Gateway gives it
    (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagement.html):
    when an API is made, changed or deleted; not when it is read or tagged. What is below an API (resources,
    methods, stages) has no name, and so is not allowed.
    """
    names = scope.declared_apis
    apis: str | list[str] = names[0] if len(names) == 1 else list(names)
    return [
        statement(
            "MakeApi",
            ["apigateway:POST"],
            scope.apis(""),
            {"StringEquals": {"apigateway:Request/ApiName": apis}},
        ),
        statement(
            "ChangeApi",
            ["apigateway:DELETE", "apigateway:PATCH"],
            scope.apis("/*"),
            {"StringEquals": {"apigateway:Resource/ApiName": apis}},
        ),
        # An API that is made with tags needs PUT on them, too.
        statement("TagApis", ["apigateway:DELETE", "apigateway:PUT"], scope.api_tags),
    ]


def _state(scope: Scope) -> list[Statement]:
    """The engine's and Terraform's state; objects are versioned, and only locks and saved plans are
    ever deleted.

    With a key for the stack's secrets, the engine asks KMS for what they are encrypted with, at a preview as well.
    """
    states, objects = scope.states, [f"{bucket}/*" for bucket in scope.states]
    key_uses = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
    return [
        *([statement("StateKey", key_uses, scope.state_key)] if scope.state_key else []),
        statement("FindState", ["s3:ListBucket"], states[0] if len(states) == 1 else states),
        statement(
            "KeepState", ["s3:GetObject", "s3:PutObject"], objects[0] if len(objects) == 1 else objects
        ),
        # A saved plan holds secrets, and goes with its versions once it is used.
        *(
            [statement("ForgetPlans", ["s3:DeleteObjectVersion"], f"{scope.bucket}/rollback/*/plan.tfplan")]
            if scope.terraform
            else []
        ),
        statement(
            "Unlock",
            ["s3:DeleteObject"],
            [
                f"{scope.bucket}/.pulumi/locks/*",
                *([f"{bucket}/*.tflock" for bucket in states] if scope.terraform else []),
            ],
        ),
    ]


def deployer_functions(scope: Scope, functions: Sequence[str]) -> list[Statement]:
    """What the deployer may do to functions of the catalogue."""
    arns = [scope.function(function) for function in functions]
    return [
        statement(
            "Deploy",
            [
                "lambda:CreateAlias",
                "lambda:GetFunctionCodeSigningConfig",
                "lambda:GetFunctionConfiguration",
                "lambda:ListAliases",
                "lambda:ListFunctionEventInvokeConfigs",
                "lambda:PublishVersion",
                "lambda:UpdateAlias",
                "lambda:UpdateFunctionCode",
            ],
            arns,
        ),
        # A request with a qualifier is authorised on the ARN with it (AWS Lambda's notice of a change in how
        # policies are evaluated, January 2022): one without, which takes the whole function, is not allowed.
        statement(
            "PruneVersions", ["lambda:DeleteFunction", "lambda:GetPolicy"], [f"{arn}:*" for arn in arns]
        ),
        # A stack, a Terraform configuration and a full rollback are proved by the smoke command, too.
        # Its alias, by smoke tests; and a version that is Inactive, which is woken before its alias moves.
        statement("Invoke", ["lambda:InvokeFunction"], [f"{arn}:*" for arn in arns]),
    ]
