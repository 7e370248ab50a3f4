"""A Pulumi program: an environment without its roles, for a catalogue too large for them.

A role lists its functions one by one, and IAM attaches ten policies to a role: some hundred functions. Of
thousands the engine keeps a state of megabytes for each alias that it makes: `BENCH_ALIASES` says whether
it declares them.
"""

from __future__ import annotations

import os

import pulumi

from components.audit_trail import AuditTrail, AuditTrailArgs
from components.deployments_table import DeploymentsTable, DeploymentsTableArgs
from components.live_aliases import LiveAliases, LiveAliasesArgs
from components.release_parameters import ReleaseParameters, ReleaseParametersArgs
from rollback.config.settings import from_config

settings = from_config(pulumi.get_project(), pulumi.get_stack(), pulumi.runtime.config.CONFIG.get())
names = settings.names
DeploymentsTable("deployments-table", DeploymentsTableArgs(names=names))
ReleaseParameters("release-parameters", ReleaseParametersArgs(names=names, tables=()))
AuditTrail(
    "audit-trail",
    AuditTrailArgs(names=names, account=settings.account, retention_days=settings.audit_retention_days),
)
if os.environ["BENCH_ALIASES"] == "declared":
    LiveAliases(
        "live-aliases",
        LiveAliasesArgs(
            alias=settings.alias,
            functions=settings.entries(),
        ),
    )
