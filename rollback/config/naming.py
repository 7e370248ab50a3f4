"""Every name that both the declared infrastructure and the rollback command need, in one place.

`components/` declares things under these names and `rollback/` finds them by these names; neither
imports the other. Pure string functions: no I/O, no AWS, no Pulumi.
"""

from __future__ import annotations

from dataclasses import dataclass

ENVIRONMENTS = ("dev", "sit", "prod")
# Where a plan that somebody only has to confirm may be confirmed before it is seen.
UNATTENDED = ("dev",)

# The roles of the platform, by what their holder does. The deployer keeps the name that the
# platform's accounts already use.
DEPLOYER, ROLLBACK, APPROVER, RESTORE = "deployer", "rollback", "approver", "restore"
ROLES = (DEPLOYER, ROLLBACK, APPROVER, RESTORE)
# Deploys what is bad on purpose, and has it rolled back; there is none in production.
DRILL = "drill"
# For how long a role may be taken at once: as long as the longest job, which is that of drills.
SESSION_HOURS = 6
# What an administrator declares, in a stack of its own: roles and their boundary, identity provider, ledger, trail,
# GitHub's environments.
FOUNDATION = "foundation"
# Taken by people only, when the ledger is gone or the approver is absent: no workflow of GitHub's has it.
BREAK_GLASS = "break-glass"
_ROLE_NAMES = {
    DEPLOYER: "github-actions-role",
    ROLLBACK: "rollback-role",
    APPROVER: "approver-role",
    RESTORE: "restore-role",
    DRILL: "drill-role",
    BREAK_GLASS: "break-glass-role",
}
# The GitHub environment whose jobs may take a role: one each. The restore role is taken where the
# rollback role is.
_GITHUB_ENVIRONMENTS = {
    DEPLOYER: "deploy",
    ROLLBACK: "rollback",
    APPROVER: "rollback-approval",
    RESTORE: "rollback",
    DRILL: "drill",
}

GITHUB_OIDC_HOST = "token.actions.githubusercontent.com"
GITHUB_OIDC_AUDIENCE = "sts.amazonaws.com"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one environment: `Names(prefix="bbws-access", environment="dev")`."""

    prefix: str
    environment: str

    @property
    def stem(self) -> str:
        """`bbws-access-dev`, which every name but the parameters' begins with."""
        return f"{self.prefix}-{self.environment}"

    def function(self, tail: str) -> str:
        """The Lambda function of a catalogue entry: `team-service-get` gives
        `bbws-access-dev-lambda-team-service-get`.
        """
        return f"{self.stem}-lambda-{tail}"

    @property
    def function_prefix(self) -> str:
        """What the name of every function of the environment begins with, catalogued or not."""
        return f"{self.stem}-lambda-"

    @property
    def deployments_table(self) -> str:
        return f"{self.stem}-ddb-deployments"

    @property
    def access_table(self) -> str:
        """The platform's own table, which Terraform declares."""
        return f"{self.stem}-ddb-access-management"

    def table(self, tail: str) -> str:
        """A table of the environment: `table("ddb-deployments")` gives `bbws-access-dev-ddb-deployments`."""
        return f"{self.stem}-{tail}"

    def table_parameter(self, table: str) -> str:
        """The SSM parameter that says which table functions use in the place of `table`."""
        return f"{self.parameter_path}/table/{table}"

    @property
    def api(self) -> str:
        """The REST API, which Terraform declares."""
        return f"{self.stem}-apigw"

    @property
    def state_bucket(self) -> str:
        return f"{self.stem}-terraform-state"

    @property
    def foundation_bucket(self) -> str:
        """Where the state of the foundation's stack is, which the deployer can neither read nor write."""
        return f"{self.stem}-{FOUNDATION}-state"

    @property
    def foundation_stack(self) -> str:
        """`dev-foundation`, beside the stack `dev` of what changes daily."""
        return f"{self.environment}-{FOUNDATION}"

    def audit_bucket(self, account: str) -> str:
        """The bucket that keeps the heads of the ledger. Its name is the account's: buckets share one
        namespace with all the world.
        """
        return f"{self.stem}-audit-trail-{account}"

    @property
    def parameter_path(self) -> str:
        """`/bbws-access/dev`, the SSM path of the release parameters."""
        return f"/{self.prefix}/{self.environment}"

    @property
    def deployed_version(self) -> str:
        return f"{self.parameter_path}/deployed-version"

    @property
    def terraform_commit(self) -> str:
        return f"{self.parameter_path}/terraform-commit"

    @property
    def pulumi_commit(self) -> str:
        return f"{self.parameter_path}/pulumi-commit"

    @property
    def slack(self) -> str:
        """The SecureString that holds a bot's token or a webhook's address."""
        return f"{self.parameter_path}/slack"

    @property
    def drills(self) -> bool:
        """Whether what is bad may be deployed here on purpose: nowhere that is called production."""
        return not self.environment.startswith("prod")

    def role(self, role: str) -> str:
        """The IAM role's name: `role("rollback")` gives `bbws-access-dev-rollback-role`."""
        return f"{self.stem}-{_ROLE_NAMES[role]}"

    @property
    def boundary(self) -> str:
        """The permissions boundary that every role of this project carries."""
        return f"{self.stem}-boundary"

    def github_environment(self, role: str) -> str:
        """The GitHub environment whose jobs may take `role`: `dev-rollback-approval`."""
        return f"{self.environment}-{_GITHUB_ENVIRONMENTS[role]}"


def role_of(name: str) -> tuple[str, str]:
    """The environment and the role (a word of this module) that a role's name says; two empty words for another's."""
    for role, tail in _ROLE_NAMES.items():
        stem, found, _ = name.rpartition(f"-{tail}")
        if found and name.endswith(tail):
            return stem.rpartition("-")[2], role
    return "", ""


def arn(service: str, region: str, account: str, resource: str) -> str:
    """An ARN in the partition of the region (`aws`, `aws-cn` or `aws-us-gov`)."""
    partition = next(
        (p for start, p in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")) if region.startswith(start)),
        "aws",
    )
    place = "" if service == "iam" else region
    return f"arn:{partition}:{service}:{place}:{account}:{resource}"
