"""`rollback login`, `logout` and `credentials`: a person's role, taken once with MFA and kept until it ends."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rollback.aws import login as logins
from rollback.cli.options import Env, Json
from rollback.cli.runtime import answering
from rollback.config import naming
from rollback.config import settings as configured
from rollback.core import stdio
from rollback.core.errors import Code, UsageError
from rollback.views import rich_layout


class Role(StrEnum):
    """The roles that people take."""

    deployer = "deployer"
    rollback = "rollback"
    approver = "approver"
    restore = "restore"
    drill = "drill"
    break_glass = "break-glass"


def login(
    env: Env,
    role: Annotated[Role, typer.Option("--role", help="The role to take.")] = Role.rollback,
    mfa: Annotated[
        str, typer.Option("--mfa", metavar="CODE", help="The code, where nobody can be asked.")
    ] = "",
    serial: Annotated[
        str, typer.Option("--serial", metavar="ARN", help="The MFA device; default: the one named like you.")
    ] = "",
    profile: Annotated[
        str, typer.Option("--profile", help="The AWS profile of your own keys; default: the usual ones.")
    ] = "",
    hours: Annotated[
        int, typer.Option("--hours", min=1, max=naming.SESSION_HOURS, help="For how long, in hours.")
    ] = 1,
    json: Json = False,
) -> None:
    """Take a role with MFA, under your own name, and keep it here until it ends."""
    with answering(env, json) as ui:
        settings = configured.load(configured.find_root(Path.cwd()), env)
        arn = _arn(settings, role)
        account = logins.own(settings, profile)
        name, device = logins.user(account), serial or logins.device(account)
        code = mfa or ui.typed(f"MFA code of {device}: ")
        if code is None:
            raise UsageError(
                "Nobody can be asked for an MFA code here.",
                code=Code.OPTION_INVALID,
                next=f"rollback login --env {env} --role {role} --mfa CODE",
            )
        answer = logins.take(account, arn, serial=device, mfa=code, hours=hours)
        logins.keep(arn, answer)
        called = f"{role}-{env}"
        lines = [
            f"[profile {called}]",
            f"credential_process = {shlex.quote(os.path.abspath(sys.argv[0]))} credentials {arn}",  # noqa: PTH100 - a link stays one
            f"region = {settings.region}",
        ]
        message = (
            f"{name} has {settings.names.role(role)} until {answer['Expiration']}. In ~/.aws/config, once:"
        )
        ui.show(
            rich_layout.lines_to_copy(message, "", *lines, ""),
            {"role": arn, "person": name, "expires": answer["Expiration"], "profile": lines},
        )
        ui.next(f"AWS_PROFILE={called} rollback status --env {env}")


def logout(
    env: Env,
    role: Annotated[
        Role | None, typer.Option("--role", help="The role; default: all of the environment.")
    ] = None,
    json: Json = False,
) -> None:
    """Forget what login keeps of an environment's roles."""
    with answering(env, json) as ui:
        settings = configured.load(configured.find_root(Path.cwd()), env)
        arns = [_arn(settings, role)] if role else [_arn(settings, one, strict=False) for one in Role]
        gone = [arn for arn in arns if logins.forget(arn)]
        message = [f"Forgotten: {arn}" for arn in gone] or ["Nothing was kept."]
        ui.show(rich_layout.lines_to_copy(*message), {"forgotten": gone})


def credentials(role: Annotated[str, typer.Argument(metavar="ROLE_ARN")]) -> None:
    """Hand on what login keeps of a role, as an AWS profile's credential_process asks for it."""
    with answering(None, json=False):
        stdio.write_out(logins.kept(role, datetime.now(UTC)))


def _arn(settings: configured.Settings, role: Role, *, strict: bool = True) -> str:
    if strict and role is Role.drill and not settings.names.drills:
        raise UsageError(
            f"{settings.environment} has no drill role: it is production.",
            code=Code.OPTION_INVALID,
            next=f"rollback drill --env {settings.environment} --read-only",
        )
    return naming.arn("iam", settings.region, settings.account, f"role/{settings.names.role(role.value)}")
