"""Every name that both the declared infrastructure and the rollback command use.

`components/` declares resources with these names and `rollback/` finds them by these names; neither
imports the other. Pure string functions: no I/O, no AWS, no Pulumi.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# The roles. The deployer has the name that the
# accounts already use.
DEPLOYER, ROLLBACK, APPROVER, RESTORE = "deployer", "rollback", "approver", "restore"
ROLES = (DEPLOYER, ROLLBACK, APPROVER, RESTORE)
# For drills; it does not exist in production (setting `production`).
DRILL = "drill"
# The longest session of a role, in hours: as long as the longest job, which is that of drills.
SESSION_HOURS = 6
# The guard's function, if declared (setting `guard`); people cannot assume its role.
GUARD = "guard"
# A file in the guard's package: the runtime of Lambda that the package was built for.
PACKAGE_RUNTIME = "guard-runtime.txt"
# The stack that an administrator declares: roles and their boundary, identity provider, ledger, trail,
# GitHub's environments.
FOUNDATION = "foundation"
# Only for people, if the ledger or an approver is not available; not for GitHub workflows.
BREAK_GLASS = "break-glass"
_ROLE_NAMES = {
    DEPLOYER: "github-actions-role",
    ROLLBACK: "rollback-role",
    APPROVER: "approver-role",
    RESTORE: "restore-role",
    DRILL: "drill-role",
    BREAK_GLASS: "break-glass-role",
    GUARD: "guard-role",
}
# The GitHub environment whose jobs may assume a role: one per role. The restore role is assumed where the
# rollback role is.
_GITHUB_ENVIRONMENTS = {
    DEPLOYER: "deploy",
    ROLLBACK: "rollback",
    APPROVER: "rollback-approval",
    RESTORE: "rollback",
    DRILL: "drill",
}

# The roles that a permission set of IAM Identity Center can replace. The restore
# role is assumed from there.
BY_PERMISSION_SET = (DEPLOYER, ROLLBACK, APPROVER, BREAK_GLASS)
# The name and path of a set's role in an account, reserved by IAM for Identity Center; the path contains the region
# if that is not us-east-1. The suffix changes each time the set is assigned to the account again ("Referencing
# permission sets in resource policies, Amazon EKS, and AWS KMS",
# https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html).
PERMISSION_SETS_PATH = "aws-reserved/sso.amazonaws.com/"
_SUFFIX = 16
_OF_PERMISSION_SET = re.compile(rf"AWSReservedSSO_([A-Za-z0-9+=,.@_-]{{1,32}})_[0-9a-f]{{{_SUFFIX}}}")

# In characters.
_ROLE_NAME, _BUCKET_NAME = 64, 63
# A shorter prefix could also match another team's functions.
_TELLING = 4

GITHUB_OIDC_HOST = "token.actions.githubusercontent.com"
# Of gitlab.com; other hosts have their own.
GITLAB_COM = "gitlab.com"
# The audience of a job's identity token.
OIDC_AUDIENCE = "sts.amazonaws.com"


# The placeholders in templates.
PREFIX, ENVIRONMENT, ENTRY, ACCOUNT = "{prefix}", "{environment}", "{entry}", "{account}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Templates:
    """The names of resources, with `{prefix}` and `{environment}`; `{entry}` is an element of a list, such as
    `team-service-get` of the catalogue, `{account}` the account id.

    `api` and `table` are for Terraform's checks and for tables that can be restored.
    """

    function: str = "{prefix}-{environment}-lambda-{entry}"
    table: str = "{prefix}-{environment}-{entry}"
    api: str = "{prefix}-{environment}-{entry}"
    parameters: str = "/{prefix}/{environment}"
    ledger: str = "{prefix}-{environment}-ddb-deployments"
    state_bucket: str = "{prefix}-{environment}-terraform-state"
    foundation_bucket: str = "{prefix}-{environment}-foundation-state"
    # Bucket names are global, so that the name contains the account.
    audit_bucket: str = "{prefix}-{environment}-audit-trail-{account}"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one environment: `Names(prefix="acme", environment="dev")`."""

    prefix: str
    environment: str
    templates: Templates = Templates()

    @property
    def stem(self) -> str:
        """`acme-dev`, the prefix of the names of roles and policies."""
        return f"{self.prefix}-{self.environment}"

    def function(self, entry: str) -> str:
        """The Lambda function of a catalogue entry without a full name: `team-service-get` gives
        `acme-dev-lambda-team-service-get`.
        """
        return self._named(self.templates.function, entry)

    @property
    def function_prefix(self) -> str:
        """The common prefix of function names made from the template; may be empty."""
        return self._named(self.templates.function.partition(ENTRY)[0])

    @property
    def deployments_table(self) -> str:
        return self._named(self.templates.ledger)

    def table(self, entry: str) -> str:
        """A table of the environment: `table("ddb-deployments")` gives `acme-dev-ddb-deployments`."""
        return self._named(self.templates.table, entry)

    def table_parameter(self, table: str) -> str:
        """The SSM parameter with the table that functions use instead of `table`."""
        return f"{self.parameter_path}/table/{table}"

    def api(self, entry: str) -> str:
        """A REST API of the environment: `api("apigw")` gives `acme-dev-apigw`."""
        return self._named(self.templates.api, entry)

    @property
    def state_bucket(self) -> str:
        return self._named(self.templates.state_bucket)

    @property
    def foundation_bucket(self) -> str:
        """The bucket of the foundation's state, which the deployer can neither read nor write."""
        return self._named(self.templates.foundation_bucket)

    @property
    def foundation_stack(self) -> str:
        """`dev-foundation`, the foundation's stack; the environment's stack is `dev`."""
        return f"{self.environment}-{FOUNDATION}"

    def audit_bucket(self, account: str) -> str:
        """The bucket of the ledger's archive."""
        return self._named(self.templates.audit_bucket.replace(ACCOUNT, account))

    def is_audit_bucket(self, name: str) -> bool:
        """Whether `name` is that of the archive bucket in any account, or of something in it."""
        before, found, after = self.templates.audit_bucket.partition(ACCOUNT)
        return name.startswith(self._named(before)) and (not found or self._named(after) in name)

    @property
    def parameter_path(self) -> str:
        """`/acme/dev`, the SSM path of the release parameters."""
        return self._named(self.templates.parameters)

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
        """The SecureString with a bot's token or a webhook's URL."""
        return f"{self.parameter_path}/slack"

    def role(self, role: str) -> str:
        """The IAM role's name: `role("rollback")` gives `acme-dev-rollback-role`."""
        return f"{self.stem}-{_ROLE_NAMES[role]}"

    def alarm(self, service: str) -> str:
        """The guard's composite alarm of a service: `acme-dev-guard-team-service`."""
        return f"{self.guard}-{service.replace('_', '-')}"

    @property
    def guard(self) -> str:
        """`acme-dev-guard`: the guard's function, and the prefix of its other resources."""
        return f"{self.stem}-{GUARD}"

    @property
    def guard_alarms(self) -> str:
        """The topic that the guard's alarms publish to."""
        return f"{self.guard}-alarms"

    @property
    def guard_reports(self) -> str:
        """The topic of the guard's reports to people."""
        return f"{self.guard}-reports"

    @property
    def guard_failed(self) -> str:
        """The queue of messages that the guard could not process."""
        return f"{self.guard}-failed"

    @property
    def guard_schedule(self) -> str:
        """The role with which a schedule invokes the guard."""
        return f"{self.guard}-schedule-role"

    def metric_alarm(self, function: str, metric: str) -> str:
        """The alarm of a function's metric, a child of its service's alarm: `acme-dev-guard-FUNCTION-errors`."""
        return f"{self.guard}-{function}-{metric}"

    @property
    def boundary(self) -> str:
        """The permissions boundary of every role of this project."""
        return f"{self.stem}-boundary"

    def github_environment(self, role: str) -> str:
        """The environment of GitHub or GitLab whose jobs may assume `role`: `dev-rollback-approval`."""
        return f"{self.environment}-{_GITHUB_ENVIRONMENTS[role]}"

    def _named(self, template: str, entry: str = ENTRY) -> str:
        made = template.replace(PREFIX, self.prefix).replace(ENVIRONMENT, self.environment)
        return made.replace(ENTRY, entry)

    def too_long(self, account: str) -> list[tuple[str, str]]:
        """Names longer than AWS allows: the template (a field of `Templates`, empty for the stem) and a message.

        IAM's and S3's limits ("IAM and AWS STS quotas",
        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html; "General purpose bucket naming
        rules", https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).
        """
        longest = max((*map(self.role, _ROLE_NAMES), self.guard_schedule), key=len)
        named = [
            ("", "role", longest, _ROLE_NAME),
            ("state_bucket", "bucket", self.state_bucket, _BUCKET_NAME),
            ("foundation_bucket", "bucket", self.foundation_bucket, _BUCKET_NAME),
            ("audit_bucket", "bucket", self.audit_bucket(account), _BUCKET_NAME),
        ]
        usual = Templates()
        return [
            (
                ""
                if template and getattr(usual, template) == getattr(self.templates, template)
                else template,
                f"the {what} {name} has {len(name)} characters, AWS allows {most}",
            )
            for template, what, name, most in named
            if len(name) > most
        ]


