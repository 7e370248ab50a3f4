"""The jobs of GitLab projects that may take roles, and the identity provider that their tokens come from.

AWS sees of a token its audience and its subject, which says the project and the branch
(`project_path:acme/orders:ref_type:branch:ref:main`), and no environment: all jobs of a branch are alike to it. On
gitlab.com it is asked two things more: whether the branch is protected, and the project's number, which a path that is
given away does not have. Who approved a deployment is in no claim at all.
https://docs.gitlab.com/ci/secrets/id_token_authentication/#token-payload
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif

Protected environments and their approval rules are not declared here: the provider `pulumi-gitlab` is none of this
distribution's dependencies, and they need GitLab Premium. docs/ci.md says what has to be set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from rollback.config.naming import APPROVER, GITLAB_COM, OIDC_AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollback.config.people import GitLab

    from .policies import Scope, Statement


def may_take(scope: Scope, gitlab: GitLab | None, branch: str, role: str) -> list[Statement]:
    """The statement of a role's trust by which GitLab's jobs take it; none where no job may.

    The approver's are those of `gitlab.approvals`, all others' those of `gitlab.project`, on `branch` each.
    """
    if gitlab is None:
        return []
    approves = role == APPROVER
    project = gitlab.approvals if approves else gitlab.project
    number = gitlab.approvals_id if approves else gitlab.project_id
    if not project:
        return []
    claims = {"aud": OIDC_AUDIENCE, "sub": f"project_path:{project}:ref_type:branch:ref:{branch}"}
    if gitlab.host == GITLAB_COM:
        claims |= {"ref_protected": "true", **({"project_id": str(number)} if number else {})}
    return [
        {
            "Sid": "GitLabJobs",
            "Effect": "Allow",
            "Principal": {"Federated": scope.arn("iam", f"oidc-provider/{gitlab.host}")},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": {f"{gitlab.host}:{claim}": value for claim, value in claims.items()}
            },
        }
    ]


def provider(gitlab: GitLab, tagged: Mapping[str, str], opts: pulumi.ResourceOptions) -> None:
    """GitLab's identity provider. An account has one for each host: where it exists already, it is imported."""
    aws.iam.OpenIdConnectProvider(
        "gitlab", url=f"https://{gitlab.host}", client_id_lists=[OIDC_AUDIENCE], tags=tagged, opts=opts
    )
