"""Building blocks of IAM policies: scopes, statements and documents as JSON values, and IAM's limits.

Who may do what is in `permissions`. Notes that hold for all of them:

* A transaction needs no permission of its own: its members are authorised as PutItem, UpdateItem and
  ConditionCheckItem ("Using IAM with DynamoDB transactions",
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html).
* `ForAllValues` is true when the request carries no such key at all, so each condition on
  `dynamodb:LeadingKeys` also demands that the key is there ("Single-valued vs. multivalued context keys",
  https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html):
  without, a call that names no key, such as Scan, would be let through.
* LeadingKeys is the partition key, of the index where an index is queried. It cannot tell the items of
  a partition apart: that an event inside a record is never overwritten is shown by the records' chain.
* UpdateAlias is authorised per function, not per alias
  (https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from rollback.config import naming
from rollback.config.naming import Names

# {"Sid": …, "Effect": "Allow", "Action": [action, …], "Resource": [ARN, …], "Condition": {…}}
# (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_statement.html).
Statement = dict[str, Any]
# {"Version": "2012-10-17", "Statement": [Statement, …]}; of a condition {operator: {key: value or values}}.
Document = dict[str, Any]

# Characters, and policies a role ("IAM and AWS STS quotas",
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html). Whitespace is not counted, so
# `text` writes none.
INLINE_LIMIT = 10_240
MANAGED_LIMIT = 6_144
ATTACHMENTS = 10

LEDGER_READS = ("dynamodb:GetItem", "dynamodb:Query")
LEDGER_WRITES = ("dynamodb:ConditionCheckItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
TABLE_READS = (
    "dynamodb:DescribeContinuousBackups",
    "dynamodb:DescribeTable",
    "dynamodb:DescribeTimeToLive",
    "dynamodb:ListTagsOfResource",
)


# The statements on all resources, by Sid, each with the reason why nothing narrower can stand there. No other is
# made.
ON_EVERYTHING = {
    "ListFunctions": "ListFunctions takes no resource (Service Authorization Reference, AWS Lambda).",
    "FindUsers": "ListMetrics takes no resource (…, Amazon CloudWatch).",
    "FindInvokers": "ListEventSourceMappings, ListSchedules and EventBridge's lists of all there is take no resource "
    "(…, AWS Lambda, Amazon EventBridge Scheduler and Amazon EventBridge).",
    "DescribeParameters": "DescribeParameters takes no resource (…, AWS Systems Manager).",
    "Ceiling": "A ceiling speaks of actions; on what they may be done is for the roles' policies to say.",
    "LeaveIdentityAlone": "It denies: its own role, policies, trust and boundary, and those of everybody else.",
}


class TooManyFunctions(ValueError):
    """The catalogue's functions do not fit into the policies that a role can carry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What one environment's policies speak of.

    `functions` are full names, `alias` the alias that is invoked, `tables` the tables that may be
    restored (never the deployments table). `state_key` and `table_keys` are the ARNs of KMS keys: of the stack's
    secrets (empty: a passphrase), and of tables that have keys of their own.
    """

    names: Names
    account: str
    region: str
    alias: str
    functions: tuple[str, ...]
    tables: tuple[str, ...]
    state_key: str = ""
    table_keys: tuple[str, ...] = ()

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
    def dynamodb(self) -> str:
        """DynamoDB, as KMS names the service that a request comes through."""
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
    def foundation(self) -> str:
        """The bucket that keeps the state of what an administrator declares."""
        return self._bucket(self.names.foundation_bucket)

    @property
    def trail(self) -> str:
        """The bucket that keeps the heads of the ledger."""
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
        """The REST, HTTP and WebSocket APIs of the region, their list, and all that is below them."""
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
        raise ValueError(f"{sid} is about all resources and has no reason in ON_EVERYTHING.")
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
    """The policy as IAM takes and counts it: JSON without whitespace."""
    return json.dumps(policy, separators=(",", ":"))


def leading_keys(*patterns: str) -> Document:
    """The condition that every partition key of a request, one at least, is like one of `patterns`."""
    return {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(patterns)},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }


def packed_for(
    role: str, scope: Scope, build: Callable[[Scope, Sequence[str]], list[Statement]]
) -> tuple[Document, ...]:
    """The statements of `build` for each function of the catalogue, in as few managed policies as hold them.

    Raises `TooManyFunctions` where `role` could not carry them all.
    """
    made = packed(lambda functions: document(build(scope, functions)), scope.functions)
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
