"""The resources of an acceptance run: their names, how they are found again, and the permissions that are needed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from ulid import ULID

from rollback.config.naming import arn
from rollback.config.settings import Settings

# A ULID's milliseconds and 30 random bits: a role's name has at most 64 characters, a bucket's 63.
_RUN = 16
_STEM = 29
RUNS, FIRST, SECOND = "-runs", "-first", "-second"
_NAME = re.compile(rf"([0-9a-hjkmnp-tv-z]{{{_RUN}}})({RUNS}|{FIRST}|{SECOND})?")


class Kind(StrEnum):
    """The kinds of resources, in the order in which they are removed."""

    FUNCTION = "function"
    BUCKET = "bucket"
    TABLE = "table"
    ROLE = "role"


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """A resource that a run made, or may have made."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class SandboxNames:
    """The names of one run: all of them begin with `base`, and those of all runs with `prefix`."""

    settings: Settings
    run: str

    @property
    def prefix(self) -> str:
        return prefix(self.settings)

    @property
    def base(self) -> str:
        """The name of the function, the table and the bucket."""
        return f"{self.prefix}{self.run}"

    @property
    def resources(self) -> tuple[Resource, ...]:
        """All resources of a run, in the order of their creation."""
        return (
            *(Resource(Kind.ROLE, f"{self.base}{role}") for role in (RUNS, FIRST, SECOND)),
            Resource(Kind.FUNCTION, self.base),
            Resource(Kind.TABLE, self.base),
            Resource(Kind.BUCKET, self.base),
        )


def prefix(settings: Settings) -> str:
    """What the names of all runs in an environment begin with: `acme-dev-acceptance-`."""
    return f"{settings.names.stem[:_STEM].rstrip('-')}-acceptance-"


def new_run(identifier: str) -> str:
    """A run's unique part of names, from a new ULID."""
    return identifier[:_RUN].lower()


def begun(settings: Settings, name: str) -> datetime | None:
    """When the run that made a resource of this name began; None for other names."""
    start = prefix(settings)
    found = _NAME.fullmatch(name.removeprefix(start)) if name.startswith(start) else None
    if found is None:
        return None
    try:
        return ULID.from_str(found[1].upper() + "0" * (26 - _RUN)).datetime.astimezone(UTC)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Permission:
    """IAM actions that a run needs, and on which resources."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]


def permissions(settings: Settings) -> Sequence[Permission]:
    """All permissions needed to test every fact."""
    return tuple(_permissions(settings))


def policy(settings: Settings) -> dict[str, object]:
    """The same as an IAM policy document."""
    statements = [
        {"Effect": "Allow", "Action": list(one.actions), "Resource": list(one.resources)}
        for one in permissions(settings)
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _permissions(settings: Settings) -> Iterator[Permission]:
    start, names = prefix(settings), settings.names

    def of(service: str, resource: str) -> str:
        return arn(service, settings.region, settings.account, resource)

    def bucket(name: str) -> str:
        partition = of("iam", "").split(":")[1]
        return f"arn:{partition}:s3:::{name}"

    yield Permission(
        (
            "iam:CreateRole",
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:ListRolePolicies",
            "iam:PassRole",
            "iam:PutRolePolicy",
            "iam:TagRole",
            "sts:AssumeRole",
            "sts:SetSourceIdentity",
        ),
        (of("iam", f"role/{start}*"),),
    )
    yield Permission(
        (
            "lambda:CreateAlias",
            "lambda:CreateFunction",
            "lambda:DeleteFunction",
            "lambda:GetAlias",
            "lambda:GetFunction",
            "lambda:InvokeFunction",
            "lambda:PublishVersion",
            "lambda:TagResource",
            "lambda:UpdateAlias",
            "lambda:UpdateFunctionCode",
        ),
        (of("lambda", f"function:{start}*"),),
    )
    yield Permission(
        (
            "dynamodb:CreateTable",
            "dynamodb:DeleteTable",
            "dynamodb:DescribeTable",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:TagResource",
        ),
        (of("dynamodb", f"table/{start}*"),),
    )
    yield Permission(
        (
            "s3:BypassGovernanceRetention",
            "s3:CreateBucket",
            "s3:DeleteBucket",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:GetObject",
            "s3:GetObjectVersion",
            "s3:ListBucketVersions",
            "s3:PutBucketObjectLockConfiguration",
            "s3:PutBucketTagging",
            "s3:PutBucketVersioning",
            "s3:PutObject",
            "s3:PutObjectRetention",
        ),
        (bucket(f"{start}*"), bucket(f"{start}*/*")),
    )
    yield Permission(
        ("s3:GetBucketObjectLockConfiguration", "s3:GetBucketVersioning"),
        (bucket(names.audit_bucket(settings.account)),),
    )
    yield Permission(
        (
            "dynamodb:ListTables",
            "iam:ListRoles",
            "lambda:ListFunctions",
            "s3:ListAllMyBuckets",
            "servicequotas:GetServiceQuota",
        ),
        ("*",),
    )
