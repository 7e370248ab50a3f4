"""Removes the resources of a run, and those left by earlier runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rollback.aws.account import code
from rollback.config.settings import Settings
from rollback.rehearsal.acceptance.names import (
    Kind,
    Resource,
    begun,
    prefix,
)
from rollback.rehearsal.acceptance.sandbox import Left

Clients = Callable[[str], Any]
_GONE = frozenset({"NoSuchEntity", "ResourceNotFoundException", "NoSuchBucket"})
# Transient errors: a table that is still being created, a function that is being changed, a bucket that still lists
# what was deleted a moment ago.
_BUSY = frozenset(
    {
        "BucketNotEmpty",
        "ConcurrentModification",
        "DeleteConflict",
        "OperationAborted",
        "ResourceConflictException",
        "ResourceInUseException",
    }
)
_PATIENCE, _LOOK = 60.0, 1.0


def remove(
    clients: Clients,
    settings: Settings,
    resources: Iterable[Resource],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Left]:
    """Removes those of `resources` that exist, and returns those that could not be removed. `sleep` takes seconds."""
    left = []
    for resource in sorted(resources, key=lambda one: list(Kind).index(one.kind)):
        try:
            _removed(clients, resource, sleep)
        except (ClientError, BotoCoreError) as error:
            left.append(Left(resource, str(error), tuple(commands(settings, resource))))
    return left


def abandoned(clients: Clients, settings: Settings, before: datetime) -> list[Resource]:
    """The resources of runs that began before a time, in the environment's account and region.

    Raises botocore's errors where listing is denied.
    """
    start = prefix(settings)
    found = [Resource(kind, name) for kind, name in _listed(clients, start)]
    times = ((resource, begun(settings, resource.name)) for resource in found)
    return [resource for resource, at in times if at is not None and at < before]


def commands(settings: Settings, resource: Resource) -> Iterator[str]:
    """The AWS CLI commands that remove a resource."""
    name, where = resource.name, f" --region {settings.region}"
    match resource.kind:
        case Kind.FUNCTION:
            yield f"aws lambda delete-function --function-name {name}{where}"
        case Kind.TABLE:
            yield f"aws dynamodb delete-table --table-name {name}{where}"
        case Kind.ROLE:
            yield f"aws iam delete-role-policy --role-name {name} --policy-name acceptance"
            yield f"aws iam delete-role --role-name {name}"
        case Kind.BUCKET:
            yield (
                f"aws s3api list-object-versions --bucket {name} --output text "
                "--query '[Versions,DeleteMarkers][][].[Key,VersionId]' | while read -r key id; do "
                f'aws s3api delete-object --bucket {name} --key "$key" --version-id "$id" '
                "--bypass-governance-retention; done"
            )
            yield f"aws s3api delete-bucket --bucket {name}{where}"


def _removed(clients: Clients, resource: Resource, sleep: Callable[[float], None]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            _REMOVE[resource.kind](clients, resource.name)
        except ClientError as error:
            if code(error) in _GONE:
                return
            if code(error) not in _BUSY or time.monotonic() > deadline:
                raise
            sleep(_LOOK)
        else:
            return


def _function(clients: Clients, name: str) -> None:
    clients("lambda").delete_function(FunctionName=name)


def _table(clients: Clients, name: str) -> None:
    clients("dynamodb").delete_table(TableName=name)


def _role(clients: Clients, name: str) -> None:
    iam = clients("iam")
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


def _bucket(clients: Clients, name: str) -> None:
    s3 = clients("s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            s3.delete_object(
                Bucket=name, Key=one["Key"], VersionId=one["VersionId"], BypassGovernanceRetention=True
            )
    s3.delete_bucket(Bucket=name)


_REMOVE: dict[Kind, Callable[[Clients, str], None]] = {
    Kind.FUNCTION: _function,
    Kind.BUCKET: _bucket,
    Kind.TABLE: _table,
    Kind.ROLE: _role,
}


def _listed(clients: Clients, start: str) -> Iterator[tuple[Kind, str]]:
    """All functions, buckets, tables and roles whose name begins with `start`."""
    every: list[tuple[Kind, Iterable[str]]] = [
        (Kind.FUNCTION, _names(clients("lambda"), "list_functions", "Functions", "FunctionName")),
        (Kind.BUCKET, (one["Name"] for one in clients("s3").list_buckets()["Buckets"])),
        (Kind.TABLE, _names(clients("dynamodb"), "list_tables", "TableNames")),
        (Kind.ROLE, _names(clients("iam"), "list_roles", "Roles", "RoleName")),
    ]
    for kind, names in every:
        yield from ((kind, name) for name in names if name.startswith(start))


def _names(client: Any, operation: str, member: str, attribute: str = "") -> Iterator[str]:
    for page in client.get_paginator(operation).paginate():
        yield from (one[attribute] if attribute else one for one in page[member])
