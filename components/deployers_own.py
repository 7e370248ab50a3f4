"""The stack of what changes daily is declared under the deployer's role, by nobody with more power."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from rollback.config.naming import DEPLOYER
from rollback.config.settings import Settings


def refuse_others(settings: Settings) -> None:
    """Ends the program unless it runs under the deployer's role, or by the permission set of those who deploy.

    Under an administrator's credentials the engine would do what the deployer has written into the state: delete what
    it names, once the program does not declare it. Of a program that fails nothing is changed. Raises
    `pulumi.RunError`.
    """
    names, caller = settings.names, aws.get_caller_identity().arn
    _, assumed, session = caller.partition(":assumed-role/")
    if not assumed or not settings.acts_as(session.partition("/")[0], DEPLOYER):
        raise pulumi.RunError(
            f"The stack {names.environment} is declared under {settings.called(DEPLOYER)} only, and this is {caller}: "
            f"a person who can write its state would act as you. What an administrator declares is the stack "
            f"{names.foundation_stack}. To take the role: rollback login --env {names.environment} --role {DEPLOYER}"
        )
