"""Building blocks of IAM policies: scopes, statements and documents as JSON values, and IAM's limits.

Who may do what is in `permissions`. Notes for all of them:

* A transaction needs no permission of its own: IAM checks its members as PutItem, UpdateItem and
  ConditionCheckItem ("Using IAM with DynamoDB transactions",
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html).
* `ForAllValues` is true when the request has no such key at all, so each condition on
  `dynamodb:LeadingKeys` also requires that the key exists ("Single-valued vs. multivalued context keys",
  https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html):
  otherwise a call without keys, such as Scan, would be allowed.
* LeadingKeys is the partition key, of the index where an index is queried. It cannot distinguish items within
  a partition: the records' hash chain shows whether an event of a record was overwritten.
* IAM checks UpdateAlias for the function, not for the alias
  (https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from rollback.config import naming
from rollback.config.naming import APPROVER, DRILL, RESTORE, ROLES, Names

# {"Sid": …, "Effect": "Allow", "Action": [action, …], "Resource": [ARN, …], "Condition": {…}}
# (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_statement.html).
Statement = dict[str, Any]
# {"Version": "2012-10-17", "Statement": [Statement, …]}; a condition is {operator: {key: value or values}}.
Document = dict[str, Any]

# Limits: characters, and policies for each role ("IAM and AWS STS quotas",
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html). Whitespace does not count, so
# `text` writes none.
INLINE_LIMIT = 10_240
MANAGED_LIMIT = 6_144
ATTACHMENTS = 10
# Characters of an inline policy that may be used for the names of functions.
_NAMED = 4_000

LEDGER_READS = ("dynamodb:GetItem", "dynamodb:Query")
LEDGER_WRITES = ("dynamodb:ConditionCheckItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
TABLE_READS = (
    "dynamodb:DescribeContinuousBackups",
    "dynamodb:DescribeTable",
    "dynamodb:DescribeTimeToLive",
    "dynamodb:ListTagsOfResource",
)


# The statements on all resources, by Sid, each with the reason why nothing narrower is possible. There are no
# others.
ON_EVERYTHING = {
    "ListFunctions": "ListFunctions takes no resource (Service Authorization Reference, AWS Lambda).",
    "FindUsers": "ListMetrics takes no resource (…, Amazon CloudWatch).",
    "SeeAlarms": "DescribeAlarms and DescribeAlarmHistory show composite alarms only to callers that may read all alarms "
    "(Amazon CloudWatch API Reference, DescribeAlarms and DescribeAlarmHistory).",
    "FindInvokers": "ListEventSourceMappings, ListSchedules and EventBridge's lists of all there is take no resource "
    "(…, AWS Lambda, Amazon EventBridge Scheduler and Amazon EventBridge).",
    "DescribeParameters": "DescribeParameters takes no resource (…, AWS Systems Manager).",
    "Ceiling": "A ceiling limits actions; on what they may be done is in the roles' policies.",
    "LeaveIdentityAlone": "It denies: its own role, policies, trust and boundary, and those of everybody else.",
}


class TooManyFunctions(ValueError):
    """The catalogue's functions do not fit into the policies of one role."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What one environment's policies refer to.

    `functions` are full names, `alias` the alias that is invoked, `tables` the tables that may be
    restored (never the deployments table). `state_key` and `table_keys` are the ARNs of KMS keys: of the stack's
    secrets ("": a passphrase), and of tables with customer-managed keys.

    `alike` are patterns of functions' names, catalogued or not (`naming.beginnings`); `by` says how policies refer
    to functions (`auto`, `listed`, `tag`, `prefix`), `tag` by which tags. `drills`, `approvals` and `terraform` say
    whether there are any; `declared_tables` and `declared_apis` are Terraform's, `terraform_bucket` has its state
    ("": the state bucket has it). `alarms` says whether an alarm may take the standby, `guard` whether a
    function does that; `event_bus` names the bus that gets an event at the end of a rollback ("": none).
    """

    names: Names
    account: str
    region: str
    alias: str
    functions: tuple[str, ...]
    tables: tuple[str, ...]
    state_key: str = ""
    table_keys: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    by: str = "auto"
    tag: tuple[tuple[str, str], ...] = ()
    cloudformation_stacks: tuple[str, ...] = ()
    # Role → the permission set that people use instead.
    permission_sets: Mapping[str, str] = field(default_factory=dict)
    drills: bool = False
    approvals: bool = True
    terraform: bool = True
    declared_tables: tuple[str, ...] = ()
    declared_apis: tuple[str, ...] = ()
    terraform_bucket: str = ""
    alarms: bool = False
    guard: bool = False
    event_bus: str = ""

    def __post_init__(self) -> None:
        if self.names.deployments_table in self.tables:
            raise ValueError(
                f"{self.names.deployments_table} is the ledger's table, which is never restored."
            )

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the environment; each comes after the role from which it is assumed."""
        without = {
            *([] if self.drills else [DRILL]),
            *([] if self.tables else [RESTORE]),
            *([] if self.approvals else [APPROVER]),
        }
        return tuple(role for role in (DRILL, *ROLES) if role not in without)

    def arn(self, service: str, resource: str) -> str:
        return naming.arn(service, self.region, self.account, resource)

    def role(self, role: str) -> str:
        return self.arn("iam", f"role/{self.names.role(role)}")

    def by_permission_set(self, role: str) -> list[str]:
        """Patterns for the ARN of the role of the permission set that people use instead of `role`; empty if
        there is none. The region is part of the path, except us-east-1.
        """
        if role not in self.permission_sets:
            return []
        name = naming.permission_set_role(self.permission_sets[role])
        return [self.arn("iam", f"role/{naming.PERMISSION_SETS_PATH}{region}{name}") for region in ("", "*/")]

    def table(self, name: str) -> str:
        return self.arn("dynamodb", f"table/{name}")

    def function(self, name: str) -> str:
        return self.arn("lambda", f"function:{name}")

    @property
    def dynamodb(self) -> str:
        """KMS's name for requests that come through DynamoDB (`kms:ViaService`)."""
        return f"dynamodb.{self.region}.amazonaws.com{'.cn' if self.region.startswith('cn-') else ''}"

    @property
    def ledger(self) -> str:
        return self.table(self.names.deployments_table)

    @property
    def oidc_provider(self) -> str:
        return self.arn("iam", f"oidc-provider/{naming.GITHUB_OIDC_HOST}")

    @property
    def bucket(self) -> str:
        return self._bucket(self.names.state_bucket)

    @property
    def states(self) -> list[str]:
        """The buckets with the deployer's states: the stack's, and Terraform's if that is another."""
        return [self.bucket, *([self._bucket(self.terraform_bucket)] if self.terraform_bucket else [])]

    @property
    def foundation(self) -> str:
        """The bucket with the state of the administrator's stack."""
        return self._bucket(self.names.foundation_bucket)

    @property
    def guard_function(self) -> str:
        return self.function(self.names.guard)

    @property
    def guard_alarms(self) -> str:
        """The guard's alarms, as a pattern."""
        return self.arn("cloudwatch", f"alarm:{self.names.guard}-*")

    @property
    def guard_schedule(self) -> str:
        """The role under which a schedule invokes the guard."""
        return self.arn("iam", f"role/{self.names.guard_schedule}")

    def topic(self, name: str) -> str:
        return self.arn("sns", name)

    @property
    def trail(self) -> str:
        """The bucket with the heads of the ledger."""
        return self._bucket(self.names.audit_bucket(self.account))

    def _bucket(self, name: str) -> str:
        # A bucket's ARN names neither account nor region.
        partition = self.arn("s3", "").split(":")[1]
        return f"arn:{partition}:s3:::{name}"

    def apis(self, below: str) -> str:
        """The REST APIs of the region, whose ARN names no account; `below` them, if given."""
        return naming.arn("apigateway", self.region, "", f"/restapis{below}")

    @property
    def every_api(self) -> list[str]:
        """The REST, HTTP and WebSocket APIs of the region, their list, and everything below them."""
        http = (naming.arn("apigateway", self.region, "", f"/apis{below}") for below in ("", "/*"))
        return [self.apis(""), self.apis("/*"), *http]

    @property
    def api_tags(self) -> str:
        # A tagged resource's ARN is a single, encoded part of the path.
        return naming.arn("apigateway", self.region, "", f"/tags/{quote(self.apis('/*'), safe='*')}")

    @property
    def parameters(self) -> list[str]:
        paths = (self.names.deployed_version, self.names.pulumi_commit, self.names.terraform_commit)
        return [self.arn("ssm", f"parameter{path}") for path in paths]

    @property
    def slack(self) -> str:
        return self.arn("ssm", f"parameter{self.names.slack}")

    @property
    def table_parameters(self) -> list[str]:
        paths = (self.names.table_parameter(table) for table in self.tables)
        return [self.arn("ssm", f"parameter{path}") for path in paths]


