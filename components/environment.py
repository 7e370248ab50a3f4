"""One environment, declared in two stacks: wires the components.

The stack `dev-foundation` is an administrator's: who may do what, and the record of what was done. Its state is stored
where the deployer can neither read nor write it, since the engine does what a state says as the person who types
`pulumi up` (https://github.com/pulumi/pulumi/issues/7242). The stack `dev` is the deployer's: it changes daily. Both
read `Pulumi.dev.yaml`.
"""

from __future__ import annotations

from pathlib import Path

import pulumi

from rollback.config.model import nearest
from rollback.config.naming import APPROVER, BREAK_GLASS, DEPLOYER, DRILL, FOUNDATION, RESTORE, ROLLBACK
from rollback.config.settings import Settings, environments, from_config
from rollback.util.errors import UsageError

from .audit_trail import AuditTrail, AuditTrailArgs
from .break_glass import BreakGlass, BreakGlassArgs
from .deployers_own import refuse_others
from .deployments_table import DeploymentsTable, DeploymentsTableArgs
from .github_roles import GithubRoles, GithubRolesArgs
from .guard import Guard, GuardArgs
from .live_aliases import LiveAliases, LiveAliasesArgs
from .of_settings import scope_of
from .permission_sets import PermissionSets, PermissionSetsArgs
from .release_parameters import ReleaseParameters, ReleaseParametersArgs
from .rollback_environments import RollbackEnvironments, RollbackEnvironmentsArgs


def declare(stack: str) -> None:
    """Declares a stack: a whole Pulumi program. Raises `pulumi.RunError` if the project has no such environment, or if
    its settings are invalid.
    """
    environment = stack.removesuffix(f"-{FOUNDATION}")
    known = environments(Path(pulumi.get_root_directory() or Path.cwd()))
    if environment not in known:
        stacks = [part for name in known for part in (name, f"{name}-{FOUNDATION}")]
        raise pulumi.RunError(f"The project has no stack {stack!r}.{nearest(stack, stacks)}")
    try:
        settings = from_config(pulumi.get_project(), environment, pulumi.runtime.config.CONFIG.get())
    except UsageError as error:
        raise pulumi.RunError(f"{error} {error.next}".strip()) from None
    made = daily if stack == environment else foundation
    made(settings)


def foundation(settings: Settings) -> None:
    """Declares the administrator's stack."""
    names = settings.names
    table = DeploymentsTable("deployments-table", DeploymentsTableArgs(names=names))
    trail = AuditTrail(
        "audit-trail",
        AuditTrailArgs(names=names, account=settings.account, retention_days=settings.audit_retention_days),
    )
    scope = scope_of(settings)
    roles = GithubRoles(
        "github-roles",
        GithubRolesArgs(
            scope=scope,
            repository=settings.repository,
            gitlab=settings.gitlab,
            protected_branch=settings.protected_branch,
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
            drills=settings.drills,
            approvals=settings.approvals,
            protected_branch=settings.protected_branch,
            owner=pulumi.Config("github").get("owner"),
            teams=settings.reviewers.teams,
            users=settings.reviewers.users,
        ),
    )
    if settings.guard is not None:
        guard = Guard(
            "guard",
            GuardArgs(
                scope=scope,
                boundary=roles.boundary_arn,
                services={service: settings.functions(service) for service in settings.services},
                thresholds=settings.guard.thresholds,
                minutes=settings.guard.minutes,
                package=Path.cwd() / settings.guard.package,
                runtime=settings.guard.python,
                timeout_seconds=settings.guard.timeout_seconds,
            ),
        )
        pulumi.export("guardReports", guard.reports_arn)
    pulumi.export("deploymentsTable", table.table_name)
    pulumi.export("auditTrail", trail.bucket_name)
    pulumi.export("roleArns", roles.role_arns | {BREAK_GLASS: break_glass.role_arn})
    if scope.permission_sets:
        permission_sets = PermissionSets("permission-sets", PermissionSetsArgs(scope=scope))
        pulumi.export("permissionSets", permission_sets.refers_to)
    pulumi.export("githubEnvironments", environments.environments)


def daily(settings: Settings) -> None:
    """Declares the deployer's stack."""
    names = settings.names
    refuse_others(settings)
    parameters = ReleaseParameters(
        "release-parameters", ReleaseParametersArgs(names=names, tables=settings.restorable)
    )
    aliases = LiveAliases(
        "live-aliases",
        LiveAliasesArgs(
            alias=settings.alias,
            functions=settings.entries() if settings.declare_aliases else {},
        ),
    )
    pulumi.export("releaseParameters", parameters.parameter_names)
    pulumi.export("aliases", aliases.count)
