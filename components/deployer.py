"""The deployer's permissions: record releases, `pulumi up` of this program, Terraform, and the states of
both.
"""

from __future__ import annotations

from collections.abc import Sequence

from .policies import LEDGER_WRITES, TABLE_READS, Scope, Statement, leading_keys, statement


def deployer(scope: Scope) -> list[Statement]:
    """The deployer's statements, without the reads of every role of an environment."""
    env = scope.names.environment
    return [
        statement(
            "WriteReleases",
            LEDGER_WRITES,
            scope.ledger,
            leading_keys("DEPLOYMENT#*", "ROLLBACK#*", f"LOCK#{env}", f"RELEASE#{env}"),
        ),
        # To find who uses a version by its ARN, before it is deleted.
        statement("FindUsers", ["cloudwatch:ListMetrics"], "*"),
        *_program(scope),
        *(_terraform_tables(scope) if scope.declared_tables else []),
        *(_terraform_apis(scope) if scope.declared_apis else []),
        *_state(scope),
    ]


def _program(scope: Scope) -> list[Statement]:
    """What `pulumi up` of the stack of aliases and parameters needs; the rest is in the foundation's stack,
    which an administrator deploys.
    """
    return [
        statement("DescribeParameters", ["ssm:DescribeParameters"], "*"),
        statement(
            "RefreshParameters",
            ["ssm:AddTagsToResource", "ssm:ListTagsForResource", "ssm:RemoveTagsFromResource"],
            [*scope.parameters, *scope.table_parameters],
        ),
        # The deployer may not change which table the functions use.
        # Writing another property also writes the value: the engine sends the value that it has read.
        *(
            [statement("TableParameters", ["ssm:GetParameter", "ssm:PutParameter"], scope.table_parameters)]
            if scope.tables
            else []
        ),
    ]


def _terraform_tables(scope: Scope) -> list[Statement]:
    """What Terraform needs for the tables that the settings name: create and change, but never delete. A
    root module with more resources needs more permissions here.
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
    """What Terraform needs for the APIs that the settings name. An API's id cannot be chosen, so only its
    name can be a condition, where API Gateway supports that
    (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagement.html):
    when an API is created, changed or deleted; not when it is read or tagged. What is below an API (resources,
    methods, stages) has no name, so it is not allowed.
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
        # Creating an API with tags also needs PUT on the tags.
        statement("TagApis", ["apigateway:DELETE", "apigateway:PUT"], scope.api_tags),
    ]


def _state(scope: Scope) -> list[Statement]:
    """The engine's and Terraform's state; objects are versioned, and only locks and saved plans are
    ever deleted.

    With a KMS key for the stack's secrets, the engine calls KMS to decrypt them, in previews too.
    """
    states, objects = scope.states, [f"{bucket}/*" for bucket in scope.states]
    key_uses = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
    return [
        *([statement("StateKey", key_uses, scope.state_key)] if scope.state_key else []),
        statement("FindState", ["s3:ListBucket"], states[0] if len(states) == 1 else states),
        statement(
            "KeepState", ["s3:GetObject", "s3:PutObject"], objects[0] if len(objects) == 1 else objects
        ),
        # A saved plan contains secrets, so it is deleted with its versions after use.
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
        # IAM checks a request with a qualifier against the ARN with it (AWS Lambda's notice of a change in how
        # policies are evaluated, January 2022): the ARN without it, the whole function, is not allowed.
        statement(
            "PruneVersions", ["lambda:DeleteFunction", "lambda:GetPolicy"], [f"{arn}:*" for arn in arns]
        ),
        # The smoke command also verifies rollbacks of stacks, Terraform configurations, and full rollbacks.
        # Smoke tests invoke the alias; an Inactive version is invoked to activate it before its alias moves.
        statement("Invoke", ["lambda:InvokeFunction"], [f"{arn}:*" for arn in arns]),
    ]
