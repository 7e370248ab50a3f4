"""A person's role, assumed once with MFA and stored on this machine until it expires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rollback.config import naming
from rollback.setup.login import kept as kept_logins
from rollback.util.errors import Code, UsageError

if TYPE_CHECKING:
    from rollback.config.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """An assumed role: its ARN, its name, by whom, and until when (ISO 8601 in UTC)."""

    arn: str
    role: str
    person: str
    expires: str


def log_in(
    settings: Settings,
    role: str,
    *,
    code: Callable[[str], str],
    serial: str = "",
    profile: str = "",
    hours: int = 1,
) -> Login:
    """Assumes a role (`deployer`, `rollback`, `approver`, …) under the caller's own name, and stores its credentials.

    `code` returns the six digits for the MFA device that it gets; `serial` names a device other than the one
    named like the person, `profile` the AWS profile of their own keys. Raises `UsageError` for a role that does not
    exist or an invalid code, `Refused` if AWS refuses the role.
    """
    from rollback.setup.login import assume as logins  # noqa: PLC0415 - boto3 and more, for which `kept` does not wait

    arn = arn_of(settings, role)
    account = logins.own(settings, profile)
    name, device = logins.user(account), serial or logins.device(account)
    answer = logins.take(account, arn, serial=device, mfa=code(device), hours=hours)
    kept_logins.keep(arn, answer)
    return Login(arn=arn, role=settings.names.role(role), person=name, expires=answer["Expiration"])


def log_out(settings: Settings, roles: tuple[str, ...]) -> tuple[str, ...]:
    """Deletes the stored credentials of these roles. Returns the ARNs of the roles that had any."""
    arns = [_arn(settings, role) for role in roles]
    return tuple(arn for arn in arns if kept_logins.forget(arn))


def kept(arn: str) -> str:
    """The stored credentials of a role, as JSON for an AWS profile's `credential_process`. Raises `UsageError`."""
    return kept_logins.kept(arn, datetime.now(UTC))


def arn_of(settings: Settings, role: str) -> str:
    """A role's ARN. Raises `UsageError` where the environment has no such role."""
    if role == naming.DRILL and not settings.drills:
        from rollback.model.drill import only_planning  # noqa: PLC0415 - of this alone

        raise UsageError(
            f"{settings.environment} has no drill role: it is production.",
            code=Code.OPTION_INVALID,
            next=only_planning(settings.environment),
        )
    if role == naming.RESTORE and not settings.tables:
        raise UsageError(
            f"{settings.environment} has no restore role: the setting `tables` is empty.",
            code=Code.NOT_CONFIGURED,
        )
    if role == naming.APPROVER and not settings.approvals:
        raise UsageError(
            f"{settings.environment} has no approver role: the setting `approval` requires no other person.",
            code=Code.NOT_CONFIGURED,
        )
    return _arn(settings, role)


def _arn(settings: Settings, role: str) -> str:
    return naming.arn("iam", settings.region, settings.account, f"role/{settings.names.role(role)}")
