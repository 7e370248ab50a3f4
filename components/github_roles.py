"""The roles of an environment, assumed by jobs (of a GitHub environment, of a GitLab project) and by configured people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import pulumi
import pulumi_aws as aws

from rollback.config import naming
from rollback.config.naming import APPROVER, DEPLOYER, DRILL, RESTORE, ROLLBACK
from rollback.config.people import GitLab

from . import gitlab_jobs
from .boundary import boundary, trust
from .permissions import function_policies, inline_policy
from .permits import permit
from .policies import Scope, text
from .tags import tags

_DESCRIPTIONS = {
    DEPLOYER: "Deploys and records releases; rolls back stacks and Terraform configurations",
    ROLLBACK: "Moves the aliases of the catalogue's functions, and keeps the record of it",
    APPROVER: "Approves what somebody else has planned, and does nothing else",
    DRILL: "Deploys what is bad on purpose and has it rolled back; takes the roles that this needs",
    RESTORE: "Restores tables beside the live ones to a point in time",
}

# Role → the role that is assumed before it.
_VIA = {RESTORE: ROLLBACK, DEPLOYER: DRILL, ROLLBACK: DRILL}


@dataclass(frozen=True, kw_only=True, slots=True)
class GithubRolesArgs:
    """The roles' scope, and who may assume them.

    `repository` is the repository as GitHub's tokens name it (`components.boundary.trust`), "" for none; `gitlab` are
    GitLab's projects, whose jobs may assume roles on `protected_branch`; `people` maps a role to the ARNs of IAM users
    that may assume it besides those jobs.
    """

    scope: Scope
    repository: str
    people: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gitlab: GitLab | None = None
    protected_branch: str = "main"


class GithubRoles(pulumi.ComponentResource):
    """The identity providers of GitHub and GitLab, the boundary, and the roles with it (`Scope.roles`).

    An account has one provider for each: an existing one is imported, not created again.
    """

    role_arns: dict[str, pulumi.Output[str]]
    boundary_arn: pulumi.Output[str]

    def __init__(self, name: str, args: GithubRolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rollback:index:GithubRoles", name, None, opts)
        names = args.scope.names
        tagged = tags(names, "github-roles")
        # Without them nobody can assume a role in an incident, so they are protected from deletion.
        kept = pulumi.ResourceOptions(parent=self, protect=True)
        if args.repository:
            aws.iam.OpenIdConnectProvider(
                "github",
                url=f"https://{naming.GITHUB_OIDC_HOST}",
                client_id_lists=[naming.OIDC_AUDIENCE],
                tags=tagged,
                opts=kept,
            )
        if args.gitlab:
            gitlab_jobs.provider(args.gitlab, tagged, kept)
        ceiling = aws.iam.Policy(
            "boundary",
            name=names.boundary,
            description="What no role of the rollback project can be made to do",
            policy=text(boundary(args.scope)),
            tags=tagged,
            opts=kept,
        )
        self.boundary_arn = ceiling.arn
        self.role_arns = {}
        roles: dict[str, aws.iam.Role] = {}
        for role in args.scope.roles:
            via = _VIA.get(role)
            via = via if via in args.scope.roles else None
            made = aws.iam.Role(
                role,
                name=names.role(role),
                description=_DESCRIPTIONS[role],
                assume_role_policy=text(
                    trust(
                        args.scope,
                        args.repository,
                        names.github_environment(role),
                        tuple(args.people.get(role, ())),
                        via,
                        gitlab=gitlab_jobs.may_take(args.scope, args.gitlab, args.protected_branch, role),
                    )
                ),
                permissions_boundary=ceiling.arn,
                max_session_duration=naming.SESSION_HOURS * 3600,
                tags=tagged,
                # A trust policy can only name an existing role.
                opts=pulumi.ResourceOptions.merge(
                    kept, pulumi.ResourceOptions(depends_on=[roles[via]] if via else [])
                ),
            )
            roles[role] = made
            permit(
                self,
                role,
                made,
                scope=args.scope,
                tagged=tagged,
                inline=inline_policy(role, args.scope),
                functions=partial(function_policies, role),
            )
            self.role_arns[role] = made.arn
        self.register_outputs({"roleArns": self.role_arns})
