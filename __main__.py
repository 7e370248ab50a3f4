"""Declares one environment: wires the components, nothing else."""

from __future__ import annotations

import pulumi

from components.audit_trail import AuditTrail, AuditTrailArgs
from components.break_glass import BreakGlass, BreakGlassArgs
from components.deployments_table import DeploymentsTable, DeploymentsTableArgs
from components.github_roles import GithubRoles, GithubRolesArgs
from components.live_aliases import LiveAliases, LiveAliasesArgs
from components.policies import Scope
from components.release_parameters import ReleaseParameters, ReleaseParametersArgs
from components.rollback_environments import RollbackEnvironments, RollbackEnvironmentsArgs
from rollback.config.naming import APPROVER, BREAK_GLASS, DEPLOYER, DRILL, RESTORE, ROLLBACK
from rollback.config.settings import from_config
from rollback.core.errors import UsageError

try:
    settings = from_config(pulumi.get_project(), pulumi.get_stack(), pulumi.runtime.config.CONFIG.get())
except UsageError as error:
    raise pulumi.RunError(f"{error} {error.next}".strip()) from None

names = settings.names
table = DeploymentsTable("deployments-table", DeploymentsTableArgs(names=names))
trail = AuditTrail(
    "audit-trail",
    AuditTrailArgs(names=names, account=settings.account, retention_days=settings.audit_retention_days),
)
parameters = ReleaseParameters(
    "release-parameters", ReleaseParametersArgs(names=names, tables=settings.restorable)
)
aliases = LiveAliases(
    "live-aliases",
    LiveAliasesArgs(
        names=names,
        alias=settings.alias,
        functions=tuple(tail for tails in settings.services.values() for tail in tails),
    ),
)
scope = Scope(
    names=names,
    account=settings.account,
    region=settings.region,
    alias=settings.alias,
    functions=tuple(settings.catalogue()),
    tables=settings.restorable,
    state_key=settings.state_key,
    table_keys=settings.table_keys,
)
roles = GithubRoles(
    "github-roles",
    GithubRolesArgs(
        scope=scope,
        repository=settings.repository,
        people={
            DEPLOYER: settings.people.deployers,
            ROLLBACK: settings.people.on_call,
            RESTORE: settings.people.on_call,
            DRILL: settings.people.on_call,
            APPROVER: settings.people.approvers,
        },
    ),
)
break_glass = BreakGlass(
    "break-glass",
    BreakGlassArgs(scope=scope, boundary=roles.boundary_arn, people=settings.people.break_glass),
)
environments = RollbackEnvironments(
    "rollback-environments",
    RollbackEnvironmentsArgs(
        names=names,
        repository=settings.repository_name,
        protected_branch=settings.protected_branch,
        owner=pulumi.Config("github").get("owner"),
        teams=settings.reviewers.teams,
        users=settings.reviewers.users,
    ),
)

pulumi.export("deploymentsTable", table.table_name)
pulumi.export("auditTrail", trail.bucket_name)
pulumi.export("releaseParameters", parameters.parameter_names)
pulumi.export("roleArns", roles.role_arns | {BREAK_GLASS: break_glass.role_arn})
pulumi.export("aliases", aliases.count)
pulumi.export("githubEnvironments", environments.environments)
