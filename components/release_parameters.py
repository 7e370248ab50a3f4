"""The SSM parameters that say what is deployed: they exist by declaration, their values by release."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.tags import tags
from naming import Names

# What a parameter says before the first release is recorded; SSM takes no empty value.
NOTHING_YET = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseParametersArgs:
    """Whose parameters they are."""

    names: Names


class ReleaseParameters(pulumi.ComponentResource):
    """`deployed-version`, `terraform-commit` and `pulumi-commit` of one environment."""

    parameter_names: list[pulumi.Output[str]]

    def __init__(
        self, name: str, args: ReleaseParametersArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("rollback:index:ReleaseParameters", name, None, opts)
        names = args.names
        self.parameter_names = [
            aws.ssm.Parameter(
                path.rsplit("/", 1)[-1],
                name=path,
                type=aws.ssm.ParameterType.STRING,
                value=NOTHING_YET,
                tags=tags(names, "release-parameters"),
                # A release and a rollback write the value; `pulumi up` must leave it as they did.
                opts=pulumi.ResourceOptions(parent=self, ignore_changes=["value"]),
            ).name
            for path in (names.deployed_version, names.terraform_commit, names.pulumi_commit)
        ]
        self.register_outputs({"parameterNames": self.parameter_names})
