"""Who may do what: each role's permissions as a pure function of an environment, returning JSON values.

Exactly the calls that the role's verbs make, each on exactly what it is made on. Where an action takes
no resource, `"*"` stands alone with it and the reason beside it. Notes that hold for all of them:

* A transaction needs no permission of its own: its members are authorised as PutItem, UpdateItem and
  ConditionCheckItem (Amazon DynamoDB Developer Guide, "Using IAM with DynamoDB transactions").
* `ForAllValues` is true when the request carries no such key at all, so each condition on
  `dynamodb:LeadingKeys` also demands that the key is there (IAM User Guide, "Single-valued vs.
  multivalued context keys"): without, a call that names no key, such as Scan, would be let through.
* LeadingKeys is the partition key, of the index where an index is queried. It cannot tell the items of
  a partition apart: that an event inside a record is never overwritten is shown by the records' chain.
* UpdateAlias is authorised per function, not per alias (Service Authorization Reference, AWS Lambda).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import naming
from naming import APPROVER, DEPLOYER, RESTORE, ROLES, ROLLBACK, Names

Statement = dict[str, Any]
Document = dict[str, Any]

# "IAM and AWS STS quotas", IAM User Guide. Whitespace is not counted, so `text` writes none.
INLINE_LIMIT = 10_240
MANAGED_LIMIT = 6_144
ATTACHMENTS = 10

LEDGER_READS = ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query")
LEDGER_WRITES = ("dynamodb:ConditionCheckItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
_LAMBDA_READS = (
    "lambda:GetAlias",
    "lambda:GetFunction",
    "lambda:GetProvisionedConcurrencyConfig",
    "lambda:ListVersionsByFunction",
)
_TABLE_READS = (
    "dynamodb:DescribeContinuousBackups",
    "dynamodb:DescribeTable",
    "dynamodb:DescribeTimeToLive",
    "dynamodb:ListTagsOfResource",
)


class TooManyFunctions(ValueError):
    """The catalogue's functions do not fit into the policies that a role can carry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What one environment's policies speak of.

    `functions` are full names, `alias` the alias that is invoked, `tables` the tables that may be
    restored (never the deployments table).
    """

    names: Names
    account: str
    region: str
    alias: str
    functions: tuple[str, ...]
    tables: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.tables:
            raise ValueError("The restore role needs a table that it may restore.")
        if self.names.deployments_table in self.tables:
            raise ValueError(f"{self.names.deployments_table} is the ledger: it is never restored over.")

    def arn(self, service: str, resource: str) -> str:
        return naming.arn(service, self.region, self.account, resource)

    def role(self, role: str) -> str:
        return self.arn("iam", f"role/{self.names.role(role)}")

    def table(self, name: str) -> str:
        return self.arn("dynamodb", f"table/{name}")

    def function(self, name: str) -> str:
        return self.arn("lambda", f"function:{name}")

    @property
    def ledger(self) -> str:
        return self.table(self.names.deployments_table)

    @property
    def oidc_provider(self) -> str:
        return self.arn("iam", f"oidc-provider/{naming.GITHUB_OIDC_HOST}")

    @property
    def bucket(self) -> str:
        # A bucket's ARN names neither account nor region.
        partition = self.arn("s3", "").split(":")[1]
        return f"arn:{partition}:s3:::{self.names.state_bucket}"

    def apis(self, below: str) -> str:
        """The REST APIs of the region, whose ARN names no account; `below` them, if given."""
        return naming.arn("apigateway", self.region, "", f"/restapis{below}")

    @property
    def api_tags(self) -> str:
        # A tagged resource's ARN is a single, encoded part of the path.
        return naming.arn("apigateway", self.region, "", f"/tags/{quote(self.apis('/*'), safe='*')}")

    @property
    def parameters(self) -> list[str]:
        paths = (self.names.deployed_version, self.names.pulumi_commit, self.names.terraform_commit)
        return [self.arn("ssm", f"parameter{path}") for path in paths]

    @property
    def table_parameters(self) -> list[str]:
        paths = (self.names.table_parameter(table) for table in self.tables)
        return [self.arn("ssm", f"parameter{path}") for path in paths]


def statement(
    sid: str, actions: Sequence[str], resources: str | Sequence[str], condition: Document | None = None
) -> Statement:
    """An Allow statement."""
    made: Statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": resources if isinstance(resources, str) else list(resources),
    }
    return made | ({"Condition": condition} if condition else {})


def document(statements: Sequence[Statement]) -> Document:
    """A policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def text(policy: Document) -> str:
    """The policy as IAM takes and counts it: JSON without whitespace."""
    return json.dumps(policy, separators=(",", ":"))


def leading_keys(*patterns: str) -> Document:
    """Holds where every partition key of a request, one at least, is like one of `patterns`."""
    return {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(patterns)},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }


