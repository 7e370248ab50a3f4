"""The jobs of GitLab projects that may assume roles, and the identity provider of their tokens.

AWS reads the audience and the subject of a token; the subject names the project and the branch
(`project_path:acme/orders:ref_type:branch:ref:main`), but no environment: AWS cannot tell jobs of a branch apart. On
gitlab.com the trust also requires that the branch is protected, and the project's number: another project can get the
path later, but not the number. No claim says who approved a deployment.
https://docs.gitlab.com/ci/secrets/id_token_authentication/#token-payload
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif

Protected environments and their approval rules are not declared here: the provider `pulumi-gitlab` is not one of this
distribution's dependencies, and they need GitLab Premium. docs/ci.md lists what to set.
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
    """The statement of a role's trust by which GitLab's jobs assume it; empty if no job may.

    For the approver jobs of `gitlab.approvals`, for all others jobs of `gitlab.project`, both on `branch`.
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
    """GitLab's identity provider. An account has one for each host: an existing one is imported."""
    aws.iam.OpenIdConnectProvider(
        "gitlab", url=f"https://{gitlab.host}", client_id_lists=[OIDC_AUDIENCE], tags=tagged, opts=opts
    )
