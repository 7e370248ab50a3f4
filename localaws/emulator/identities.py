"""Teaches the emulator who a role's session is in a policy, and what some requests are about.

It fills `aws:PrincipalArn` with the session's ARN where AWS fills it with the role's, so that a denial for
everybody but one role would hit that role, too; it knows no `aws:PrincipalIsAWSService`; and it takes the tags of a table, a backup, a table that is
restored and an OIDC provider to be about nothing in particular, and the alias of a KMS key to be what a request is
about, which is the key ("Using aliases to control access to KMS keys", AWS KMS guide). Runs inside the emulator's process; imports nothing of this project.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from typing import Any

_SESSION = re.compile(r"arn:([a-z-]+):sts::(\d{12}):assumed-role/([^/]+)/[^/]+")
# The emulator hands over method, path, headers, body, query, region and account.
_BODY, _QUERY, _REGION, _ACCOUNT = 3, 4, 5, 6


def install() -> None:
    """Puts the better reading in place, in this process.

    Raises AttributeError where a newer emulator has moved what is replaced.
    """
    actions: Any = importlib.import_module("ministack.core.iam_actions")
    evaluator: Any = importlib.import_module("ministack.core.iam_evaluator")
    resolve, resource = evaluator._resolve_condition_key, actions.extract_resource_arn  # noqa: SLF001 - no other place

    def condition_key(key: str, context: Any) -> Any:
        if key.lower() == "aws:principalisawsservice":
            return "true" if context.principal_type == "Service" else "false"
        value = resolve(key, context)
        if key.lower() == "aws:principalarn" and isinstance(value, str):
            return with_path(role_of(value))
        return value

    roles: Any = importlib.import_module("ministack.services.iam")

    def with_path(arn: str) -> str:
        """A session does not tell its role's path."""
        _, _, _, _, account, resource = arn.split(":", 5)
        role = roles._roles.get_scoped(account, None, resource.removeprefix("role/"))  # noqa: SLF001
        return str(role["Arn"]) if resource.startswith("role/") and role else arn

    keys: Any = importlib.import_module("ministack.services.kms")

    def about(service: str, *request: Any) -> str:
        arn: str = resource(service, *request)
        if service == "kms" and ":alias/" in arn:
            key = keys._resolve_key(arn)  # noqa: SLF001
            return str(key["Arn"]) if key else arn
        if arn != "*":
            return arn
        return named(service, request[_BODY], request[_QUERY] or {}, request[_REGION], request[_ACCOUNT])

    evaluator._resolve_condition_key = condition_key  # noqa: SLF001
    actions.extract_resource_arn = about


def role_of(arn: str) -> str:
    """The ARN of the role whose session `arn` is; any other ARN as it is.

    A role's path, which a session does not tell, is left out.
    """
    session = _SESSION.fullmatch(arn)
    return "arn:{}:iam::{}:role/{}".format(*session.groups()) if session else arn


def named(service: str, body: bytes, query: Mapping[str, Any], region: str = "", account: str = "") -> str:
    """The ARN of what a request names as what it is about, or `*`."""
    found: Any = None
    if service == "dynamodb":
        try:
            asked = json.loads(body or b"{}")
        except ValueError:
            asked = {}
        if isinstance(asked, dict):
            found = asked.get("ResourceArn") or asked.get("BackupArn")
            if isinstance(source := asked.get("SourceTableName"), str):
                found = f"arn:aws:dynamodb:{region}:{account}:table/{source}"
    elif service == "iam":
        found = query.get("OpenIDConnectProviderArn")
    if isinstance(found, list):
        found = found[0] if found else None
    return found if isinstance(found, str) and found else "*"