def inline_policy(role: str, scope: Scope) -> Document:
    """What `role` may do apart from the functions' own permissions (`function_policies`)."""
    return document(_INLINE[role](scope))


def function_policies(role: str, scope: Scope) -> tuple[Document, ...]:
    """What `role` may do to each function of the catalogue, in as few managed policies as hold it.

    Empty for a role that touches no function. Raises `TooManyFunctions` where a role could not carry
    them all.
    """
    if role not in _FUNCTIONS:
        return ()
    made = packed(lambda functions: document(_FUNCTIONS[role](scope, functions)), scope.functions)
    if len(made) > ATTACHMENTS:
        raise TooManyFunctions(
            f"The {len(scope.functions)} functions of {scope.names.stem} need {len(made)} managed policies "
            f"of {MANAGED_LIMIT} characters on {scope.names.role(role)}, but IAM attaches {ATTACHMENTS} to a "
            "role. Divide the catalogue into projects of their own prefix, or shorten the functions' names."
        )
    return made


def packed(build: Callable[[Sequence[str]], Document], functions: Sequence[str]) -> tuple[Document, ...]:
    """`build` over consecutive runs of `functions`, each as long as a managed policy holds."""
    made: list[Document] = []
    run: list[str] = []
    for function in functions:
        if run and len(text(build([*run, function]))) > MANAGED_LIMIT:
            made.append(build(run))
            run = []
        run.append(function)
    return (*made, build(run)) if run else tuple(made)


def granted(scope: Scope) -> list[str]:
    """Every action that any role may do: what the boundary has to leave possible."""
    one = scope.functions[:1]
    statements = [
        granting
        for role in ROLES
        for granting in (
            *_INLINE[role](scope),
            *(_FUNCTIONS[role](scope, one) if role in _FUNCTIONS else ()),
        )
    ]
    return sorted({action for granting in statements for action in granting["Action"]})


def _environment_reads(scope: Scope) -> list[Statement]:
    """What every plan and every status looks at."""
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
        # Wider than the catalogue on purpose: what the account has beyond it is listed, not touched.
        statement(
            "ReadFunctions",
            _LAMBDA_READS,
            scope.function(f"{scope.names.function_prefix}*"),
        ),
        # ListFunctions takes no resource.
        statement("ListFunctions", ["lambda:ListFunctions"], "*"),
        statement("ReleaseParameters", ["ssm:GetParameter", "ssm:PutParameter"], scope.parameters),
    ]


def _rollback(scope: Scope) -> list[Statement]:
    env = scope.names.environment
    return [
        *_environment_reads(scope),
        statement(
            "WriteRecords",
            LEDGER_WRITES,
            scope.ledger,
            leading_keys("ROLLBACK#*", f"LOCK#{env}", f"RELEASE#{env}"),
        ),
        # A table's data is touched under the restore role only. SetSourceIdentity: a person's session has
        # one, and takes it along (IAM User Guide, "Monitor and control actions taken with assumed roles").
        statement("RestoreTables", ["sts:AssumeRole", "sts:SetSourceIdentity"], scope.role(RESTORE)),
    ]


def _rollback_functions(scope: Scope, functions: Sequence[str]) -> list[Statement]:
    arns = [scope.function(function) for function in functions]
    return [
        statement("MoveAliases", ["lambda:UpdateAlias"], arns),
        statement("SmokeTest", ["lambda:InvokeFunction"], [f"{arn}:{scope.alias}" for arn in arns]),
    ]


def _deployer(scope: Scope) -> list[Statement]:
    env = scope.names.environment
    return [
        *_environment_reads(scope),
        statement(
            "WriteReleases",
            LEDGER_WRITES,
            scope.ledger,
            leading_keys("DEPLOYMENT#*", "ROLLBACK#*", f"LOCK#{env}", f"RELEASE#{env}"),
        ),
        *_program(scope),
        *_terraform_root(scope),
        *_state(scope),
    ]


def _program(scope: Scope) -> list[Statement]:
    """What `pulumi up` of this very program needs to refresh everything, and to change what is not
    a ground this tool stands on: the table's settings and the roles are an administrator's.
    """
    names = scope.names
    return [
        statement(
            "RefreshTable",
            [*_TABLE_READS, "dynamodb:TagResource", "dynamodb:UntagResource"],
            scope.ledger,
        ),
        # DescribeParameters takes no resource.
        statement("DescribeParameters", ["ssm:DescribeParameters"], "*"),
        statement(
            "RefreshParameters",
            ["ssm:AddTagsToResource", "ssm:ListTagsForResource", "ssm:RemoveTagsFromResource"],
            [*scope.parameters, *scope.table_parameters],
        ),
        # Which table functions use is not the deployer's to change.
        # A property beside the value is written with it: the engine sends the value that it has read.
        statement("TableParameters", ["ssm:GetParameter", "ssm:PutParameter"], scope.table_parameters),
        statement(
            "RefreshRoles",
            ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"],
            [scope.role(role) for role in ROLES],
        ),
        statement(
            "RefreshPolicies",
            ["iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListPolicyVersions"],
            scope.arn("iam", f"policy/{names.stem}-*"),
        ),
        statement("RefreshProvider", ["iam:GetOpenIDConnectProvider"], scope.oidc_provider),
    ]


