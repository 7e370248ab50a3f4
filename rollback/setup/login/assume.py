"""A person's role, assumed with MFA; its credentials are stored on this machine until they expire.

boto3, the AWS CLI and the engine read it through an AWS profile's `credential_process` (`kept_logins`): none of them
can set a source identity itself (boto/botocore#2486), and the engine cannot ask for a code.
"""

from __future__ import annotations

import re
from datetime import UTC
from typing import Any

import boto3
from botocore.exceptions import ClientError

from rollback.aws.account import Account, code, connect, denied, explained, login_named
from rollback.config.naming import arn, permission_set_of
from rollback.config.settings import Settings
from rollback.util.errors import Code, Refused, UsageError

_OWN_KEYS = "Select the AWS profile with your own keys with --profile."


def own(settings: Settings, profile: str) -> Account:
    """The account with the caller's own keys, or those of the AWS profile `profile`. Raises as `connect` does."""
    with login_named(_OWN_KEYS):
        with explained("reading your own credentials", before=True):
            session = boto3.Session(profile_name=profile or None, region_name=settings.region)
        return connect(settings, session)


def user(account: Account) -> str:
    """The caller's user name. Raises `Refused` where the caller is not an IAM user."""
    if permission_set := permission_set_of(account.caller.role):
        raise Refused(
            f"{account.caller.person} is using the permission set {permission_set}, which needs no login here.",
            code=Code.WRONG_ROLE,
            next="Run the command itself, with the AWS profile of the permission set that it needs (aws sso login).",
        )
    if account.caller.role != "user":
        raise Refused(
            f"{account.caller} is not an IAM user: people assume a role with their own access keys.",
            code=Code.WRONG_ROLE,
            next=_OWN_KEYS,
        )
    return account.caller.person.rpartition("/")[2]


def take(account: Account, role: str, *, serial: str, mfa: str, hours: int = 1) -> dict[str, Any]:
    """Assumes a role (an ARN) as the caller with an MFA code; returns the document for `credential_process`.

    The session lasts for `hours`, at most `naming.SESSION_HOURS`. Its name and its source identity are
    the user's name. Raises `Refused` where AWS does not allow the
    caller to assume it, and `UsageError` for an invalid code.
    """
    name = user(account)
    if not re.fullmatch(r"\d{6}", mfa):
        raise UsageError("An MFA code has six digits.", code=Code.OPTION_INVALID)
    with explained(f"assuming {role}", before=True):
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
                f"AWS does not allow {name} to assume {role}: {error.response['Error'].get('Message', code(error))}",
                code=Code.ACCESS_DENIED,
                next=f"An MFA code can be used once, and must be from {serial} (use --serial for another device). rollback:people "
                "defines who may assume the role; `pulumi up` of the foundation applies it.",
            ) from error
    return {
        "Version": 1,
        "AccessKeyId": given["AccessKeyId"],
        "SecretAccessKey": given["SecretAccessKey"],
        "SessionToken": given["SessionToken"],
        "Expiration": given["Expiration"].astimezone(UTC).isoformat(timespec="seconds"),
    }


def device(account: Account) -> str:
    """The MFA device with its user's name."""
    settings = account.settings
    return arn("iam", settings.region, settings.account, f"mfa/{user(account)}")
