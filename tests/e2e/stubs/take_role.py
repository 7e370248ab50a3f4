"""Credentials of `ROLE` for the steps that follow, as the action of that name gives them."""

import os
from pathlib import Path

from localaws import identity
from rollback.config.naming import DRILL, ROLES
from rollback.config.settings import environments, load

root = Path.cwd() / os.environ.get("STUB_SETTINGS", "")
arn, region, person = (os.environ[name] for name in ("ROLE", "REGION", "PERSON"))
settings, role = next(
    (settings, role)
    for settings in (load(root, name) for name in environments(root))
    for role in (*ROLES, DRILL)
    if arn == f"arn:aws:iam::{settings.account}:role/{settings.names.role(role)}"
    and region == settings.region
)
given = identity.assume(os.environ["AWS_ENDPOINT_URL"], settings, role, person)
with Path(os.environ["GITHUB_ENV"]).open("a", encoding="utf-8") as file:
    file.writelines(f"{name}={value}\n" for name, value in (given | {"AWS_REGION": region}).items())