def _terraform_root(scope: Scope) -> list[Statement]:
    """What Terraform needs for `terraform/`, and no more: a root that grows takes its permissions here.

    Its table is made and changed but never deleted. Its API has an id that nobody chooses, so that the
    name decides where API Gateway tells it (Service Authorization Reference, Amazon API Gateway
    Management): when an API is made, changed or deleted; not when it is read or tagged. What is below an
    API (resources, methods, stages) has no name, and so is not allowed.
    """
    return [
        statement(
            "AccessTable",
            [
                *_TABLE_READS,
                "dynamodb:CreateTable",
                "dynamodb:TagResource",
                "dynamodb:UntagResource",
                "dynamodb:UpdateContinuousBackups",
                "dynamodb:UpdateTable",
            ],
            scope.table(scope.names.access_table),
        ),
        # The list of them, too: there must be exactly one of the name.
        statement("ReadApis", ["apigateway:GET"], [scope.apis(""), scope.apis("/*")]),
        statement(
            "MakeApi",
            ["apigateway:POST"],
            scope.apis(""),
            {"StringEquals": {"apigateway:Request/ApiName": scope.names.api}},
        ),
        statement(
            "ChangeApi",
            ["apigateway:DELETE", "apigateway:PATCH"],
            scope.apis("/*"),
            {"StringEquals": {"apigateway:Resource/ApiName": scope.names.api}},
        ),
        # An API that is made with tags needs PUT on them, too.
        statement("TagApis", ["apigateway:DELETE", "apigateway:PUT"], scope.api_tags),
    ]


def _state(scope: Scope) -> list[Statement]:
    """The engine's and Terraform's state; objects are versioned, and only locks are ever deleted."""
    return [
        statement("FindState", ["s3:GetBucketVersioning", "s3:ListBucket"], scope.bucket),
        statement("KeepState", ["s3:GetObject", "s3:PutObject"], f"{scope.bucket}/*"),
        statement(
            "Unlock",
            ["s3:DeleteObject"],
            [f"{scope.bucket}/.pulumi/locks/*", f"{scope.bucket}/*.tflock"],
        ),
    ]


def _deployer_functions(scope: Scope, functions: Sequence[str]) -> list[Statement]:
    arns = [scope.function(function) for function in functions]
    return [
        statement(
            "Deploy",
            [
                "lambda:CreateAlias",
                "lambda:GetFunctionCodeSigningConfig",
                "lambda:GetFunctionConfiguration",
                "lambda:PublishVersion",
                "lambda:UpdateAlias",
                "lambda:UpdateFunctionCode",
            ],
            arns,
        ),
        # A stack, a Terraform configuration and a full rollback are proved by the smoke command, too.
        statement("SmokeTest", ["lambda:InvokeFunction"], [f"{arn}:{scope.alias}" for arn in arns]),
    ]


def _approver(scope: Scope) -> list[Statement]:
    return [
        statement(
            "ReadWhatIsAsked",
            ["dynamodb:GetItem", "dynamodb:Query"],
            scope.ledger,
            leading_keys("ROLLBACK#*"),
        ),
        statement("Approve", ["dynamodb:PutItem"], scope.ledger, leading_keys("APPROVAL#*")),
    ]


def _restore(scope: Scope) -> list[Statement]:
    """Restoring needs the source's permission and, on the new table, reads and writes that the restore
    itself never makes, DeleteItem among them (Developer Guide, "Using IAM with DynamoDB backup and
    restore"; AWS re:Post, "DynamoDB not able to restore with deny DeleteItem"). Only a copy is deleted.
    """
    tables = [scope.table(table) for table in scope.tables]
    return [
        statement(
            "FromTables",
            [
                *_TABLE_READS,
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
                *_TABLE_READS,
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
            f"{scope.bucket}/rollback/*",
        ),
        statement("PointToTables", ["ssm:GetParameter", "ssm:PutParameter"], scope.table_parameters),
    ]


_INLINE: dict[str, Callable[[Scope], list[Statement]]] = {
    DEPLOYER: _deployer,
    ROLLBACK: _rollback,
    APPROVER: _approver,
    RESTORE: _restore,
}
_FUNCTIONS: dict[str, Callable[[Scope, Sequence[str]], list[Statement]]] = {
    DEPLOYER: _deployer_functions,
    ROLLBACK: _rollback_functions,
}
