"""What an account has, and an administrator who is an IAM user."""

from __future__ import annotations

import json

from localaws import identity
from tests import planted
from tests.e2e.estate_under_test import Platform

_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def things(platform: Platform) -> list[str]:
    """All functions, roles, tables and buckets of the account, as its root sees them."""
    functions, iam, dynamodb, s3 = map(platform.root_client, ("lambda", "iam", "dynamodb", "s3"))
    return sorted(
        [
            *(f"function {one['FunctionName']}" for one in functions.list_functions()["Functions"]),
            *(f"role {one['RoleName']}" for one in iam.list_roles()["Roles"]),
            *(f"table {name}" for name in dynamodb.list_tables()["TableNames"]),
            *(f"bucket {one['Name']}" for one in s3.list_buckets()["Buckets"]),
        ]
    )


def administrator(platform: Platform) -> dict[str, str | None]:
    """The variables of somebody with all permissions who is not the account's root."""
    keys = identity.person(platform.endpoint, platform.settings, "ada")
    planted.also(keys["AWS_SECRET_ACCESS_KEY"])
    platform.root_client("iam").put_user_policy(
        UserName="ada", PolicyName="everything", PolicyDocument=json.dumps(_EVERYTHING)
    )
    return {**keys, "AWS_SESSION_TOKEN": None}
