"""Under which role each command of a drill runs.

The person has the drill role, which may do little more than assume the two that deploy and roll
back: a drill can do no more than they can. Neither may approve, which needs another person's credentials.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import boto3

from rollback.aws import assume_role
from rollback.aws.account import Account, connect
from rollback.config.naming import DEPLOYER, DRILL, ROLLBACK
from rollback.model.drill import only_planning
from rollback.util.errors import Code, Refused

_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


@dataclass(kw_only=True)
class Roles:
    """The accounts of one drill. `approver` is the AWS profile of another person, or empty; `scenario` is what the caller
    typed.
    """

    read_only: bool
    approver: str = ""
    scenario: str = ""
    _own: Account | None = None
    _accounts: dict[str, Account] = field(default_factory=dict)
    _sessions: dict[str, boto3.Session] = field(default_factory=dict)

    def take(self, own: Account) -> Account:
        """The account under the rollback role, assumed from the caller's; the caller's own if nothing is changed.

        Raises `Refused` where the caller does not have the drill role.
        """
        names = own.settings.names
        self._own = own
        if own.caller.role != names.role(DRILL):
            if self.read_only:
                return own
            raise Refused(
                f"{own.caller} cannot run a drill, which deploys and rolls back.",
                code=Code.WRONG_ROLE,
                next=f"Log in with the role {names.role(DRILL)}, which exists outside production."
                if own.settings.drills
                else only_planning(own.settings.environment, self.scenario),
            )
        for role in (ROLLBACK, DEPLOYER):
            self._sessions[role] = assume_role.session(own, role)
            self._accounts[role] = connect(own.settings, self._sessions[role])
        return self._accounts[ROLLBACK]

    @property
    def own(self) -> Account:
        """The account under the caller's own role."""
        assert self._own is not None  # noqa: S101 - `take` is how a session begins
        return self._own

    def account(self, role: str) -> Account:
        """The account under `role`; the caller's own if nothing is changed."""
        return self._accounts.get(role, self.own)

    def variables(self, role: str) -> dict[str, str]:
        """The environment variables (name → value) of a command under `role`."""
        if role not in self._sessions:
            return dict(os.environ)
        found = self._sessions[role].get_credentials()
        assert found is not None  # noqa: S101 - the session was made from some
        frozen = found.get_frozen_credentials()
        return _without(_PROFILES) | {
            "AWS_ACCESS_KEY_ID": str(frozen.access_key),
            "AWS_SECRET_ACCESS_KEY": str(frozen.secret_key),
            "AWS_SESSION_TOKEN": str(frozen.token),
        }

    def approvers(self) -> dict[str, str]:
        """The environment variables (name → value) of the approver's commands."""
        return _without((*_CREDENTIALS, *_PROFILES)) | {"AWS_PROFILE": self.approver}


def _without(names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in names}
