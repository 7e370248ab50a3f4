"""Real identities: the role's trust policy decides, as for a job of GitHub or GitLab."""

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

# The variables with an AWS client's credentials.
NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
REFUSED = ClientError  # what `assume` raises if the role's trust policy refuses


def token(repository: str, github_environment: str, person: str, *, audience: str = OIDC_AUDIENCE) -> str:
    """A JWT with the claims of a GitHub job in `github_environment` that `person` has started.

    Its signature is not valid, but the emulator does not check it.
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
    """Assumes `role` (one of `naming.ROLES`) as `person`. Returns the variables for an AWS client.

    `person` becomes the session's name; it lasts as long as the role allows. `github_environment` is that of the role
    unless given. With policy evaluation on, raises botocore's `ClientError` (AccessDenied) if the role's trust
    policy does not allow that environment, or if there is no such role.
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
    """New keys of the IAM user `name`, created if necessary, as variables for an AWS client."""
    iam = connect("iam", endpoint, settings)
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def device(settings: Settings, name: str) -> str:
    """The ARN of the MFA device with its user's name; any code of six digits is valid."""
    return arn("iam", settings.region, settings.account, f"mfa/{name}")


def assume_as(endpoint: str, settings: Settings, role: str, name: str) -> dict[str, str]:
    """Assumes `role` with keys of the user `name` (`person`), and sends exactly what an AWS profile does.

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
    """Credentials from STS as variables for an AWS client."""
    return {
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
    }


def _signed(claims: Mapping[str, str]) -> str:
    """The claims as a JWT that is valid for ten minutes."""
    now = int(time.time())
    parts = (
        {"alg": "RS256", "typ": "JWT", "kid": "local"},
        {**claims, "iat": now, "nbf": now, "exp": now + 600},
    )
    return ".".join([*(_encoded(json.dumps(part).encode()) for part in parts), _encoded(b"local")])


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()
