"""The alias that callers invoke, on every function of the catalogue.

The program declares that the alias exists; rollbacks own its version, its weights and its
description. `ignore_changes` preserves a rollback during `pulumi up` only together with
`options: refresh: always` in Pulumi.yaml, and only while nothing else of the resource can change:
otherwise the update also sends the version in the checkpoint. So an alias here has only a
function and a name, and nothing else must be added to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

import pulumi
import pulumi_aws as aws

# Properties that rollbacks write (`UpdateAlias`), and that Pulumi must ignore.
THE_ROLLBACKS = ["functionVersion", "routingConfig", "description"]
_UNPUBLISHED = "$LATEST"
_GET_FUNCTION = "aws:lambda/getFunction:getFunction"


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveAliasesArgs:
    """`functions` are the catalogue's, entry (`team-service-get`) → full name; `alias` is the alias's name."""

    alias: str
    functions: Mapping[str, str]


class LiveAliases(pulumi.ComponentResource):
    """One alias for each function. A new alias points at the newest published version."""

    count: int

    def __init__(self, name: str, args: LiveAliasesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rollback:index:LiveAliases", name, None, opts)
        functions = args.functions
        newest: pulumi.Output[dict[str, str]] = pulumi.Output.from_input(
            _newest_versions(tuple(functions.values()), args.alias)
        )
        for tail, function in functions.items():
            aws.lambda_.Alias(
                tail,
                name=args.alias,
                function_name=function,
                function_version=newest[function],
                opts=pulumi.ResourceOptions(parent=self, protect=True, ignore_changes=THE_ROLLBACKS),
            )
        self.count = len(functions)
        self.register_outputs({"count": self.count})


async def _newest_versions(functions: Sequence[str], alias: str) -> dict[str, str]:
    """Each function's newest published version.

    Reads all in parallel: one after the other takes a quarter of a second each. Raises
    `pulumi.RunError` naming every function that is missing or has no published version.
    """
    # The same provider version as the resources use; the SDK's own calls send it as well.
    options = pulumi.InvokeOptions(version=metadata.version("pulumi-aws"))
    answers = await asyncio.gather(
        *(
            pulumi.runtime.invoke_async(_GET_FUNCTION, {"functionName": function}, options)
            for function in functions
        ),
        return_exceptions=True,
    )
    versions: dict[str, str] = {}
    problems: list[str] = []
    for function, answer in zip(functions, answers, strict=True):
        if isinstance(answer, BaseException):
            # The engine and the provider each prefix AWS's message with what they were doing.
            reason = str(answer).rsplit(f"{_GET_FUNCTION}: ", 1)[-1].strip()
            problems.append(f"{function} cannot be read ({reason})")
        elif answer["version"] == _UNPUBLISHED:
            problems.append(f"{function} has no published version")
        else:
            versions[function] = answer["version"]
    if problems:
        raise pulumi.RunError(
            f"Alias '{alias}' needs a published version of each of {len(functions)} functions, but:\n"
            + "".join(f"  {problem}\n" for problem in problems)
            + "Deploy and publish them first, or remove them from 'services' in Pulumi.yaml."
        )
    return versions
