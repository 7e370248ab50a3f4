"""A person's role, taken once with MFA and kept on this machine until it ends.

boto3, the AWS CLI and the engine read it through an AWS profile's `credential_process` (`kept_logins`): none of them
can set a source identity itself (boto/botocore#2486), and the engine cannot ask for a code.
"""

from __future__ import annotations

import re
from datetime import UTC
from typing import Any

import boto3
from botocore.exceptions import ClientError

from rollback.aws.account import Account, code, connect, denied, explained
from rollback.config.naming import arn, permission_set_of
from rollback.config.settings import Settings
from rollback.core.errors import Code, Refused, UsageError


def own(settings: Settings, profile: str) -> Account:
    """The account with the caller's own keys: those of an AWS profile, if one is named. Raises as `connect` does."""
    with explained("reading your own credentials", before=True):
        session = boto3.Session(profile_name=profile or None, region_name=settings.region)
    return connect(settings, session)


def user(account: Account) -> str:
    """The caller's user name. Raises `Refused` where the caller is no IAM user, who alone can take a role so."""
    if permission_set := permission_set_of(account.caller.role):
        raise Refused(
            f"{account.caller.person} acts by the permission set {permission_set}, which needs no other role.",
            code=Code.WRONG_ROLE,
            next="Type the verb itself, under the AWS profile of the permission set that it needs (aws sso login).",
        )
    if account.caller.role != "user":
        raise Refused(
            f"{account.caller} is not an IAM user: people take a role with their own keys.",
            code=Code.WRONG_ROLE,
            next="Name the AWS profile of your own keys with --profile.",
        )
    return account.caller.person.rpartition("/")[2]


def take(account: Account, role: str, *, serial: str, mfa: str, hours: int = 1) -> dict[str, Any]:
    """The answer that `credential_process` gives for a role (an ARN), taken as the caller with a code of theirs.

    It lasts for `hours`, of which a role allows `naming.SESSION_HOURS`. The session's name and its source identity are
    the user's name. Raises `Refused` where AWS does not let the
    caller take it, and `UsageError` for a code that cannot be one.
    """
    name = user(account)
    if not re.fullmatch(r"\d{6}", mfa):
        raise UsageError("An MFA code has six digits.", code=Code.OPTION_INVALID)
    with explained(f"taking {role}", before=True):
        try:
            given = account.client("sts").assume_role(
                RoleArn=role,
                RoleSessionName=name,
                SourceIdentity=name,
                SerialNumber=serial,
                TokenCode=mfa,
                DurationSeconds=hours * 3600,
            )["Credentials"]
        except ClientError as error:
            if not denied(error):
                raise
            raise Refused(
                f"AWS does not let {name} take {role}: {error.response['Error'].get('Message', code(error))}",
                code=Code.ACCESS_DENIED,
                next=f"A code counts once, and has to be of {serial} (--serial names another); rollback:people "
                "says who may take the role, once `pulumi up` of the foundation has declared it.",
            ) from error
    return {
        "Version": 1,
        "AccessKeyId": given["AccessKeyId"],
        "SecretAccessKey": given["SecretAccessKey"],
        "SessionToken": given["SessionToken"],
        "Expiration": given["Expiration"].astimezone(UTC).isoformat(timespec="seconds"),
    }


def device(account: Account) -> str:
    """The MFA device that is called as its user is."""
    settings = account.settings
    return arn("iam", settings.region, settings.account, f"mfa/{user(account)}")
