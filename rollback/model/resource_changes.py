"""The changes of resources by Pulumi or Terraform, in a common form; and which changes are refused.

Resource types are compared in a common spelling, Terraform's without the provider: `dynamodb_table` is
`aws_dynamodb_table` in Terraform and `aws:dynamodb/table:Table` in Pulumi.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from rollback.config.naming import BREAK_GLASS, DRILL, GITHUB_OIDC_HOST, GITLAB_COM, ROLES, Names
from rollback.model.plan import Plan, Refusal
from rollback.model.record import INFRASTRUCTURE

CREATE, UPDATE, REPLACE, DELETE, SAME = INFRASTRUCTURE

# Types with data that a program cannot recreate. The setting `holdsData` adds more.
HOLDS_DATA = (
    "backup_vault",
    "cloudwatch_log_group",
    "cognito_user_pool",
    "db_*instance*",
    "docdb_cluster*",
    "dynamodb_*table*",
    "ebs_volume",
    "ecr_repository",
    "efs_file_system",
    "elasticache_*cluster*",
    "elasticache_replication_group",
    "elasticsearch_domain",
    "kinesis_stream",
    "kms_*key",
    "memorydb_cluster",
    "msk_cluster",
    "neptune_cluster*",
    "opensearch_domain",
    "rds_*",
    "redshift_cluster",
    "s3_*bucket",
    "s3_bucket_v2",
    "secretsmanager_secret",
    "sqs_queue",
    "timestreamwrite_*",
)
# Properties that protect a resource from deletion.
_GUARDS = ("deletion_protection_enabled", "deletion_protection")
# Properties that releases and rollbacks of aliases write, and a program must not.
_ALIAS = {"functionVersion", "function_version", "routingConfig", "routing_config"}
_VALUE = {"value", "insecureValue", "insecure_value"}
# The identity providers of jobs that may be declared, by the end of their ARN or URL.
_PROVIDERS = (GITHUB_OIDC_HOST, f"/{GITLAB_COM}")
# The properties of resources that this tool needs which a rollback may change.
_HARMLESS = {"tags", "tagsAll", "tags_all", "description"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceChange:
    """One resource and its change.

    `urn` is its name in the engine (a Pulumi URN, a Terraform address), `name` the one in the
    account, if known. `properties` are those that change. `content` hashes the values before and
    after, without those that are `unknown` until another resource is created. `unprotects`: it silently loses its protection;
    `retains`: it would only be removed from the state.
    """

    urn: str
    type: str
    op: str
    name: str = ""
    properties: tuple[str, ...] = ()
    content: str = ""
    unknown: tuple[str, ...] = ()
    unprotects: bool = False
    retains: bool = False

    @property
    def subject(self) -> str:
        return self.urn

    @property
    def changes(self) -> bool:
        return self.op != SAME or self.unprotects


def kind(type_: str) -> str:
    """A resource type in the common spelling: `aws:cloudwatch/logGroup:LogGroup` → `cloudwatch_log_group`.

    A bridged provider's module contains the type (or is `index/…` without modules); a native
    one's (`aws-native:logs:LogGroup`) does not.
    """
    if ":" not in type_:
        return type_.partition("_")[2]
    module, _, name = type_.partition(":")[2].partition(":")
    spelled = module.removeprefix("index/") if "/" in module else f"{module}_{name}".rstrip("_")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", spelled.replace("/", "_")).lower()


def holds(type_: str, more: Sequence[str] = ()) -> bool:
    """Whether resources of a type hold data that a program cannot recreate; `more` are additional types."""
    text = kind(type_)
    return any(fnmatchcase(text, pattern) for pattern in (*HOLDS_DATA, *more))


def counts(changes: Iterable[ResourceChange]) -> dict[str, int]:
    """The number of created, updated, replaced, deleted and unchanged resources."""
    counted = Counter(change.op for change in changes)
    return {op: counted[op] for op in INFRASTRUCTURE}


def change_document(
    plan: Plan[ResourceChange], change: ResourceChange, name: str, outcome: str
) -> dict[str, Any]:
    """A change in the record's JSON: `{"name", "urn", "type", "op", "properties", "from", "to",
    "outcome"}`, all text but `properties`, a tuple of names.
    """
    return {
        "name": name,
        "urn": change.urn,
        "type": change.type,
        "op": change.op,
        "properties": change.properties,
        "from": plan.from_version,
        "to": plan.to_version,
        "outcome": outcome,
    }


def refusals(
    changes: Sequence[ResourceChange],
    allow_destroy: Collection[str],
    names: Names,
    holds_data: Sequence[str] = (),
) -> list[Refusal]:
    """The refusals against these changes. Pure.

    Destroying data is refused unless it is in `allow_destroy`; what this tool needs is never
    destroyed or weakened.
    """
    found = []
    for change in changes:
        if (reason := _is_backed_by_names(change, names)) is not None:
            found.append(
                Refusal(
                    subject=change.urn,
                    reason=f"{reason}, but this tool needs it",
                    remedy=f"use --except '{change.urn}' to leave it unchanged",
                )
            )
        elif change.urn not in allow_destroy and (why := _destroys(change, names, holds_data)):
            found.append(
                Refusal(
                    subject=change.urn,
                    reason=why,
                    remedy=f"--allow-destroy '{change.urn}', if that is intended",
                )
            )
    return found


def weakenings(
    changes: Iterable[ResourceChange],
    values: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]],
    allow_destroy: Collection[str],
    names: Names,
    holds_data: Sequence[str] = (),
) -> tuple[Refusal, ...]:
    """The refusals of changes that would reduce the protection of data, unless they are in `allow_destroy`. Pure.

    `values` are a resource's before and after, by its `urn`. Resources that this tool needs are checked by `refusals`.
    """
    return tuple(
        Refusal(
            subject=change.urn,
            reason=f"it holds data, and {' and '.join(found)}",
            remedy=f"--allow-destroy '{change.urn}', if that is intended",
        )
        for change in changes
        if change.op == UPDATE and holds(change.type, holds_data) and change.urn not in allow_destroy
        if _is_backed_by_names(change, names) is None
        if (found := weakened(*values.get(change.urn, ({}, {}))))
    )


def weakened(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """How a change of a resource's values would reduce the protection of its data, in either engine's spelling. Pure."""
    before, after = spelled(before), spelled(after)
    found = []
    if any(before.get(name) is True and after.get(name) is not True for name in _GUARDS):
        found.append("its deletion protection would be disabled")
    if _enabled(before, "point_in_time_recovery") and not _enabled(after, "point_in_time_recovery"):
        found.append("its point-in-time recovery would be disabled")
    expires = _enabled(after, "ttl")
    if expires and _enabled(before, "ttl") != expires:
        found.append(f"its items would expire by {expires} (time to live)")
    return found


def _enabled(values: Mapping[str, Any], name: str) -> str:
    """The attribute that enables a feature of a table, or just that it is enabled; empty if it is not."""
    message = values.get(name)
    parts = message if isinstance(message, list) else [message]
    on = (part for part in parts if isinstance(part, Mapping) and part.get("enabled") is True)
    return next((str(part.get("attribute_name", "on")) for part in on), "")


def spelled(value: Any) -> Any:
    """`value` with its names spelled as in Terraform: `hashKey` → `hash_key`."""
    if isinstance(value, Mapping):
        return {
            re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name)).lower(): spelled(part)
            for name, part in value.items()
        }
    return [spelled(part) for part in value] if isinstance(value, list) else value


def _destroys(change: ResourceChange, names: Names, holds_data: Sequence[str]) -> str:
    if change.op == DELETE and change.retains:
        return "it would only be removed from the state, and stay in the account unmanaged (retain_on_delete)"
    if change.op in (DELETE, REPLACE) and holds(change.type, holds_data):
        return f"it holds data and would be {change.op}d"
    if change.unprotects:
        return "it would lose its protection"
    return _undoes(change, kind(change.type), names)


def _undoes(change: ResourceChange, kind_: str, names: Names) -> str:
    """How a change would undo a release or a rollback; empty if it would not."""
    gone = change.op in (DELETE, REPLACE)
    touched = set(change.properties) if change.op == UPDATE else set()
    if kind_ == "lambda_alias" and (gone or touched & _ALIAS):
        return "its version would be changed, which undoes a release or a rollback"
    ours = (names.deployed_version, names.pulumi_commit, names.terraform_commit)
    written = change.name in ours or change.name.startswith(names.table_parameter(""))
    if kind_ == "ssm_parameter" and written and (gone or touched & _VALUE):
        return "the value written by releases and rollbacks would be overwritten"
    return ""


def _is_backed_by_names(change: ResourceChange, names: Names) -> str | None:
    """What would happen to a resource that this tool needs; None if nothing, or if it is not such a resource."""
    if not _is_ground(kind(change.type), change.name, names):
        return None
    if change.op in (CREATE, DELETE, REPLACE):
        # Created again by a commit older than the foundation.
        return f"it would be {change.op}d"
    if change.unprotects:
        return "it would lose its protection"
    touched = set(change.properties) - _HARMLESS
    if change.op == UPDATE and touched:
        return f"{', '.join(sorted(touched))} would be changed"
    return None


def _is_ground(kind_: str, name: str, names: Names) -> bool:
    roles = {names.role(role) for role in (*ROLES, BREAK_GLASS, DRILL)}
    if kind_.startswith("s3_bucket") and names.is_audit_bucket(name):
        return True  # with its versioning, lock, encryption and other settings
    grounds: Mapping[str, bool] = {
        "dynamodb_table": name == names.deployments_table,
        "iam_role": name in roles,
        # Its id is ROLE:NAME; that of a policy is its ARN.
        "iam_role_policy": name.partition(":")[0] in roles,
        "iam_role_policy_attachment": name.partition("/")[0] in roles or name.rpartition("-")[0] in roles,
        "iam_policy": name.rpartition("/")[2].startswith(f"{names.stem}-"),
        "iam_open_id_connect_provider": name.endswith(_PROVIDERS),
        "iam_openid_connect_provider": name.endswith(_PROVIDERS),
        "s3_bucket": name in (names.state_bucket, names.foundation_bucket),
        "s3_bucket_v2": name in (names.state_bucket, names.foundation_bucket),
    }
    return grounds.get(kind_, kind_.startswith("repository_environment"))
