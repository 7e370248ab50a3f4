"""The SSM parameters with what is deployed, and which tables functions use. Declared here; their values
are written by releases and rollbacks.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rollback.config.naming import Names

from .tags import tags

# The value before the first release is recorded; SSM does not allow an empty value.
NOTHING_YET = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseParametersArgs:
    """The environment's names, and the full names of the tables that can be restored."""

    names: Names
    tables: tuple[str, ...]


class ReleaseParameters(pulumi.ComponentResource):
    """`deployed-version`, `terraform-commit` and `pulumi-commit` of one environment, and `table/NAME` for each
    table: it names the table itself, until a rollback sets it to a restored table.
    """

    parameter_names: list[pulumi.Output[str]]

    def __init__(
        self, name: str, args: ReleaseParametersArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("rollback:index:ReleaseParameters", name, None, opts)
        names = args.names
        first = dict.fromkeys(
            (names.deployed_version, names.terraform_commit, names.pulumi_commit), NOTHING_YET
        ) | {names.table_parameter(table): table for table in args.tables}
        self.parameter_names = [
            aws.ssm.Parameter(
                path.removeprefix(f"{names.parameter_path}/").replace("/", "-"),
                name=path,
                type=aws.ssm.ParameterType.STRING,
                value=value,
                tags=tags(names, "release-parameters"),
                # Releases and rollbacks write the value; `pulumi up` must not change it.
                opts=pulumi.ResourceOptions(parent=self, ignore_changes=["value"]),
            ).name
            for path, value in first.items()
        ]
        self.register_outputs({"parameterNames": self.parameter_names})
