"""The break-glass role: for emergencies in which the ledger is not available or nobody can approve.

It moves the aliases of the catalogue's functions, reads the releases in the archive, and checks
whether the ledger answers. It writes only aliases. People assume it, with MFA and under their own name;
no workflow can. Its use is visible: `rollback lambda --emergency` notifies the team, and IAM shows when the role was
last used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rollback.config.naming import BREAK_GLASS

from .boundary import NOBODY, people_may_take
from .permits import permit
from .policies import (
    Document,
    Scope,
    Statement,
    document,
    leading_keys,
    packed_for,
    reading,
    statement,
    text,
)
from .tags import tags


def permissions(scope: Scope) -> Document:
    """What the role may do, without the permissions on functions (`function_permissions`)."""
    env = scope.names.environment
    return document(
        [
            # To check that it answers, that it has everything in the archive, and what a restore did not bring.
            statement("SeeWhetherTheLedgerAnswers", ["dynamodb:DescribeTable"], scope.ledger),
            statement(
                "ReadTimeline",
                ["dynamodb:GetItem", "dynamodb:Query"],
                scope.ledger,
                leading_keys(f"RELEASE#{env}"),
            ),
            reading(
                scope, ["lambda:GetAlias", "lambda:GetFunction", "lambda:GetProvisionedConcurrencyConfig"]
            ),
            statement("FindArchive", ["s3:ListBucketVersions"], scope.trail),
            statement("ReadArchive", ["s3:GetObjectVersion"], f"{scope.trail}/*"),
        ]
    )


def function_permissions(scope: Scope) -> tuple[Document, ...]:
    """What the role may do to each function, in as few managed policies as possible.

    Raises `TooManyFunctions` if they do not fit into one role.
    """
    return packed_for(BREAK_GLASS, scope, _functions)


def trust(people: Sequence[str]) -> Document:
    """Who may assume the role: `people` (ARNs of IAM users) with MFA, under their own names; nobody if empty."""
    if people:
        return document(people_may_take(people))
    return document([NOBODY])


def _functions(scope: Scope, functions: Sequence[str]) -> list[Statement]:
    arns = [scope.function(function) for function in functions]
    return [
        statement("MoveAliases", ["lambda:UpdateAlias"], arns),
        # Smoke tests invoke the alias; an Inactive version is invoked to activate it before its alias moves.
        statement("Invoke", ["lambda:InvokeFunction"], [f"{arn}:*" for arn in arns]),
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakGlassArgs:
    """The role's scope, its boundary's ARN, and the ARNs of the IAM users that may assume it."""

    scope: Scope
    boundary: pulumi.Input[str]
    people: tuple[str, ...] = ()


class BreakGlass(pulumi.ComponentResource):
    """The break-glass role with its policies."""

    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: BreakGlassArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rollback:index:BreakGlass", name, None, opts)
        names, tagged = args.scope.names, tags(args.scope.names, "break-glass")
        role = aws.iam.Role(
            BREAK_GLASS,
            name=names.role(BREAK_GLASS),
            description="Emergencies only: moves aliases back while the ledger does not answer",
            assume_role_policy=text(trust(args.people)),
            permissions_boundary=args.boundary,
            # Sessions should not last longer than an emergency.
            max_session_duration=3600,
            tags=tagged,
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        permit(
            self,
            BREAK_GLASS,
            role,
            scope=args.scope,
            tagged=tagged,
            inline=permissions(args.scope),
            functions=function_permissions,
        )
        self.role_arn = role.arn
        self.register_outputs({"roleArn": self.role_arn})
