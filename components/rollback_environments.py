"""The GitHub environments whose jobs may assume the roles, declared with their protection.

GitHub creates an undeclared environment the first time that a job names it, without any
protection (https://docs.github.com/en/actions/reference/workflows-and-actions/deployments-and-environments).
So they are declared before the first job: restricted to the protected branch, and the one for approvals with
required reviewers who cannot review their own run.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_github as github

from rollback.config.naming import APPROVER, DEPLOYER, DRILL, ROLLBACK, Names


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackEnvironmentsArgs:
    """The repository (`owner/name`, "" for none), its protected branch, whether there are drills and approvals, and
    the reviewers.

    `owner` is the account that the GitHub provider is configured for (`github:owner`), None if it is
    not configured. `teams` and `users` are the reviewers' numeric ids: another account can
    get a name later, but not an id.
    """

    names: Names
    repository: str
    protected_branch: str
    owner: str | None
    drills: bool = False
    approvals: bool = True
    teams: tuple[int, ...] = ()
    users: tuple[int, ...] = ()

    @property
    def missing(self) -> list[str]:
        """The missing settings without which nothing can be declared on GitHub."""
        return [
            *([] if self.owner else ["github:owner"]),
            *([] if self.teams or self.users else ["rollback:reviewers"]),
        ]


class RollbackEnvironments(pulumi.ComponentResource):
    """`{env}-deploy`, `{env}-rollback`, `{env}-rollback-approval` and, outside production, `{env}-drill`; without
    GitHub nothing, with a notice.
    """

    environments: list[str]

    def __init__(
        self, name: str, args: RollbackEnvironmentsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("rollback:index:RollbackEnvironments", name, None, opts)
        self.environments = []
        if not args.repository:
            pass  # another host, or none: no notice
        elif args.missing:
            pulumi.log.warn(
                f"The GitHub environments of {args.names.environment} are not declared: "
                f"{' and '.join(args.missing)} must be configured first. Until then GitHub does not protect "
                "them.",
                self,
            )
        else:
            self._declare(args)
        self.register_outputs({"environments": self.environments})

    def _declare(self, args: RollbackEnvironmentsArgs) -> None:
        owner, repository = args.repository.split("/")
        if owner.lower() != str(args.owner).lower():
            raise pulumi.RunError(
                f"github:owner is {args.owner!r}, but rollback:repository is {args.repository!r}: the "
                "environments would be declared in a repository of another account."
            )
        reviewers = github.RepositoryEnvironmentReviewerArgs(teams=list(args.teams), users=list(args.users))
        # If an environment is destroyed, the next job creates it again without protection.
        kept = pulumi.ResourceOptions(parent=self, protect=True)
        roles = [
            DEPLOYER,
            ROLLBACK,
            *([APPROVER] if args.approvals else []),
            *([DRILL] if args.drills else []),
        ]
        for role in roles:
            environment = args.names.github_environment(role)
            approves = role == APPROVER
            declared = github.RepositoryEnvironment(
                environment,
                repository=repository,
                environment=environment,
                can_admins_bypass=False,
                deployment_branch_policy=github.RepositoryEnvironmentDeploymentBranchPolicyArgs(
                    custom_branch_policies=True, protected_branches=False
                ),
                reviewers=[reviewers] if approves else None,
                prevent_self_review=True if approves else None,
                opts=kept,
            )
            github.RepositoryEnvironmentDeploymentPolicy(
                environment,
                repository=repository,
                environment=declared.environment,
                branch_pattern=args.protected_branch,
                opts=kept,
            )
            self.environments.append(environment)
