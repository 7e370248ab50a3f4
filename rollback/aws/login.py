"""A person's role, taken once with MFA and kept on this machine until it ends.

boto3, the AWS CLI and the engine read it through an AWS profile's `credential_process`: none of them can set a
source identity itself (boto/botocore#2486), and the engine cannot ask for a code. What is kept is one file a role,
readable by its owner only, which holds exactly what such a process answers.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError
from platformdirs.unix import Unix

from rollback.aws.account import Account, code, connect, denied, explained
from rollback.config.naming import arn, role_of
from rollback.config.settings import Settings
from rollback.core.errors import Code, Refused, RollbackError, UsageError

_ARN = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):role/([A-Za-z0-9_+=,.@-]{1,64})")
_OTHERS = 0o077


def own(settings: Settings, profile: str) -> Account:
    """The account with the caller's own keys: those of an AWS profile, if one is named. Raises as `connect` does."""
    with explained("reading your own credentials", before=True):
        session = boto3.Session(profile_name=profile or None, region_name=settings.region)
    return connect(settings, session)


def user(account: Account) -> str:
    """The caller's user name. Raises `Refused` where the caller is no IAM user, who alone can take a role so."""
    if account.caller.role != "user":
        raise Refused(
            f"{account.caller} is no IAM user: a person takes a role with keys of their own.",
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


def keep(role: str, answer: dict[str, Any]) -> None:
    """Keeps what `take` has answered, in the place of what was kept before."""
    path = _path(role)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Made for its owner only, whatever the umask; in place at once or not at all.
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(answer))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def kept(role: str, now: datetime) -> str:
    """What is kept of a role, as JSON. Raises `UsageError` where there is nothing, or nothing that lasts."""
    path = _path(role)
    try:
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or status.st_mode & _OTHERS:
                raise RollbackError(
                    f"{path} is not yours alone: others can read or have written it.",
                    code=Code.CREDENTIALS_INVALID,
                    next=_again(role),
                )
            text = file.read()
        ends = datetime.fromisoformat(json.loads(text)["Expiration"])
        over = ends <= now
    except FileNotFoundError:
        raise _nothing(role, "There is no login") from None
    except (ValueError, KeyError, TypeError):
        raise _nothing(role, "There is no readable login") from None
    if over:
        forget(role)
        raise _nothing(role, f"The login ended at {ends:%H:%M:%SZ}, so there is none any more")
    return text


def forget(role: str) -> bool:
    """Removes what is kept of a role, and what a killed `keep` has left; whether there was anything."""
    path = _path(role)
    found = list(path.parent.glob(f"{path.name}*"))
    for each in found:
        each.unlink(missing_ok=True)
    return bool(found)


def _path(role: str) -> Path:
    found = _ARN.fullmatch(role)
    if found is None:
        raise UsageError(f"{role[:200]!a} is not the ARN of a role.", code=Code.OPTION_INVALID)
    return Unix("rollback").user_state_path / "logins" / f"{found[1]}-{found[2]}.json"


def _nothing(role: str, why: str) -> UsageError:
    return UsageError(f"{why} for {role}.", code=Code.NO_CREDENTIALS, next=_again(role))


def _again(role: str) -> str:
    environment, text = role_of(role.rpartition("/")[2])
    return f"rollback login --env {environment} --role {text}" if text else "rollback login"