def statement(
    sid: str, actions: Sequence[str], resources: str | Sequence[str], condition: Document | None = None
) -> Statement:
    """An Allow statement. `condition` is `{operator: {key: value or values}}`."""
    return _statement("Allow", sid, actions, resources, condition)


def denial(
    sid: str, actions: Sequence[str], resources: str | Sequence[str], condition: Document | None = None
) -> Statement:
    """A Deny statement; otherwise as `statement`."""
    return _statement("Deny", sid, actions, resources, condition)


def _statement(
    effect: str,
    sid: str,
    actions: Sequence[str],
    resources: str | Sequence[str],
    condition: Document | None,
) -> Statement:
    if "*" in ([resources] if isinstance(resources, str) else resources) and sid not in ON_EVERYTHING:
        raise ValueError(f"{sid} covers all resources, but has no reason in ON_EVERYTHING.")
    made: Statement = {
        "Sid": sid,
        "Effect": effect,
        "Action": list(actions),
        "Resource": resources if isinstance(resources, str) else list(resources),
    }
    return made | ({"Condition": condition} if condition else {})


def document(statements: Sequence[Statement]) -> Document:
    """A policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def text(policy: Document) -> str:
    """The policy as IAM counts it: JSON without whitespace."""
    return json.dumps(policy, separators=(",", ":"))


def leading_keys(*patterns: str) -> Document:
    """The condition that a request has partition keys, and that each matches one of `patterns`."""
    return {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(patterns)},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }


def packed_for(
    role: str, scope: Scope, build: Callable[[Scope, Sequence[str]], list[Statement]]
) -> tuple[Document, ...]:
    """The statements of `build` for the functions of the catalogue, in as few managed policies as possible.

    Functions are listed by name if they fit into one role; otherwise the policies allow functions with a tag, or
    with a name prefix (`Scope.by`): also functions that are not in the catalogue, or not yet. Raises
    `TooManyFunctions` if nothing fits into `role`.
    """
    ways: dict[str, Callable[[], tuple[Document, ...]]] = {
        "listed": lambda: packed(lambda functions: document(build(scope, functions)), scope.functions),
        "tag": lambda: (document([_tagged(one, scope) for one in build(scope, ["*"])]),),
        "prefix": lambda: packed(lambda functions: document(build(scope, functions)), scope.alike),
    }
    allowed = [way for way in ways if scope.by in ("auto", way) and (way != "tag" or scope.tag)]
    made: tuple[Document, ...] = ()
    for way in allowed:
        made = ways[way]()
        if made and len(made) <= ATTACHMENTS and all(len(text(one)) <= MANAGED_LIMIT for one in made):
            return made
    raise TooManyFunctions(
        f"The {len(scope.functions)} functions of {scope.names.stem} need {len(made)} managed policies "
        f"of {MANAGED_LIMIT} characters on {scope.names.role(role)}, but IAM attaches only {ATTACHMENTS} to a "
        "role. Set a tag that they have, or prefixes of their names, in the setting functionAccess."
    )


def reading(scope: Scope, actions: Sequence[str]) -> Statement:
    """The statement for reading functions: wider than the catalogue on purpose, since other functions of the account
    are listed, not changed. By a tag if names would need too much of a role's inline policy.
    """
    # IAM checks a request with a qualifier against the ARN with it.
    arns = [
        scope.function(one)
        for pattern in scope.alike or (f"{scope.names.function_prefix}*",)
        for one in ([pattern] if pattern.endswith("*") else [pattern, f"{pattern}:*"])
    ]
    if scope.tag and (scope.by == "tag" or sum(map(len, arns)) > _NAMED):
        return _tagged(statement("ReadFunctions", actions, scope.function("*")), scope)
    return statement("ReadFunctions", actions, arns[0] if len(arns) == 1 else arns)


def _tagged(one: Statement, scope: Scope) -> Statement:
    """A statement on every function, restricted to those with the tags. "When you tag a function, those tags apply to
    all versions and aliases associated with the function" (AWS Lambda Developer Guide, "Using attribute-based access
    control in Lambda", https://docs.aws.amazon.com/lambda/latest/dg/attribute-based-access-control.html).
    """
    return one | {
        "Condition": {"StringEquals": {f"aws:ResourceTag/{key}": value for key, value in scope.tag}}
    }


def packed(build: Callable[[Sequence[str]], Document], functions: Sequence[str]) -> tuple[Document, ...]:
    """`build` for consecutive parts of `functions`, each as long as fits into a managed policy."""
    made: list[Document] = []
    run: list[str] = []
    for function in functions:
        if run and len(text(build([*run, function]))) > MANAGED_LIMIT:
            made.append(build(run))
            run = []
        run.append(function)
    return (*made, build(run)) if run else tuple(made)
