"""The ledger's table: releases, rollbacks, approvals and leases."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rollback.config.naming import Names

from .tags import tags

# The index by environment and time, for display; every decision reads the base table.
INDEX = "GSI1"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentsTableArgs:
    """The environment's names."""

    names: Names


class DeploymentsTable(pulumi.ComponentResource):
    """The deployments table. Protected from deletion by Pulumi and by DynamoDB."""

    table_name: pulumi.Output[str]

    def __init__(
        self, name: str, args: DeploymentsTableArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("rollback:index:DeploymentsTable", name, None, opts)
        keys = ("PK", "SK", f"{INDEX}PK", f"{INDEX}SK")
        table = aws.dynamodb.Table(
            "deployments",
            name=args.names.deployments_table,
            hash_key="PK",
            range_key="SK",
            attributes=[aws.dynamodb.TableAttributeArgs(name=key, type="S") for key in keys],
            global_secondary_indexes=[
                aws.dynamodb.TableGlobalSecondaryIndexArgs(
                    name=INDEX,
                    key_schemas=[
                        aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(
                            attribute_name=f"{INDEX}PK", key_type="HASH"
                        ),
                        aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(
                            attribute_name=f"{INDEX}SK", key_type="RANGE"
                        ),
                    ],
                    projection_type="ALL",
                )
            ],
            # An incident cannot be scheduled, and its burst must not be throttled.
            billing_mode="PAY_PER_REQUEST",
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
            deletion_protection_enabled=True,
            tags=tags(args.names, "deployments-table"),
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        self.table_name = table.name
        self.register_outputs({"tableName": self.table_name})
