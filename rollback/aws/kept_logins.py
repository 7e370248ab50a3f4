"""What `rollback login` keeps of a role: one file, readable by its owner only, with what a `credential_process` answers.

boto3, the AWS CLI, Terraform and the engine wait for it whenever they need credentials, so nothing is imported here
that takes long.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from platformdirs.unix import Unix

from rollback.config.naming import role_of
from rollback.core import private_file
from rollback.core.errors import Code, RollbackError, UsageError

_ARN = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):role/([A-Za-z0-9_+=,.@-]{1,64})")
_OTHERS = 0o077


def keep(role: str, answer: dict[str, Any]) -> None:
    """Keeps what `login.take` has answered, in the place of what was kept before."""
    private_file.write(_path(role), json.dumps(answer))


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
    stem, text = role_of(role.rpartition("/")[2])
    return f"rollback login --env {_environment(stem)} --role {text}" if text else "rollback login"


def _environment(stem: str) -> str:
    """The environment of this checkout whose roles are called so; elsewhere the last word, as most are called by one."""
    from rollback.config import settings  # noqa: PLC0415 - for an error alone

    with suppress(RollbackError, OSError):
        root = settings.find_root(Path.cwd())
        for name in settings.environments(root):
            with suppress(RollbackError):
                if settings.load(root, name).names.stem == stem:
                    return name
    return stem.rpartition("-")[2]
