"""Real identities: the role's own trust policy decides, as it would for a job of GitHub or GitLab."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from localaws.clients import connect, nobody
from rollback.config.naming import GITHUB_OIDC_HOST, GITLAB_COM, OIDC_AUDIENCE, SESSION_HOURS, arn
from rollback.config.settings import Settings

# What tells an AWS client who it acts as.
NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
REFUSED = ClientError  # what `assume` raises when the role's trust policy says no


def token(repository: str, github_environment: str, person: str, *, audience: str = OIDC_AUDIENCE) -> str:
    """A JWT with the claims of a GitHub job in `github_environment` that `person` has started.

    It has no valid signature, which the emulator does not ask for.
    """
    owner = repository.partition("/")[0]
    claims = {
        "iss": f"https://{GITHUB_OIDC_HOST}",
        "sub": f"repo:{repository}:environment:{github_environment}",
        "aud": audience,
        "repository": repository,
        "repository_owner": owner,
        "environment": github_environment,
        "actor": person,
        "ref": "refs/heads/main",
    }
    return _signed(claims)


def gitlab_token(
    project: str,
    person: str,
    *,
    host: str = GITLAB_COM,
    project_id: int = 0,
    environment: str = "",
    branch: str = "main",
    protected: bool = True,
    audience: str = OIDC_AUDIENCE,
) -> str:
    """A JWT with the claims of a GitLab job of `project` on `branch` that `person` has started, unsigned as well.

    "Token payload", https://docs.gitlab.com/ci/secrets/id_token_authentication/#token-payload.
    """
    claims = {
        "iss": f"https://{host}",
        "sub": f"project_path:{project}:ref_type:branch:ref:{branch}",
        "aud": audience,
        "project_path": project,
        "project_id": str(project_id),
        "ref": branch,
        "ref_type": "branch",
        "ref_protected": str(protected).lower(),
        "user_login": person,
        **({"environment": environment, "environment_protected": "true"} if environment else {}),
    }
    return _signed(claims)


def assume(
    endpoint: str, settings: Settings, role: str, person: str, *, github_environment: str | None = None
) -> dict[str, str]:
    """Take `role` (a word of `naming.ROLES`) as `person`; the variables that an AWS client reads.

    `person` becomes the session's name; it lasts as long as a role's may. `github_environment` is that of the role
    unless given. With policy evaluation on, raises botocore's `ClientError` (AccessDenied) if the role's trust
    policy does not let that environment in, or if there is no such role.
    """
    names = settings.names
    environment = github_environment or names.github_environment(role)
    answer = nobody("sts", endpoint, settings).assume_role_with_web_identity(
        RoleArn=arn("iam", settings.region, settings.account, f"role/{names.role(role)}"),
        RoleSessionName=person,
        WebIdentityToken=token(settings.repository, environment, person),
        DurationSeconds=SESSION_HOURS * 3600,
    )["Credentials"]
    return variables(answer)


def person(endpoint: str, settings: Settings, name: str) -> dict[str, str]:
    """New keys of the IAM user `name`, who is made if need be: the variables that an AWS client reads."""
    iam = connect("iam", endpoint, settings)
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def device(settings: Settings, name: str) -> str:
    """The ARN of the MFA device that is called as its user is; any code of six digits is right."""
    return arn("iam", settings.region, settings.account, f"mfa/{name}")


def assume_as(endpoint: str, settings: Settings, role: str, name: str) -> dict[str, str]:
    """Take `role` with keys of the user `name` (`person`), sending exactly what an AWS profile does.

    That is a code of their MFA device and the session's name, and no source identity (boto/botocore#2486). Raises
    `REFUSED`.
    """
    answer = connect("sts", endpoint, settings, person(endpoint, settings, name)).assume_role(
        RoleArn=arn("iam", settings.region, settings.account, f"role/{settings.names.role(role)}"),
        RoleSessionName=name,
        SerialNumber=device(settings, name),
        TokenCode="123456",
    )
    return variables(answer["Credentials"])


def variables(credentials: Mapping[str, Any]) -> dict[str, str]:
    """What an AWS client reads of the credentials that STS answers."""
    return {
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
    }


def _signed(claims: Mapping[str, str]) -> str:
    """The claims as a JWT that holds for ten minutes from now."""
    now = int(time.time())
    parts = (
        {"alg": "RS256", "typ": "JWT", "kid": "local"},
        {**claims, "iat": now, "nbf": now, "exp": now + 600},
    )
    return ".".join([*(_encoded(json.dumps(part).encode()) for part in parts), _encoded(b"local")])


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()
