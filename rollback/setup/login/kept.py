"""The stored logins of `rollback login`: one file per role, readable only by its owner, in the format of `credential_process`.

boto3, the AWS CLI, Terraform and the engine wait for it whenever they need credentials, so that nothing slow is
imported here.

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
from rollback.util import private_file
from rollback.util.errors import Code, RollbackError, UsageError
from rollback.util.times import shown_time

_ARN = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):role/([A-Za-z0-9_+=,.@-]{1,64})")
_OTHERS = 0o077


def keep(role: str, answer: dict[str, Any]) -> None:
    """Stores the result of `login.take`, replacing an earlier one."""
    private_file.write(_path(role), json.dumps(answer))


def kept(role: str, now: datetime) -> str:
    """The stored login of a role, as JSON. Raises `UsageError` where there is none, or it has expired."""
    path = _path(role)
    try:
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or status.st_mode & _OTHERS:
                raise RollbackError(
                    f"{path} is not private: other users can read it or have written it.",
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
        raise _nothing(role, f"The login expired at {shown_time(ends)}")
    return text


def forget(role: str) -> bool:
    """Removes the stored login of a role, and temporary files of a killed `keep`; returns whether there was anything."""
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
    """The environment of this checkout with these role names; outside a checkout the last word of the name."""
    from rollback.config import settings  # noqa: PLC0415 - for an error alone

    with suppress(RollbackError, OSError):
        root = settings.find_root(Path.cwd())
        for name in settings.environments(root):
            with suppress(RollbackError):
                if settings.load(root, name).names.stem == stem:
                    return name
    return stem.rpartition("-")[2]
