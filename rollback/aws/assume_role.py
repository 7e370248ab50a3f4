"""Clients under another role of the environment, assumed from the caller's session.

The restore role may change tables, but never the ledger; for the rollback role it is the reverse. So a table
restore writes its record under the rollback role and data under the restore role. A session assumed from
another role's session lasts at most one hour ("Role chaining",
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html), and a restore may last longer: the role is
assumed again before that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError

from rollback.aws.account import Account, code, explained
from rollback.aws.answers import trust_nothing
from rollback.aws.call_log import logged
from rollback.config.naming import DRILL, RESTORE, ROLLBACK, arn, permission_set_of
from rollback.util.errors import Code, Refused
from rollback.util.thread_pool import WORKERS

Clients = Callable[[str], Any]
_MODE = {"mode": "standard", "total_max_attempts": 8}


def clients(account: Account, role: str) -> Clients:
    """Returns a function: service → its client under `role`. Raises as `session` does."""
    taken = session(account, role)
    config = Config(retries=_MODE, connect_timeout=5, read_timeout=60, max_pool_connections=WORKERS * 2)  # type: ignore[arg-type] # the stubs want a TypedDict
    return lambda service: taken.client(service, config=config)  # type: ignore[call-overload] # any service


def clients_with(answer: Mapping[str, Any], region: str) -> Clients:
    """Returns a function: service → its client with the credentials of an AssumeRole response, which are not renewed."""
    given = answer["Credentials"]
    taken = boto3.Session(
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        region_name=region,
    )
    trust_nothing(taken.events)
    logged(taken.events)
    config = Config(retries=_MODE, connect_timeout=5, read_timeout=60)  # type: ignore[arg-type] # as above
    return lambda service: taken.client(service, config=config)  # type: ignore[call-overload] # any service


def session(account: Account, role: str) -> boto3.Session:
    """A session under `role` (one of `naming.ROLES`), with the caller's session name as its source identity.

    Raises `Refused` where the caller may not assume the role.
    """
    settings = account.settings
    before = ROLLBACK if role == RESTORE else DRILL
    wanted = arn("iam", settings.region, settings.account, f"role/{settings.names.role(role)}")

    def taken() -> dict[str, str]:
        with explained(f"assuming {wanted}"):
            try:
                # The trust policy only allows the session's own name, which is its source identity. A session
                # with a source identity cannot change it; a job's session has none yet (`components.boundary.trust`).
                # Identity Center sets none: the trust policy checks its session's name instead.
                name = account.caller.person
                source = {} if permission_set_of(account.caller.role) else {"SourceIdentity": name}
                answer = account.client("sts").assume_role(RoleArn=wanted, RoleSessionName=name, **source)[
                    "Credentials"
                ]
            except ClientError as error:
                if code(error) not in ("AccessDenied", "AccessDeniedException"):
                    raise
                raise Refused(
                    f"{account.caller} may not assume {wanted}: {error.response['Error'].get('Message', '')}",
                    code=Code.WRONG_ROLE,
                    next=f"rollback login --env {settings.environment} --role {before}  # {settings.called(before)} may "
                    "assume it; `pulumi up` of the foundation declares both",
                ) from error
        return {
            "access_key": answer["AccessKeyId"],
            "secret_key": answer["SecretAccessKey"],
            "token": answer["SessionToken"],
            "expiry_time": answer["Expiration"].isoformat(),
        }

    inner = botocore.session.get_session()
    inner._credentials = RefreshableCredentials.create_from_metadata(  # type: ignore[attr-defined]  # noqa: SLF001 - botocore offers no other way in
        metadata=taken(), refresh_using=taken, method="assume-role"
    )
    session = boto3.Session(botocore_session=inner, region_name=settings.region)
    trust_nothing(session.events)
    logged(session.events)
    return session
