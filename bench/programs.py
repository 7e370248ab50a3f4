"""Pulumi and Terraform programs of a wished size, to measure with."""

from __future__ import annotations

# The ledger and the parameters of this project, which a rollback needs, and as many more as are wished.
STACK = '''\
"""A stack of so many resources, all of which a revision changes."""

import pulumi_aws as aws

from components.deployments_table import DeploymentsTable, DeploymentsTableArgs
from components.release_parameters import ReleaseParameters, ReleaseParametersArgs
from rollback.config.naming import Names

names = Names("bbws-access", "dev")
DeploymentsTable("deployments-table", DeploymentsTableArgs(names=names))
ReleaseParameters("release-parameters", ReleaseParametersArgs(names=names, tables=()))
for number in range({more}):
    aws.ssm.Parameter(
        f"bench-{{number}}", name=f"/bench/{{number}}", type="String", value="x", description="{revision}"
    )
'''
# What the above has without them: the stack itself, two components, a table and three parameters.
OWN = 7

TERRAFORM = """
resource "aws_api_gateway_rest_api" "bench" {{
  count       = {more}
  name        = "bench-${{count.index}}"
  description = "{revision}"
}}
"""
# The table and the API of the root itself.
ROOTS = 2
