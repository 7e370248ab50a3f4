"""What Pulumi or Terraform would do to resources, in one form for both; and which of it is refused.

A resource's type is compared in one spelling, Terraform's without the provider: `dynamodb_table` is
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

# What holds data that a program cannot make again. A setting adds to it (`holdsData`).
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
# How a resource says that it is not to be deleted.
_GUARDS = ("deletion_protection_enabled", "deletion_protection")
# What a rollback of aliases and every release write, and a program must not.
_ALIAS = {"functionVersion", "function_version", "routingConfig", "routing_config"}
_VALUE = {"value", "insecureValue", "insecure_value"}
# The identity providers of jobs that it may have declared, as their ARN or address ends.
_PROVIDERS = (GITHUB_OIDC_HOST, f"/{GITLAB_COM}")
# Of the resources that this tool itself needs, a rollback may change this much.
_HARMLESS = {"tags", "tagsAll", "tags_all", "description"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceChange:
    """One resource and what would be done to it.

    `urn` is the engine's own name of it (a Pulumi URN, a Terraform address), `name` the one it has in the
    account, where known. `properties` are those that change. `content` hashes what it changes from and
    to, without what is `unknown` before something else is made. `unprotects`: it loses its protection by it,
    silently; `retains`: it would leave the state only.
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
    """A resource type in the one spelling: `aws:cloudwatch/logGroup:LogGroup` → `cloudwatch_log_group`.

    A bridged provider's module names the type, too (and is `index/…` where it has no modules); a native
    one's (`aws-native:logs:LogGroup`) does not.
    """
    if ":" not in type_:
        return type_.partition("_")[2]
    module, _, name = type_.partition(":")[2].partition(":")
    spelled = module.removeprefix("index/") if "/" in module else f"{module}_{name}".rstrip("_")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", spelled.replace("/", "_")).lower()


def holds(type_: str, more: Sequence[str] = ()) -> bool:
    """Whether resources of a type hold data that a program cannot make again; `more` adds to what is known."""
    text = kind(type_)
    return any(fnmatchcase(text, pattern) for pattern in (*HOLDS_DATA, *more))


def counts(changes: Iterable[ResourceChange]) -> dict[str, int]:
    """How many resources are created, updated, replaced, deleted, and stay."""
    counted = Counter(change.op for change in changes)
    return {op: counted[op] for op in INFRASTRUCTURE}


def change_document(
    plan: Plan[ResourceChange], change: ResourceChange, name: str, outcome: str
) -> dict[str, Any]:
    """A change as the record's JSON has it: `{"name", "urn", "type", "op", "properties", "from", "to",
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

    What destroys data is refused unless `allow_destroy` names it; what this tool itself needs is never
    destroyed or weakened at all.
    """
    found = []
    for change in changes:
        if (reason := _is_backed_by_names(change, names)) is not None:
            found.append(
                Refusal(
                    subject=change.urn,
                    reason=f"{reason}, and this tool relies on it",
                    remedy=f"--except '{change.urn}' leaves it as it is",
                )
            )
        elif change.urn not in allow_destroy and (why := _destroys(change, names, holds_data)):
            found.append(
                Refusal(subject=change.urn, reason=why, remedy=f"--allow-destroy '{change.urn}', if it may")
            )
    return found


def weakenings(
    changes: Iterable[ResourceChange],
    values: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]],
    allow_destroy: Collection[str],
    names: Names,
    holds_data: Sequence[str] = (),
) -> tuple[Refusal, ...]:
    """What speaks against changes by which data would be kept less safe, unless `allow_destroy` names them. Pure.

    `values` are a resource's before and after, by its `urn`. What this tool stands on is for `refusals` to say.
    """
    return tuple(
        Refusal(
            subject=change.urn,
            reason=f"it holds data, and {' and '.join(found)}",
            remedy=f"--allow-destroy '{change.urn}', if it may",
        )
        for change in changes
        if change.op == UPDATE and holds(change.type, holds_data) and change.urn not in allow_destroy
        if _is_backed_by_names(change, names) is None
        if (found := weakened(*values.get(change.urn, ({}, {}))))
    )


def weakened(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """By what a change of a resource's values would keep its data less safe, whichever engine spells them. Pure."""
    before, after = spelled(before), spelled(after)
    found = []
    if any(before.get(name) is True and after.get(name) is not True for name in _GUARDS):
        found.append("its deletion protection would be switched off")
    if _enabled(before, "point_in_time_recovery") and not _enabled(after, "point_in_time_recovery"):
        found.append("its point-in-time recovery would be switched off")
    expires = _enabled(after, "ttl")
    if expires and _enabled(before, "ttl") != expires:
        found.append(f"its items would be deleted at the time in {expires}")
    return found


def _enabled(values: Mapping[str, Any], name: str) -> str:
    """By what attribute a part of a table is on, or just that it is; empty where it is not."""
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
        return "it would be deleted from the state only, and stay in the account unknown (retain_on_delete)"
    if change.op in (DELETE, REPLACE) and holds(change.type, holds_data):
        return f"it holds data and would be {change.op}d"
    if change.unprotects:
        return "it would lose its protection"
    return _undoes(change, kind(change.type), names)


def _undoes(change: ResourceChange, kind_: str, names: Names) -> str:
    """What of a change would undo a release or a rollback."""
    gone = change.op in (DELETE, REPLACE)
    touched = set(change.properties) if change.op == UPDATE else set()
    if kind_ == "lambda_alias" and (gone or touched & _ALIAS):
        return (
            "the version that its callers get would be changed, which undoes what was released or rolled back"
        )
    ours = (names.deployed_version, names.pulumi_commit, names.terraform_commit)
    written = change.name in ours or change.name.startswith(names.table_parameter(""))
    if kind_ == "ssm_parameter" and written and (gone or touched & _VALUE):
        return "the value that releases and rollbacks write would be overwritten"
    return ""


def _is_backed_by_names(change: ResourceChange, names: Names) -> str | None:
    """What would happen to something that this tool itself needs; None where nothing would, or it is none."""
    if not _is_ground(kind(change.type), change.name, names):
        return None
    if change.op in (CREATE, DELETE, REPLACE):
        # What an older commit of before the foundation would make again.
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
        return True  # with its versioning, lock, encryption, and whatever else is said of it
    grounds: Mapping[str, bool] = {
        "dynamodb_table": name == names.deployments_table,
        "iam_role": name in roles,
        # Its id is ROLE:NAME, a policy's its ARN.
        "iam_role_policy": name.partition(":")[0] in roles,
        "iam_role_policy_attachment": name.partition("/")[0] in roles or name.rpartition("-")[0] in roles,
        "iam_policy": name.rpartition("/")[2].startswith(f"{names.stem}-"),
        "iam_open_id_connect_provider": name.endswith(_PROVIDERS),
        "iam_openid_connect_provider": name.endswith(_PROVIDERS),
        "s3_bucket": name in (names.state_bucket, names.foundation_bucket),
        "s3_bucket_v2": name in (names.state_bucket, names.foundation_bucket),
    }
    return grounds.get(kind_, kind_.startswith("repository_environment"))
