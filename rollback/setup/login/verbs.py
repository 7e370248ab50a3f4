"""`rollback login`, `logout` and `credentials`: a person's role, assumed with MFA; its credentials are kept until they expire."""

from __future__ import annotations

import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rollback.cli.options import Env, Json
from rollback.cli.runtime import answering
from rollback.config import naming
from rollback.config import settings as configured
from rollback.setup.login import api as logins
from rollback.setup.login import credentials as keeping
from rollback.util import stdio
from rollback.util.errors import Code, UsageError
from rollback.util.times import shown_time
from rollback.views import rich_layout


class Role(StrEnum):
    """The roles that people assume."""

    deployer = "deployer"
    rollback = "rollback"
    approver = "approver"
    restore = "restore"
    drill = "drill"
    break_glass = "break-glass"


_ROLES = ", ".join(Role)


def login(
    env: Env,
    role: Annotated[
        Role, typer.Option("--role", metavar="ROLE", help=f"The role to take: {_ROLES}.")
    ] = Role.rollback,
    mfa: Annotated[
        str, typer.Option("--mfa", metavar="CODE", help="The MFA code, where there is no terminal.")
    ] = "",
    serial: Annotated[
        str,
        typer.Option(
            "--serial", metavar="ARN", help="The MFA device; default: the one with your user's name."
        ),
    ] = "",
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            metavar="PROFILE",
            help="The AWS profile with your own keys; default: the default profile.",
        ),
    ] = "",
    hours: Annotated[
        int,
        typer.Option(
            "--hours",
            metavar="N",
            min=1,
            max=naming.SESSION_HOURS,
            help="How long the session lasts, in hours.",
        ),
    ] = 1,
    json: Json = False,
) -> None:
    """Assume a role with MFA, and keep its credentials on this machine until they expire."""
    with answering(env, json) as ui:
        settings = configured.load(configured.find_root(Path.cwd()), env)

        def code(device: str) -> str:
            typed = mfa or ui.typed(f"MFA code of {device}: ")
            if typed is None:
                raise UsageError(
                    "There is no terminal to ask for an MFA code.",
                    code=Code.OPTION_INVALID,
                    next=f"rollback login --env {env} --role {role} --mfa CODE",
                )
            return typed

        taken = logins.log_in(settings, role.value, code=code, serial=serial, profile=profile, hours=hours)
        called = f"{role}-{env}"
        lines = [
            f"[profile {called}]",
            f"credential_process = {shlex.quote(os.path.abspath(sys.argv[0]))} credentials {taken.arn}",  # noqa: PTH100 - a link stays one
            f"region = {settings.region}",
        ]
        message = (
            f"{taken.person} has {taken.role} until {shown_time(taken.expires)}. Add to ~/.aws/config, once:"
        )
        ui.show(
            rich_layout.lines_to_copy("", *lines, "", under=message),
            {
                "environment": env,
                "caller": {"person": taken.person, "role": taken.role},
                "role_arn": taken.arn,
                "expires_at": taken.expires,
                "profile": lines,
                "role": taken.arn,
                "person": taken.person,
                "expires": taken.expires,
            },
        )
        ui.next(f"AWS_PROFILE={called} rollback status --env {env}")


def logout(
    env: Env,
    role: Annotated[
        Role | None,
        typer.Option("--role", metavar="ROLE", help="The role; default: all roles of the environment."),
    ] = None,
    json: Json = False,
) -> None:
    """Remove the credentials that login stored."""
    with answering(env, json) as ui:
        settings = configured.load(configured.find_root(Path.cwd()), env)
        if role:
            logins.arn_of(settings, role.value)
        gone = logins.log_out(settings, (role.value,) if role else tuple(one.value for one in Role))
        message = [f"Removed: {arn}" for arn in gone] or ["Nothing to remove."]
        ui.show(rich_layout.lines_to_copy(*message), {"environment": env, "forgotten": list(gone)})


def credentials(
    role: Annotated[
        str, typer.Argument(metavar="ROLE_ARN", help="The ARN of a role that login has assumed.")
    ],
) -> None:
    """Print the credentials of a login, for credential_process of an AWS profile."""
    try:
        stdio.write_out(keeping.kept(role))
    except Exception:
        # Not through the terminal's view: its imports take longer than the rest, and every AWS call waits for this.
        with answering(None, json=False):
            raise
