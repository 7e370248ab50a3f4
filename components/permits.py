"""Attaches a role's policies: the fixed ones inline, those for functions as managed policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pulumi
import pulumi_aws as aws

from .policies import INLINE_LIMIT, Document, Scope, TooManyFunctions, text


def permit(
    parent: pulumi.Resource,
    role: str,
    made: aws.iam.Role,
    *,
    scope: Scope,
    tagged: Mapping[str, str],
    inline: Document,
    functions: Callable[[Scope], tuple[Document, ...]],
) -> None:
    """Declares the policies of `role` (`naming.ROLLBACK`, `BREAK_GLASS`, …) as children of `parent`.

    `tagged` maps tag keys to values. Raises `pulumi.RunError` if there are too many functions for one role.
    """
    own = pulumi.ResourceOptions(parent=parent)
    if len(text(inline)) > INLINE_LIMIT:
        raise pulumi.RunError(
            f"The inline policy of {scope.names.role(role)} needs {len(text(inline))} characters, but IAM allows only "
            f"{INLINE_LIMIT} for each role: set prefixes of the functions' names in the setting functionAccess."
        )
    aws.iam.RolePolicy(role, name="permissions", role=made.name, policy=text(inline), opts=own)
    try:
        policies = functions(scope)
    except TooManyFunctions as error:
        raise pulumi.RunError(str(error)) from None
    for number, policy in enumerate(policies, start=1):
        label = f"{role}-functions-{number}"
        managed = aws.iam.Policy(
            label,
            name=f"{scope.names.stem}-{label}",
            description=f"The functions of the catalogue, for the {role} role, part {number}",
            policy=text(policy),
            tags=tagged,
            opts=own,
        )
        aws.iam.RolePolicyAttachment(label, role=made.name, policy_arn=managed.arn, opts=own)
