"""Real identities: the role's own trust policy decides, as it would for a GitHub job."""

from __future__ import annotations

import base64
import json
import time

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from naming import GITHUB_OIDC_AUDIENCE, GITHUB_OIDC_HOST, arn
from rollback.settings import Settings

REFUSED = ClientError  # what `assume` raises when the role's trust policy says no


def token(
    repository: str, github_environment: str, person: str, *, audience: str = GITHUB_OIDC_AUDIENCE
) -> str:
    """A JWT with the claims of a GitHub job in `github_environment` that `person` has started.

    It has no valid signature, which the emulator does not ask for.
    """
    owner = repository.partition("/")[0]
    now = int(time.time())
    claims = {
        "iss": f"https://{GITHUB_OIDC_HOST}",
        "sub": f"repo:{repository}:environment:{github_environment}",
        "aud": audience,
        "repository": repository,
        "repository_owner": owner,
        "environment": github_environment,
        "actor": person,
        "ref": "refs/heads/main",
        "iat": now,
        "nbf": now,
        "exp": now + 600,
    }
    parts = ({"alg": "RS256", "typ": "JWT", "kid": "local"}, claims)
    return ".".join([*(_encoded(json.dumps(part).encode()) for part in parts), _encoded(b"local")])


def assume(
    endpoint: str, settings: Settings, role: str, person: str, *, github_environment: str | None = None
) -> dict[str, str]:
    """Take `role` (a word of `naming.ROLES`) as `person`; the variables that an AWS client reads.

    `person` becomes the session's name. `github_environment` is that of the role unless given.
    With policy evaluation on, raises botocore's `ClientError` (AccessDenied) if the role's trust
    policy does not let that environment in, or if there is no such role.
    """
    names = settings.names
    environment = github_environment or names.github_environment(role)
    client = boto3.session.Session().client(
        "sts",
        endpoint_url=endpoint,
        region_name=settings.region,
        config=Config(signature_version=UNSIGNED, proxies={}),
    )
    answer = client.assume_role_with_web_identity(
        RoleArn=arn("iam", settings.region, settings.account, f"role/{names.role(role)}"),
        RoleSessionName=person,
        WebIdentityToken=token(settings.repository, environment, person),
    )["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": answer["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
        "AWS_SESSION_TOKEN": answer["SessionToken"],
    }


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()
