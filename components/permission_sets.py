"""The customer-managed policies that permission sets of IAM Identity Center refer to by name.

Permission sets and their assignments are declared in Identity Center's account; a set's role in this account
gets the policies with the names that the set refers to, and they must exist before the set is
assigned ("Use IAM policies in permission sets",
https://docs.aws.amazon.com/singlesignon/latest/userguide/howtocmp.html). A set gives people the same as the
role: the same permissions and the same boundary, without assuming the role.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from rollback.config.naming import BREAK_GLASS

from . import break_glass
from .permissions import function_policies, inline_policy
from .policies import ATTACHMENTS, MANAGED_LIMIT, Document, Scope, document, text
from .tags import tags


def permissions(role: str, scope: Scope) -> tuple[Document, ...]:
    """The statements of a role's inline policy, in as few managed policies as possible: those are smaller."""
    whole = break_glass.permissions(scope) if role == BREAK_GLASS else inline_policy(role, scope)
    made: list[Document] = []
    for one in whole["Statement"]:
        longer = document([*(made[-1]["Statement"] if made else []), one])
        if made and len(text(longer)) <= MANAGED_LIMIT:
            made[-1] = longer
        else:
            made.append(document([one]))
    return tuple(made)


@dataclass(frozen=True, kw_only=True, slots=True)
class PermissionSetsArgs:
    """The roles' scope, with their permission sets (`Scope.permission_sets`)."""

    scope: Scope


class PermissionSets(pulumi.ComponentResource):
    """The policies of each permission set that the settings name.

    `refers_to` maps a set's name to `{"policies": [name, ...], "boundary": name}`, which the set has to refer to.
    """

    refers_to: dict[str, dict[str, Any]]

    def __init__(
        self, name: str, args: PermissionSetsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("rollback:index:PermissionSets", name, None, opts)
        scope, names = args.scope, args.scope.names
        self.refers_to = {}
        for role, permission_set in scope.permission_sets.items():
            policies = []
            for number, policy in enumerate(permissions(role, scope), start=1):
                label = f"{role}-permissions-{number}"
                if len(text(policy)) > MANAGED_LIMIT:
                    raise pulumi.RunError(
                        f"A statement of {names.role(role)} is longer than the {MANAGED_LIMIT} characters of a managed "
                        "policy: set prefixes of the functions' names in the setting functionAccess."
                    )
                made = aws.iam.Policy(
                    label,
                    name=f"{names.stem}-{label}",
                    description=f"For the permission set {permission_set}, part {number}",
                    policy=text(policy),
                    tags=tags(names, "permission-sets"),
                    # A set that refers to a deleted policy can no longer be assigned.
                    opts=pulumi.ResourceOptions(parent=self, protect=True),
                )
                policies.append(made.name)
            # `permits` declares those for the role.
            functions = (
                break_glass.function_permissions(scope)
                if role == BREAK_GLASS
                else function_policies(role, scope)
            )
            also = [f"{names.stem}-{role}-functions-{number}" for number, _ in enumerate(functions, start=1)]
            if len(policies) + len(also) > ATTACHMENTS:
                raise pulumi.RunError(
                    f"The permission set {permission_set} would have {len(policies) + len(also)} policies, but IAM "
                    f"attaches only {ATTACHMENTS} to a role: set a tag, or prefixes of the functions' names, in the setting "
                    "functionAccess."
                )
            self.refers_to[permission_set] = {"policies": [*policies, *also], "boundary": names.boundary}
        self.register_outputs({"refersTo": self.refers_to})
