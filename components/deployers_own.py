"""The environment's daily stack may only be deployed under the deployer's role, never with more permissions."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from rollback.config.naming import DEPLOYER
from rollback.config.settings import Settings


def refuse_others(settings: Settings) -> None:
    """Ends the program unless it runs under the deployer's role or permission set.

    Under an administrator's credentials the engine would do what the deployer has written into the state: delete
    resources that it names and the program does not declare. If the program fails, nothing is changed. Raises
    `pulumi.RunError`.
    """
    names, caller = settings.names, aws.get_caller_identity().arn
    _, assumed, session = caller.partition(":assumed-role/")
    if not assumed or not settings.acts_as(session.partition("/")[0], DEPLOYER):
        raise pulumi.RunError(
            f"The stack {names.environment} may only be deployed under {settings.called(DEPLOYER)}, not as {caller}: "
            f"anybody who can write its state would act with your permissions. An administrator deploys the stack "
            f"{names.foundation_stack}. To assume the role: rollback login --env {names.environment} --role {DEPLOYER}"
        )