def beginnings(groups: Iterable[Sequence[str]], prefix: str) -> tuple[str, ...]:
    """The fewest patterns that match these names and not those of others: a name, or a common prefix and `*`.

    `groups` are the functions of one service each; `prefix` is that of names made from a template.
    Other names use their service's common prefix up to its last `-` or `_`.
    """
    found: dict[str, None] = {}
    for names in groups:
        others = [name for name in names if not (len(prefix) >= _TELLING and name.startswith(prefix))]
        if len(others) < len(names):
            found[f"{prefix}*"] = None
        common = _common(others) if len(others) > 1 else ""
        common = common[: max(common.rfind("-"), common.rfind("_")) + 1]
        found |= dict.fromkeys([f"{common}*"] if len(common) >= _TELLING else others)
    wide = [pattern for pattern in found if pattern.endswith("*")]
    return tuple(
        pattern
        for pattern in found
        if not any(other != pattern and pattern.startswith(other[:-1]) for other in wide)
    )


def _common(names: Sequence[str]) -> str:
    """The common prefix of all names."""
    first, last = min(names), max(names)
    return first[: next((n for n, letter in enumerate(first) if last[n : n + 1] != letter), len(first))]


def is_like(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name matches one of `beginnings`."""
    return any(
        name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in patterns
    )


def role_of(name: str) -> tuple[str, str]:
    """The stem and the role (a constant of this module) in a role's name: `acme-dev-rollback-role`
    gives `("acme-dev", "rollback")`. Two empty texts for other names.
    """
    for role, tail in _ROLE_NAMES.items():
        if name.endswith(f"-{tail}"):
            return name.removesuffix(f"-{tail}"), role
    return "", ""


def permission_set_of(name: str) -> str:
    """The permission set of the role `name` in an account; empty for any other role:
    `AWSReservedSSO_OnCall_0123456789abcdef` gives `OnCall`.
    """
    found = _OF_PERMISSION_SET.fullmatch(name)
    return found[1] if found else ""


def permission_set_role(permission_set: str, suffix: str = "?" * _SUFFIX) -> str:
    """The name of a set's role in an account; without a suffix a pattern.

    The pattern has the suffix's length, so that `OnCall` does not match `OnCall_Readers`.
    """
    return f"AWSReservedSSO_{permission_set}_{suffix}"


def arn(service: str, region: str, account: str, resource: str) -> str:
    """An ARN in the partition of the region (`aws`, `aws-cn` or `aws-us-gov`)."""
    partition = next(
        (p for start, p in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")) if region.startswith(start)),
        "aws",
    )
    place = "" if service == "iam" else region
    return f"arn:{partition}:{service}:{place}:{account}:{resource}"
