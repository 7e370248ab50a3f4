"""The break-glass role: for the night when the ledger is gone or nobody is there who could approve.

It moves the aliases of the catalogue's functions, reads what the audit trail keeps of releases, and sees
whether the ledger answers. It writes nothing but aliases. People take it, with MFA and under their own name;
no workflow does. Its use is visible: `rollback lambda --emergency` is loud, and IAM shows when the role was
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
    """What the role may do apart from the functions' own permissions (`function_permissions`)."""
    env = scope.names.environment
    return document(
        [
            # Whether it answers, whether it has all that the archive has, and what a restore has left out.
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
    """What the role may do to each function, in as few managed policies as hold it.

    Raises `TooManyFunctions` where it could not carry them all.
    """
    return packed_for(BREAK_GLASS, scope, _functions)


def trust(people: Sequence[str]) -> Document:
    """Who may take the role: `people` (ARNs of IAM users) with MFA, as themselves; with none, nobody."""
    if people:
        return document(people_may_take(people))
    return document([NOBODY])


def _functions(scope: Scope, functions: Sequence[str]) -> list[Statement]:
    arns = [scope.function(function) for function in functions]
    return [
        statement("MoveAliases", ["lambda:UpdateAlias"], arns),
        # Its alias, by smoke tests; and a version that is Inactive, which is woken before its alias moves.
        statement("Invoke", ["lambda:InvokeFunction"], [f"{arn}:*" for arn in arns]),
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakGlassArgs:
    """What the role may touch, its ceiling's ARN, and the ARNs of the IAM users that may take it."""

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
            # Nobody is to hold it for longer than an emergency takes.
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
