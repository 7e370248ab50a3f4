"""People as IAM Identity Center sets them up: a permission set's role in this account, and its users' sessions.

The role has the name and the path that Identity Center gives it, the customer-managed policies and the boundary that
the set refers to by name, and its sessions are named after their user, with no source identity and no MFA of the
account's. On AWS they log in with SAML (AssumeRoleWithSAML) at an identity provider that nobody else can use; here the
account's root stands in for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from localaws.clients import connect
from localaws.identity import variables
from rollback.config.naming import PERMISSION_SETS_PATH, arn, permission_set_role
from rollback.config.settings import Settings


def assign(
    endpoint: str, settings: Settings, permission_set: str, refers_to: Mapping[str, Any], *, region: str = ""
) -> str:
    """Creates a set's role in the settings' account, and returns its name.

    `refers_to` is what the foundation's stack exports of the set: `{"policies": [name, ...], "boundary": name}`.
    `region` is Identity Center's, "" for us-east-1. Raises botocore's `ClientError` (NoSuchEntity)
    if the account lacks a policy, as assigning a set does.
    """
    iam = connect("iam", endpoint, settings)
    name = role_name(settings, permission_set)
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": arn("iam", settings.region, settings.account, "root")},
        "Action": "sts:AssumeRole",
        # Of everybody in the account, its root alone.
        "Condition": {
            "ArnEquals": {"aws:PrincipalArn": arn("iam", settings.region, settings.account, "root")}
        },
    }

    def policy(policy_name: str) -> str:
        found = arn("iam", settings.region, settings.account, f"policy/{policy_name}")
        return str(iam.get_policy(PolicyArn=found)["Policy"]["Arn"])

    iam.create_role(
        RoleName=name,
        Path=f"/{PERMISSION_SETS_PATH}{f'{region}/' if region else ''}",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        PermissionsBoundary=policy(refers_to["boundary"]),
    )
    for one in refers_to["policies"]:
        iam.attach_role_policy(RoleName=name, PolicyArn=policy(one))
    return name


def sign_in(endpoint: str, settings: Settings, permission_set: str, user: str) -> dict[str, str]:
    """A session of an assigned set, as after `aws sso login`, as variables for an AWS client."""
    role = connect("iam", endpoint, settings).get_role(RoleName=role_name(settings, permission_set))["Role"]
    answer = connect("sts", endpoint, settings).assume_role(RoleArn=role["Arn"], RoleSessionName=user)
    return variables(answer["Credentials"])


def role_name(settings: Settings, permission_set: str) -> str:
    """The name of a set's role, with a suffix that depends on the account."""
    suffix = hashlib.sha256(f"{settings.account} {permission_set}".encode()).hexdigest()[:16]
    return permission_set_role(permission_set, suffix)
