"""The stack of what changes daily is declared under the deployer's role, by nobody with more power."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from rollback.config.naming import DEPLOYER, Names


def refuse_others(names: Names) -> None:
    """Ends the program unless it runs under the deployer's role.

    Under an administrator's credentials the engine would do what the deployer has written into the state: delete what
    it names, once the program does not declare it. Of a program that fails nothing is changed. Raises
    `pulumi.RunError`.
    """
    caller = aws.get_caller_identity().arn
    if f":assumed-role/{names.role(DEPLOYER)}/" not in caller:
        raise pulumi.RunError(
            f"The stack {names.environment} is declared under {names.role(DEPLOYER)} only, and this is {caller}: "
            f"a person who can write its state would act as you. What an administrator declares is the stack "
            f"{names.foundation_stack}. To take the role: rollback login --env {names.environment} --role {DEPLOYER}"
        )
